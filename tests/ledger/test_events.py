"""The log as events: complete, in order, each once, and only what its reader may see."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from acts import public_key
from followed import Followed
from province import CODE

from tallystick.contracts.members.actions.keys import AddKey, RevokeKey
from tallystick.contracts.members.records import NewKey
from tallystick.ledger.events import REFUSED, EventSource, Page, Viewer
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.event import START, Event, Filter

HOSPITAL, CLINIC, FINANCE = Viewer("hospital"), Viewer("clinic"), Viewer("finance")
INSURER = Viewer("insurer")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    made = Followed(tmp_path_factory.mktemp("world") / "ledger")
    made.bills(1, 60)
    made.bills(61, 90, each=45)
    made.bills(1_001, 5, sender="clinic")
    made.settled(7)
    assert made.issue(60, 200) == ["bills.number_used", "accepted"]
    made.publish()
    return made


def everything(
    source: EventSource, viewer: Viewer, wanted: Filter | None = None, limit: int = 50
) -> list[Event]:
    found, cursor = list[Event](), START
    while cursor < source.newest():
        page = source.seen(cursor, wanted or Filter(), viewer, limit)
        assert page.reached > cursor
        found += page.events
        cursor = page.reached
    return found


def types(events: list[Event]) -> set[str]:
    return {about.type for each in events for about in each.about}


# ------------------------------------------------------------------------------ completeness


@pytest.mark.parametrize("limit", [1, 7, 44, 500])
def test_every_entry_is_told_once_in_order(world: Followed, limit: int) -> None:
    source, found, cursor = world.source(), list[Event](), START
    while cursor < source.newest():
        page = source.after(cursor, limit)
        assert len(page.events) <= limit
        found, cursor = found + page.events, page.reached
    told = [(each.index, each.sender, each.outcome) for each in found]
    assert told == world.entries()
    assert source.after(cursor, limit) == Page([], cursor)


def test_from_any_cursor_the_rest_is_told(world: Followed) -> None:
    source, chance = world.source(ring_max=40), random.Random(9)
    rest = world.entries()
    whole = {each.index: each for each in everything(world.source(), FINANCE)}
    for _ in range(60):
        cursor = chance.randrange(START, world.published)
        page = source.after(cursor, chance.choice((1, 5, 100)))
        expected = [index for index, _, _ in rest if cursor < index <= page.reached]
        assert [each.index for each in page.events] == expected
        assert all(each == whole.get(each.index, each) for each in page.events)


def test_nothing_beyond_the_published_size_is_told(world: Followed) -> None:
    source, size = world.source(), world.published
    world.published = 30
    try:
        assert max(each.index for each in everything(source, FINANCE)) < 30
        assert source.after(29) == Page([], 29)
        assert source.newest() == 29
    finally:
        world.published = size
    assert source.after(29).events


def test_who_follows_reads_the_log_once_for_all(tmp_path: Path) -> None:
    world = Followed(tmp_path / "ledger")
    opened = 0
    source = world.source(ring_max=64)
    read = source._read

    def counting(first: int, size: int) -> object:
        nonlocal opened
        opened += 1
        return read(first, size)

    source._read = counting  # type: ignore[method-assign, assignment]  # counts, changes nothing
    cursors = [source.newest()] * 20
    told: list[list[int]] = [[] for _ in cursors]
    for start in range(1, 101, 10):
        world.bills(start, 10, each=10)
        for n, cursor in enumerate(cursors):
            page = source.after(cursor)
            told[n] += [each.index for each in page.events]
            cursors[n] = page.reached
    assert opened == 10
    assert told == [told[0]] * 20
    assert len(told[0]) == 100
    assert len(source._ring.events) <= 64 * 5 // 4
    behind, cursor = [], START
    while cursor < source.newest():  # who is behind reads the log, and joins the others
        page = source.after(cursor, 13)
        behind += [each.index for each in page.events]
        cursor = page.reached
    assert behind[-100:] == told[0]
    assert all(a < b for a, b in pairwise(behind))
    assert opened <= 12


# -------------------------------------------------------------------------------- visibility


def test_a_member_sees_what_concerns_it(world: Followed) -> None:
    source = world.source()
    mine = everything(source, HOSPITAL)
    bills = {ids["bill"] for each in mine for ids in (each.about[0].ids,) if "bill" in ids}
    assert len(bills) == 151
    assert types(everything(source, CLINIC)) == {
        *("bill.issued", "numbers.allotted", "type.defined")
    }
    assert not any("hospital" in str(each) for each in everything(source, CLINIC))
    assert len(everything(source, FINANCE)) == len(world.entries()) - 1


def test_what_was_refused_is_told_to_its_sender_alone(world: Followed) -> None:
    refused = [each for each in everything(world.source(), HOSPITAL) if each.outcome != "accepted"]
    assert [each.outcome for each in refused] == ["bills.number_used"]
    assert types(refused) == {REFUSED}
    assert REFUSED not in types(everything(world.source(), FINANCE))


def test_an_issuer_is_told_of_claims_without_names_and_no_filter_finds_them(
    world: Followed,
) -> None:
    source = world.source()
    wanted = Filter(types=["claim.*"])
    mine = everything(source, HOSPITAL, wanted)
    assert types(mine) == {"claim.locked", "claim.settled"}
    assert "insurer" not in str(mine)
    assert all(each.sender is None for each in mine)
    owner = everything(source, INSURER, wanted)
    assert [each.about[0].ids["reimburser"] for each in owner] == ["insurer", "insurer"]
    for guess in ("insurer", "*", "i*"):
        by_name = Filter(ids={"reimburser": guess})
        assert everything(source, HOSPITAL, by_name) == []
        assert len(everything(source, FINANCE, by_name)) == 2


def test_filters(world: Followed) -> None:
    source = world.source()
    for ids in ({"issuer": "clinic"}, {"code": "3306*", "issuer": "cli*"}):
        found = everything(source, FINANCE, Filter(types=["bill.issued"], ids=ids))
        assert [each.about[0].ids["issuer"] for each in found] == ["clinic"] * 5
    only = Filter(ids={"bill": f"{CODE}:0000000007"})
    assert types(everything(source, FINANCE, only)) == {
        *("bill.issued", "claim.locked", "claim.settled")
    }
    assert everything(source, FINANCE, Filter(ids={"code": "44*"})) == []
    everything_else = Filter(types=["numbers.*", "type.defined"])
    assert types(everything(source, FINANCE, everything_else)) == {
        *("numbers.allotted", "type.defined")
    }


@pytest.mark.parametrize(
    "wanted",
    [Filter(types=["bill.issed"]), Filter(types=["bills.*"]), Filter(ids={"patient": "x"})],
)
def test_a_filter_that_can_match_nothing_is_refused(world: Followed, wanted: Filter) -> None:
    with pytest.raises(Malformed):
        world.source().check(wanted)
    world.source().check(Filter(types=["*", "bill.*", REFUSED], ids={"issuer": "x"}))


# -------------------------------------------------------------------------------------- keys


def test_what_a_key_is_for_bounds_what_it_is_told(tmp_path: Path) -> None:
    world = Followed(tmp_path / "ledger")
    world.bills(1, 3)

    def add(name: str, sender: str = "finance", until: str | None = None, codes: int = 0) -> Viewer:
        bound = [codes] if codes else []
        actions = ["bills.read" if name.endswith("reader") else "bills.issue"]
        new = NewKey(key=public_key(name), actions=actions, codes=bound, until=until)
        item = AddKey(nonce=world.nonce(), new=new)
        world.accept(sender, "members.add_key", item, key=f"{sender}/root")
        return Viewer(sender, public_key(name))

    source = world.source()
    reader, issuer = add("a reader"), add("an issuer")
    here, elsewhere = add("here reader", codes=3306), add("elsewhere reader", codes=44)
    world.publish()
    assert "bill.issued" in types(everything(source, reader))
    assert "bill.issued" not in types(everything(source, issuer))  # the key is for no reading
    assert types(everything(source, here)) == {"bill.issued", "numbers.allotted"}
    assert everything(source, elsewhere) == []
    narrow = reader._replace(codes=(44,))
    assert everything(source, narrow) == []
    wordless = reader._replace(words=("ledger.read",))
    assert "bill.issued" not in types(everything(source, wordless))

    short = add("a short reader", until="2026-01-05T05:00:00Z")
    source.admit(short)
    world.at += 3_600
    for viewer in (short, Viewer("hospital", reader.key), Viewer("finance", bytes(32))):
        with pytest.raises(Rejected):
            source.admit(viewer)
    revoke = RevokeKey(nonce=world.nonce(), key=reader.key, reason="lost")
    world.accept("finance", "members.revoke_key", revoke, key="finance/root")
    with pytest.raises(Rejected, match=r"ledger\.key_ended"):
        everything(source, reader)
