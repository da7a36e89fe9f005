"""The archive: what it takes, what it finds, and how far it says that all is checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from bodies import make_red
from vaults import (
    VAULT_KEY,
    business_of,
    check_content,
    expect,
    prepare,
    record_of,
    secret_of,
    send,
    tx_of,
)

from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.keyring import delivery_key_from_seed
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.vault import Archive, Expected, Prepared, Watermark, post

AT = 1_768_181_467
KEY = delivery_key_from_seed(secret_of(-1))
ISSUER = "hospital-01"


class Archives:
    """An archive beside a ledger that knows the records by (code, number)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: dict[tuple[int, int], Mapping[str, object]] = {}
        self.archive = self.open()

    def open(self) -> Archive[Mapping[str, object]]:
        return Archive.open(
            self.folder,
            VAULT_KEY,
            delivery_keys={KEY.public_key: KEY.private_key},
            fetch_record=lambda expected: self.records[expected.code, expected.number],
            check=check_content,
            business=business_of,
        )

    def reopen(self) -> None:
        self.archive.close()
        self.archive = self.open()

    def follow(self, bodies: dict[int, Prepared], *, size: int, **changes: Any) -> None:
        """The log has these records at these entries; `changes` are what it says otherwise."""
        for one in bodies.values():
            self.records[one.code, one.number] = {**record_of(one), **changes}
        self.archive.expect([expect(one, entry) for entry, one in bodies.items()], size=size)

    def receive(self, bodies: dict[int, Prepared], **head: Any) -> list[str]:
        data = [send(one, entry, KEY.public_key, **head) for entry, one in bodies.items()]
        return [outcome.status for outcome in self.archive.receive(data, at=AT)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Archives]:
    made = Archives(tmp_path / "archive")
    yield made
    made.archive.close()


def test_good_bodies_are_kept_and_counted(world: Archives) -> None:
    bodies = {seed * 2: prepare(seed) for seed in range(4)}
    world.follow(bodies, size=8)
    assert world.receive(bodies) == ["archived"] * 4
    assert world.receive(bodies) == ["already"] * 4
    world.reopen()
    for one in bodies.values():
        assert world.archive.get(one.code, one.number) == (one.body, one.secret)
    assert world.archive.watermark(ISSUER) == Watermark(8, ())
    assert world.archive.findings() == []
    with pytest.raises(KeyError):
        world.archive.get(33060126, 999)


def test_the_watermark_before_anything_is_known(world: Archives) -> None:
    assert world.archive.watermark(ISSUER) == Watermark(0, ())
    assert world.archive.told == (0, b"")
    world.archive.expect([], size=5, root=b"five")
    world.archive.expect([], size=3, root=b"three")
    assert world.archive.watermark(ISSUER) == Watermark(5, ())
    assert world.archive.told == (5, b"five")


def test_what_is_missing_is_excepted_and_by_issuer(world: Archives) -> None:
    bodies = {seed: prepare(seed) for seed in range(5)}
    theirs = {7: prepare(20, issuer="hospital-02")}
    world.follow(bodies | theirs, size=9)
    assert world.archive.issuers() == [(ISSUER, 4), ("hospital-02", 7)]
    world.receive({entry: one for entry, one in bodies.items() if entry not in (1, 3)})
    assert world.archive.watermark(ISSUER) == Watermark(9, ((33060126, 2), (33060126, 4)))
    assert world.archive.watermark("hospital-02") == Watermark(9, ((33060126, 21),))
    world.receive({1: bodies[1]})
    assert world.archive.watermark(ISSUER) == Watermark(9, ((33060126, 4),))
    with pytest.raises(KeyError):
        world.archive.get(33060126, 4)


def test_the_watermark_stops_where_exceptions_are_too_many(world: Archives) -> None:
    bodies = {seed * 10: prepare(seed) for seed in range(6)}
    world.follow(bodies, size=100)
    first = world.archive.watermark(ISSUER, exceptions_max=2)
    assert first == Watermark(20, ((33060126, 1), (33060126, 2)))
    world.receive({0: bodies[0]})
    second = world.archive.watermark(ISSUER, exceptions_max=2)
    assert second == Watermark(30, ((33060126, 2), (33060126, 3)))
    world.receive({30: bodies[30], 40: bodies[40]})
    third = world.archive.watermark(ISSUER, exceptions_max=2)
    assert third == Watermark(50, ((33060126, 2), (33060126, 3)))
    assert first.below <= second.below <= third.below
    assert world.archive.watermark(ISSUER, exceptions_max=0) == Watermark(10, ())


