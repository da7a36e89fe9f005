"""Doctored files of a block: whatever was left out, put in, changed or taken from elsewhere."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from audited import Office
from province import CODE

from tallystick.apps.bills.audit import AuditVerdict
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Malformed, TallystickError, VerificationFailed


@pytest.fixture
def office(tmp_path: Path) -> Office:
    office = Office(tmp_path / "ledger")
    office.fill()
    return office


Lines = list[bytes]


def _fields(line: bytes, **changes: Any) -> bytes:
    named = json.loads(line) | changes
    named = {name: value for name, value in named.items() if value is not None}
    return encode(named)


def _leave_out(lines: Lines) -> Lines:
    """The attack that matters: a bill is not shown, its number passes for unused or returned."""
    return [lines[0], _fields(lines[1], rows=5), *lines[2:7], *lines[8:]]


def _leave_out_last(lines: Lines) -> Lines:
    return [*lines[:-1]]


def _change_amount(lines: Lines) -> Lines:
    amounts = json.loads(lines[3])["amounts"] | {"total": 9_999}
    return [*lines[:3], _fields(lines[3], amounts=amounts), *lines[4:]]


def _void_a_bill(lines: Lines) -> Lines:
    return [*lines[:3], _fields(lines[3], bill_kind="void", state="void"), *lines[4:]]


def _show_twice(lines: Lines) -> Lines:
    return [lines[0], _fields(lines[1], rows=7), lines[2], lines[2], *lines[3:]]


def _swap(lines: Lines) -> Lines:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


def _renumber(lines: Lines) -> Lines:
    return [*lines[:2], _fields(lines[2], id=f"{CODE}:0000004098"), *lines[3:]]


def _elsewhere(lines: Lines) -> Lines:
    return [*lines[:2], _fields(lines[2], id="33060226:0000004090"), *lines[3:]]


def _absent_page(lines: Lines) -> Lines:
    return [lines[0], _fields(lines[1], rows=None, siblings=None, absent=True), *lines[8:]]


def _absent_with_rows(lines: Lines) -> Lines:
    return [lines[0], _fields(lines[1], absent=True), *lines[2:]]


def _drop_page(lines: Lines) -> Lines:
    return [lines[0], *lines[8:]]


def _other_sibling(lines: Lines) -> Lines:
    siblings = json.loads(lines[1])["siblings"]
    return [lines[0], _fields(lines[1], siblings=[siblings[1], *siblings[1:]]), *lines[2:]]


def _sibling_more(lines: Lines) -> Lines:
    siblings = json.loads(lines[1])["siblings"]
    return [lines[0], _fields(lines[1], siblings=[*siblings, siblings[0]]), *lines[2:]]


def _more(lines: Lines) -> Lines:
    return [*lines, lines[-1]]


def _wider_gone(lines: Lines) -> Lines:
    """The allotment says that a used number was returned."""
    head = json.loads(lines[0])
    row = head["allotment"]["row"]
    row["gone"][-1]["first"] = 4_098
    return [_fields(lines[0], allotment=head["allotment"]), *lines[1:]]


def _account_of_another(lines: Lines) -> Lines:
    head = json.loads(lines[0])
    head["account"]["key"] = "bills.account/33060126/3/0000000001"
    return [_fields(lines[0], account=head["account"]), *lines[1:]]


def _no_account(lines: Lines) -> Lines:
    head = json.loads(lines[0])
    del head["account"]["row"]
    return [_fields(lines[0], account=head["account"]), *lines[1:]]


def _swapped_rows(lines: Lines) -> Lines:
    head = json.loads(lines[0])
    return [
        _fields(lines[0], account=head["allotment"], allotment=head["account"]),
        *lines[1:],
    ]


LOOKED_FOR = "one was left out, put in, or changed"
DOCTORED: list[tuple[Callable[[Lines], Lines], str]] = [
    (_leave_out, LOOKED_FOR),
    (_leave_out_last, "Malformed|not JSON|truncated"),
    (_change_amount, LOOKED_FOR),
    (_void_a_bill, LOOKED_FOR),
    (_show_twice, "out of order"),
    (_swap, "out of order"),
    (_renumber, "lies elsewhere"),
    (_elsewhere, "lies elsewhere"),
    (_absent_page, "proof of presence|lead to the state root"),
    (_absent_with_rows, "a page that is not there has rows"),
    (_drop_page, "page 1 where 0 must come"),
    (_other_sibling, LOOKED_FOR),
    (_sibling_more, "more hashes than the ranges ask for"),
    (_more, "more lines"),
    (_wider_gone, "does not lead to the state root"),
    (_account_of_another, "the row is bills.account/33060126/3/0000004090"),
    (_no_account, "does not lead to the state root|a proof of presence|lies elsewhere"),
    (_swapped_rows, "the row is no bills.allotment"),
]


@pytest.mark.parametrize(
    ("doctor", "why"), DOCTORED, ids=[each.__name__.strip("_") for each, _ in DOCTORED]
)
def test_A1_a_doctored_file_is_refused(
    office: Office, doctor: Callable[[Lines], Lines], why: str
) -> None:
    office.close_all()
    lines = office.file().splitlines()
    assert len(lines) == 1 + 1 + 6 + 1 + 3
    with pytest.raises((VerificationFailed, Malformed), match=why):
        office.audit(b"\n".join([*doctor(lines), b""]))


def test_a_number_that_is_left_out_is_looked_for_where_it_must_be(office: Office) -> None:
    office.close_all()
    with pytest.raises(VerificationFailed) as refused:
        office.audit(b"\n".join([*_leave_out(office.file().splitlines()), b""]))
    assert "of the numbers 4090 to 4095 one was left out, put in, or changed" in str(refused.value)


def test_yesterdays_block_under_todays_checkpoint(office: Office) -> None:
    """Before the reversal, before the account: every proof is true, but of another moment."""
    old = office.file().splitlines()
    office.close_all()
    new = office.file().splitlines()
    head, now = json.loads(old[0]), json.loads(new[0])
    for changes in (
        {"checkpoint": now["checkpoint"]},
        {"checkpoint": now["checkpoint"], "allotment": now["allotment"]},
        {"checkpoint": now["checkpoint"], "account": now["account"]},
    ):
        lines = [_fields(old[0], **changes), *old[1:]]
        with pytest.raises(VerificationFailed):
            office.audit(b"\n".join([*lines, b""]))
    assert head["checkpoint"] != now["checkpoint"]
    mixed = [new[0], *old[1:]]
    with pytest.raises(VerificationFailed):
        office.audit(b"\n".join([*mixed, b""]))


def test_a_checkpoint_that_the_reader_does_not_accept(office: Office) -> None:
    office.close_all()
    lines = office.file().splitlines()
    alone = office.note(keeper=False).decode()
    with pytest.raises(VerificationFailed, match="no co-signature of finance"):
        office.audit(b"\n".join([_fields(lines[0], checkpoint=alone), *lines[1:], b""]))


def test_no_change_of_a_byte_passes(office: Office) -> None:
    office.close_all()
    data, chance = office.file(), random.Random(4)
    for _ in range(250):
        at = chance.randrange(len(data))
        other = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        try:
            found = office.audit(other)
        except TallystickError:
            continue
        note = json.loads(data.splitlines()[0])["checkpoint"]
        other_note = json.loads(other.splitlines()[0])["checkpoint"]
        assert note != other_note  # a signature that the policy does not ask for
        assert found.verdict is AuditVerdict.EXPLAINED


def test_a_row_whose_id_is_no_bills_is_malformed(office: Office) -> None:
    office.close_all()
    data = office.file()
    row = re.search(rb'"id":"[0-9]{8}:[0-9]{10}"', data)
    assert row is not None
    with pytest.raises(Malformed):
        office.audit(data.replace(row[0], row[0][:-5] + b')0-x"'))


@pytest.mark.parametrize("data", [b"", b"\n", b"{}\n", b"x" * 600_000, b'{"format":"x"}\n'])
def test_what_is_no_such_file(office: Office, data: bytes) -> None:
    with pytest.raises(Malformed):
        office.audit(data)


def test_a_file_that_ends_early(office: Office) -> None:
    office.close_all()
    data = office.file()
    for end in (len(data) - 1, len(data) // 2):
        with pytest.raises((Malformed, VerificationFailed)):
            office.audit(data[:end])
