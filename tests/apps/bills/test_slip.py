"""The split slip: what is reimbursed and what is left, proven, and without a name or a line."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from showing import Bench

from tallystick.apps.bills.slip import Slip, SplitSlip, make_slip, read_slip, verify_slip
from tallystick.contracts.bills.records.bills import Lock
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.errors import Malformed, Rejected, VerificationFailed
from tallystick.protocol.values import format_instant
from tallystick.verify import Verdict

WHO = sha256(b"who").digest()


def slip_of(ward: Bench, bill: str) -> bytes:
    with ward.ledger.view() as view:
        return make_slip(view, ward.note(), bill)


def read(ward: Bench, data: bytes, **asked: Any) -> Slip:
    return verify_slip(data, ward.policy(), **({"now": ward.at} | asked))


def settle(ward: Bench, settled: int, cash: int, **changes: Any) -> None:
    amounts = ward.row(ward.first).amounts | {"settled": settled, "settled_cash": cash}
    ward.change(ward.first, amounts=amounts, claims=1, **changes)


def test_it_says_what_is_left_by_basis(ward: Bench) -> None:
    row = ward.row(ward.first)
    own, cash = row.amounts["account"] + row.amounts["cash"], row.amounts["cash"]
    before = read(ward, slip_of(ward, ward.first)).sums
    assert (before.settled, before.left_cash, before.left_cash_account) == (0, cash, own)
    settle(ward, 300, 200)
    found = read(ward, slip_of(ward, ward.first))
    assert found.verdict is Verdict.GOOD
    assert found.sums.total == row.amounts["total"]
    assert (found.sums.settled, found.sums.settled_cash) == (300, 200)
    assert (found.sums.left_cash, found.sums.left_cash_account) == (cash - 200, own - 300)


def test_a_lock_is_shown_and_counts_until_it_ends(ward: Bench) -> None:
    until = format_instant(ward.at + 600)
    lock = Lock(who=WHO, amount=500, cash=100, until=until)
    settle(ward, 300, 200, lock=lock)
    found = read(ward, slip_of(ward, ward.first))
    assert found.verdict is Verdict.GOOD
    assert (found.sums.locked, found.sums.locked_until) == (500, until)
    row = ward.row(ward.first)
    assert found.sums.left_cash_account == row.amounts["account"] + row.amounts["cash"] - 800
    ward.at += 600
    ward.change(ward.second, disputed=0)  # a block after the lock's end
    later = read(ward, slip_of(ward, ward.first))
    assert (later.sums.locked, later.sums.locked_until) == (0, None)


def test_it_names_no_line_and_nobody_who_reimbursed(ward: Bench) -> None:
    settle(ward, 300, 200)
    text = slip_of(ward, ward.first).decode()
    body: dict[str, Any] = decode(ward.held[ward.first].body, dict[str, Any])
    for secret in ("insurer", "mutual", "fund", *(each["name"] for each in body["items"])):
        assert secret not in text


def test_a_reversed_part_and_what_is_due_are_shown(ward: Bench) -> None:
    amounts = ward.row(ward.first).amounts
    gone = {"reversed": 100, "reversed_cash": 100, "settled": 40, "settled_cash": 40, "due": 60}
    ward.change(
        ward.first,
        amounts=amounts | gone,
        reversed_by=[ward.second],
        state="partly_reversed",
        good=False,
    )
    found = read(ward, slip_of(ward, ward.first))
    assert found.verdict is Verdict.GOOD
    assert (found.sums.reversed, found.sums.due) == (100, 60)
    assert found.sums.left_cash == amounts["cash"] - 140


def test_an_old_slip_is_stale(ward: Bench) -> None:
    data, age = slip_of(ward, ward.first), ward.policy().status_max_age_seconds
    assert read(ward, data, now=ward.at + age).verdict is Verdict.GOOD
    assert read(ward, data, now=ward.at + age + 1).verdict is Verdict.STALE
    assert read(ward, data, now=ward.at - 61).verdict is Verdict.STALE


@pytest.mark.parametrize("state", ["reversed", "frozen", "reversing", "settled"])
def test_a_bill_that_is_not_good_says_so(ward: Bench, state: str) -> None:
    ward.change(ward.first, state=state, good=False)
    assert read(ward, slip_of(ward, ward.first)).verdict is Verdict.NOT_GOOD


def test_of_no_blue_bill_there_is_none(ward: Bench) -> None:
    with pytest.raises(Rejected, match="no blue bill"):
        slip_of(ward, "33060126:0000000999")
    data = slip_of(ward, ward.first)
    ward.change(ward.first, bill_kind="red", state="red", good=False)
    with pytest.raises(Rejected, match="no blue bill"):
        slip_of(ward, ward.first)
    with ward.ledger.view() as view:
        proof = view.state_proof(int(ward.first.replace(":", "")), f"bills.bill/{ward.first}")
    slip = read_slip(data)
    note = ward.note().decode()
    red = replace(slip, state=replace(slip.state, checkpoint=note, state=proof))
    with pytest.raises(VerificationFailed, match="a red number"):
        read(ward, encode(red))


def _sums(slip: SplitSlip, **changes: Any) -> bytes:
    return encode(replace(slip, sums=replace(slip.sums, **changes)))


def _row(slip: SplitSlip, **changes: Any) -> bytes:
    state = slip.state.state
    row = (state.row or {}) | changes
    return encode(replace(slip, state=replace(slip.state, state=replace(state, row=row))))


FALSE: dict[str, tuple[Callable[[SplitSlip], bytes], str]] = {
    "more left": (lambda s: _sums(s, left_cash=s.sums.left_cash + 1), "sums"),
    "less settled": (lambda s: _sums(s, settled=1), "sums"),
    "another total": (lambda s: _sums(s, total=1), "sums"),
    "a lock that is none": (lambda s: _sums(s, locked=1), "sums"),
    "another currency": (lambda s: _sums(s, currency="USD"), "sums"),
    "another bill": (lambda s: encode(replace(s, bill="33060126:0000000002")), "it proves"),
    "a row changed": (lambda s: _row(s, claims=9), "step 13"),
    "another's row": (lambda s: _row(s, id="33060126:0000000002"), "step 12"),
}


@pytest.mark.parametrize("name", FALSE)
def test_what_was_tampered_with_is_false(bench: Bench, name: str) -> None:
    make, told = FALSE[name]
    with pytest.raises(VerificationFailed, match=told):
        read(bench, make(read_slip(slip_of(bench, bench.first))))


def test_it_is_of_one_network(bench: Bench) -> None:
    policy = replace(bench.policy(), network=b"x" * 32)
    with pytest.raises(VerificationFailed, match="network"):
        verify_slip(slip_of(bench, bench.first), policy, now=bench.at)


@pytest.mark.parametrize(
    "make",
    [
        lambda data: data + b" ",
        lambda data: data.replace(b'"sums"', b'"sum"', 1),
        lambda data: data[:-2],
        lambda data: b"x" * 40_000,
        lambda data: data.replace(b'"sums":{"account":', b'"sums":{"account":-', 1),
    ],
)
def test_hostile_bytes_are_malformed(bench: Bench, make: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Malformed):
        read(bench, make(slip_of(bench, bench.first)))
