"""An office that is cut off: what it signs, what it refuses, and how all of it is handed in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from offices import HOSPITAL, VAULT_KEY, City, signer

from tallystick.apps.bills.acts import Issued
from tallystick.apps.bills.catalogue import TYPES
from tallystick.apps.bills.holders import derive_holder_key
from tallystick.apps.bills.office import PENDING
from tallystick.apps.bills.reserve import (
    SIGNED,
    Kit,
    OfflineOffice,
    make_kit,
    read_kit,
    waiting,
)
from tallystick.contracts.bills.items.bills import Allot, Block
from tallystick.contracts.bills.views.bills import find_allotment
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.vault import Vault

CODE = 33060126
FIRST = 50_001
DAYS = 7
DAY = 86_400


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    with City(tmp_path, scenes={"outpatient": TYPES["outpatient"].rules}) as made:
        reserve = Allot(
            nonce=made.nonce(),
            code=CODE,
            level=3,
            first=FIRST,
            last=FIRST + 9,
            holder=HOSPITAL,
            parent=Block(level=0, first=1),
            offline_days=DAYS,
        )
        made.act("finance", "bills.allot", reserve)
        yield made


def kit_of(city: City) -> Kit:
    with city.node.view() as view:
        return make_kit(
            view, city.node.network, signer(f"{HOSPITAL}/key").public_key, (CODE, 3, FIRST)
        )


@contextmanager
def cut_off(city: City, kit: Kit) -> Iterator[OfflineOffice]:
    folder = city.folder / HOSPITAL
    folder.mkdir(exist_ok=True)
    with Vault.open(folder / "vault", VAULT_KEY) as vault:
        yield OfflineOffice(
            folder,
            vault,
            kit,
            signer=signer(f"{HOSPITAL}/key"),
            holder_key=derive_holder_key(VAULT_KEY),
            clock=lambda: city.now,
        )


def outcomes(answers: list[Issued]) -> list[str]:
    return [each.outcome for each in answers]


def test_bills_are_signed_while_cut_off_and_handed_in_days_later(city: City) -> None:
    kit = read_kit(encode(kit_of(city)))
    assert [(each.first, each.last) for each in kit.free] == [(FIRST, FIRST + 9)]
    with cut_off(city, kit) as office:
        made = office.issue([city.draft(1), city.draft(2)])
    assert outcomes(made) == [SIGNED] * 2
    assert [one.number for one in made] == [FIRST, FIRST + 1]
    day = city.now
    city.now += 6 * DAY
    folder = city.folder / HOSPITAL
    assert waiting(folder) == [(CODE, FIRST), (CODE, FIRST + 1)]
    with city.office() as online:
        assert outcomes(online.resolve()) == ["accepted"] * 2
        assert waiting(folder) == []
        bill = city.bill(CODE, FIRST)
        assert (bill.offline, bill.good, bill.root is not None) == (True, True, True)
        assert online.status(CODE, FIRST).word == "issuing"
        assert online.bill_key(CODE, FIRST).commitment == bill.holder
        assert outcomes(online.issue([city.draft(3)])) == ["accepted"]
        assert not city.bill(CODE, 1).offline
    with city.node.view() as view:
        row = find_allotment(view, CODE, 3, FIRST)
    assert row is not None
    assert (row.issued, row.next) == (2, FIRST + 2)
    assert day < city.now


def test_handed_in_twice_it_has_its_old_answer(city: City) -> None:
    with cut_off(city, kit_of(city)) as office:
        office.issue([city.draft(1)])
    pending = city.folder / HOSPITAL / PENDING
    (path,) = pending.iterdir()
    data = path.read_bytes()
    with city.office() as online:
        (first,) = online.resolve()
    path.write_bytes(data)
    with city.office() as online:
        (again,) = online.resolve()
    assert (again.outcome, again.entry) == ("accepted", first.entry)


def test_an_old_kit_takes_no_number_twice(city: City) -> None:
    kit = kit_of(city)
    with cut_off(city, kit) as office:
        office.issue([city.draft(1)])
    with cut_off(city, kit) as office:
        (second,) = office.issue([city.draft(2)])
        assert second.number == FIRST + 1
    with city.office() as online:
        online.resolve()
    with cut_off(city, kit) as office:
        assert [one.number for one in office.issue([city.draft(3)])] == [FIRST + 2]
        rest = office.issue([city.draft(seed) for seed in range(4, 13)])
    assert outcomes(rest) == [SIGNED] * 7 + ["bills.number_not_allocated"] * 2
    assert kit_of(city).free[0].first == FIRST + 2


def test_what_came_too_late_is_refused_and_its_number_stays_out_of_use(city: City) -> None:
    kit = kit_of(city)
    with cut_off(city, kit) as office:
        office.issue([city.draft(1)])
    city.now += (DAYS + 1) * DAY
    with city.office() as online:
        assert outcomes(online.resolve()) == ["ledger.expired"]
        assert online.status(CODE, FIRST).word == "refused"
    with cut_off(city, kit) as office:
        assert [one.number for one in office.issue([city.draft(2)])] == [FIRST + 1]


def test_what_the_ledger_would_refuse_is_refused_at_the_desk(city: City) -> None:
    good = city.draft(1)
    late = replace(city.draft(2), issued_at="2025-12-31T16:00:00Z")
    ahead = replace(city.draft(3), issued_at="2026-03-01T00:00:00Z")
    with cut_off(city, kit_of(city)) as office:
        answers = office.issue(
            [
                replace(good, total=good.total + 1),
                late,
                ahead,
                replace(good, kind="red"),
                replace(good, business_codes=("not a code",)),
                good,
                good,
            ]
        )
        assert [(one.outcome, one.path) for one in answers[:4]] == [
            ("bills.sum_items", "total"),
            ("bills.time_too_old", "issued_at"),
            ("bills.time_future", "issued_at"),
            ("bills.relation_invalid", "kind"),
        ]
        assert outcomes(answers[4:]) == ["office.malformed", SIGNED, "bills.bizcode_conflict"]
        assert answers[5].number == FIRST
        city.now += 400 * DAY
        (closed,) = office.issue([good])
    assert closed.outcome == "bills.block_closed"


def test_a_kit_is_of_a_reserve_and_for_its_holders_key(city: City) -> None:
    key = signer(f"{HOSPITAL}/key").public_key
    network = city.node.network
    with city.node.view() as view:
        for place, signs, reason in (
            ((CODE, 3, 1), key, "bills.offline_only"),
            ((CODE, 3, 7), key, "bills.number_not_allocated"),
            ((CODE, 3, FIRST), signer("finance/key").public_key, "ledger.key_not_senders"),
            ((CODE, 3, FIRST), signer("nobody").public_key, "ledger.key_unknown"),
            ((CODE, 3, FIRST), signer(f"{HOSPITAL}/root").public_key, "ledger.key_unknown"),
        ):
            with pytest.raises(Rejected) as refused:
                make_kit(view, network, signs, place)
            assert refused.value.reason == reason
    other = replace(kit_of(city), key=signer("other").public_key)
    with pytest.raises(Rejected, match="another key"), cut_off(city, other):
        pass
    for data in (b"", b"{}", b" " * 2_000_000):
        with pytest.raises(Malformed):
            read_kit(data)