def test_the_watermark_stops_where_codes_are_too_many(world: Archives) -> None:
    bodies = {seed: prepare(seed, code=33060126 + seed) for seed in range(3)}
    world.follow(bodies, size=10)
    assert world.archive.watermark(ISSUER, codes_max=2) == Watermark(
        2, ((33060126, 1), (33060127, 2))
    )


def test_a_thousand_exceptions_and_no_more(world: Archives) -> None:
    one = expect(prepare(0), 0)
    entries = [
        Expected(n, one.network, ISSUER, tx_of(n), 0, one.code, n + 1, one.root)
        for n in range(1_005)
    ]
    world.archive.expect(entries, size=2_000)
    found = world.archive.watermark(ISSUER)
    assert (found.below, len(found.exceptions)) == (1_000, 1_000)


def test_a_body_that_the_record_does_not_commit_to_is_nobodys_fault(world: Archives) -> None:
    """Anyone can seal to the archive's key: no finding, and the right body is still taken."""
    one, other = prepare(1), prepare(2)
    world.follow({1: one}, size=5)
    forged = Prepared(
        **{name: getattr(one, name) for name in Prepared.__slots__} | {"body": other.body}
    )
    (outcome,) = world.archive.receive([send(forged, 1, KEY.public_key)], at=AT)
    assert (outcome.status, outcome.detail) == (
        "turned_away",
        "root: not the body that the record commits to",
    )
    assert world.archive.findings() == []
    assert world.archive.watermark(ISSUER).exceptions == ((one.code, one.number),)
    assert world.receive({1: one}) == ["archived"]


@pytest.mark.parametrize(
    ("head", "path"),
    [
        ({"tx": tx_of(77)}, "tx"),
        ({"n": 3}, "n"),
        ({"network": bytes(32)}, "network"),
        ({"purpose": "reimburse"}, "purpose"),
    ],
)
def test_a_delivery_about_another_record_is_turned_away(
    world: Archives, head: dict[str, Any], path: str
) -> None:
    one = prepare(1)
    world.follow({1: one}, size=5)
    (outcome,) = world.archive.receive([send(one, 1, KEY.public_key, **head)], at=AT)
    assert outcome.status == "turned_away"
    assert outcome.detail.startswith(f"{path}: ")


def test_bytes_that_are_no_delivery_do_not_stop_the_others(world: Archives) -> None:
    one = prepare(1)
    world.follow({1: one}, size=5)
    stranger = delivery_key_from_seed(secret_of(-9)).public_key
    data = [b"", b"junk\njunk", send(one, 1, stranger), send(one, 1, KEY.public_key)]
    statuses = [outcome.status for outcome in world.archive.receive(data, at=AT)]
    assert statuses == ["turned_away", "turned_away", "turned_away", "archived"]


def test_a_committed_body_that_breaks_a_rule_is_a_finding(world: Archives) -> None:
    good = prepare(1)
    bill = decode(good.body, Body)
    body = encode(replace(bill, total=bill.total + 1))
    bad = Prepared(**{name: getattr(good, name) for name in Prepared.__slots__} | {"body": body})
    world.follow({1: bad}, size=5)
    assert world.receive({1: bad}) == ["wrong"]
    assert world.receive({1: bad}) == ["already"]
    ((_, finding),) = world.archive.findings()
    assert (finding.kind, finding.issuer, finding.code, finding.number) == (
        *("content", ISSUER),
        *(bad.code, bad.number),
    )
    assert (finding.reason, finding.path) == (BillsReason.SUM_ITEMS, "total")
    assert len(finding.digest) == 32
    assert world.archive.watermark(ISSUER) == Watermark(5, ((bad.code, bad.number),))
    assert world.archive.get(bad.code, bad.number) == (bad.body, bad.secret), "the evidence"


def test_a_body_whose_open_half_is_not_the_records_is_a_finding(world: Archives) -> None:
    one = prepare(1)
    world.follow({1: one}, size=5, total=1)
    assert world.receive({1: one}) == ["wrong"]
    ((_, finding),) = world.archive.findings()
    assert (finding.reason, finding.path) == (BillsReason.BODY_MISMATCH, "total")


def test_the_digest_of_a_finding_cannot_be_guessed(world: Archives) -> None:
    one = prepare(1)
    world.follow({1: one}, size=5, total=1)
    world.receive({1: one})
    ((_, finding),) = world.archive.findings()
    assert replace(finding, nonce=bytes(16)).digest != finding.digest


def test_bodies_that_come_before_their_records_wait(world: Archives) -> None:
    bodies = {seed: prepare(seed) for seed in range(3)}
    assert world.receive(bodies) == ["waiting"] * 3
    assert world.archive.retry() == []
    world.reopen()
    world.follow({entry: bodies[entry] for entry in (0, 2)}, size=3)
    assert [outcome.status for outcome in world.archive.retry()] == ["archived"] * 2
    world.follow({1: bodies[1]}, size=4)
    assert [(one.status, one.number) for one in world.archive.retry()] == [("archived", 2)]
    assert world.archive.retry() == []
    assert world.archive.watermark(ISSUER) == Watermark(4, ())
    assert world.receive(bodies) == ["already"] * 3


def test_a_full_inbox_turns_early_ones_away(
    world: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "WAITING_MAX", 1)
    bodies = {seed: prepare(seed) for seed in range(2)}
    assert world.receive(bodies) == ["waiting", "turned_away"]
    world.follow({1: bodies[1]}, size=3)
    assert world.receive({1: bodies[1]}) == ["archived"]


def test_I10_repeats_of_a_business_code_are_found(world: Archives) -> None:
    code = ("VISIT-1",)
    bodies = {
        1: prepare(1, business_codes=code, settlement=None),
        2: prepare(2, business_codes=("X", *code), settlement=None),
        3: prepare(3, business_codes=code, settlement=None, purpose="registration"),
        4: prepare(4, business_codes=code, settlement=None, issuer="hospital-02"),
    }
    world.follow(bodies, size=9)
    assert world.receive(bodies) == ["archived"] * 4
    ((position, finding),) = world.archive.findings()
    assert (finding.kind, finding.number, finding.others) == ("repeated", 3, [(33060126, 2)])
    assert world.archive.findings(after=position) == []
    assert world.archive.watermark(ISSUER) == Watermark(9, ()), "a finding, not a wrong body"


def test_a_red_bill_repeats_nothing(world: Archives) -> None:
    blue = prepare(1, settlement=None)
    body = encode(make_red(decode(blue.body, Body), number=50))
    changed = {"number": 50, "kind": "red", "body": body, "business": ()}
    red = Prepared(**{name: getattr(blue, name) for name in Prepared.__slots__} | changed)
    world.follow({1: blue, 2: red}, size=9)
    assert world.receive({1: blue, 2: red}) == ["archived"] * 2
    assert world.archive.findings() == []


def test_the_next_ordinal_while_the_one_before_is_live(world: Archives) -> None:
    code = ("VISIT-1",)
    one = prepare(1, business_codes=code, settlement=None)
    two = prepare(2, business_codes=code, settlement=None, ordinal=2)
    world.follow({1: one, 2: two}, size=9)
    assert world.receive({2: two}) == ["archived"]
    assert world.archive.find_unreversed() == [], "the one before is not known yet"
    assert world.receive({1: one}) == ["archived"]
    (found,) = world.archive.find_unreversed()
    assert (found.kind, found.number, found.others) == ("unreversed", 3, [(33060126, 2)])
    world.archive.expect([], reversed=[(one.code, one.number)], size=10)
    assert world.archive.find_unreversed() == []


def test_two_bills_of_one_entry_are_two_bodies(world: Archives) -> None:
    """A replacement makes a red bill and a blue one in one entry."""
    one, two = prepare(1, settlement=None), prepare(2, settlement=None)
    for each in (one, two):
        world.records[each.code, each.number] = record_of(each)
    world.archive.expect([expect(one, 5), expect(two, 5)], size=9)
    archive = world.archive
    assert archive.watermark(ISSUER) == Watermark(9, ((one.code, 2), (two.code, 3)))
    assert archive.watermark(ISSUER, exceptions_max=1) == Watermark(5, ()), "none at the mark"
    assert archive.receive([send(one, 5, KEY.public_key)], at=AT)[0].status == "archived"
    assert archive.watermark(ISSUER, exceptions_max=0) == Watermark(5, ())
    assert archive.receive([send(two, 5, KEY.public_key)], at=AT)[0].status == "archived"
    assert archive.watermark(ISSUER) == Watermark(9, ())
    assert archive.get(one.code, 2)[0] != archive.get(two.code, 3)[0]
