"""The issuer's office over a real node: what it issues, what it refuses, what survives a crash."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace as changed
from pathlib import Path

import pytest
from offices import HOSPITAL, VAULT_KEY, City, signer

from tallystick.apps.bills.acts import Replacement, Reversal
from tallystick.apps.bills.catalogue import TYPES, Scene
from tallystick.apps.bills.checks import RecordHalf, check_content
from tallystick.apps.bills.generate import make_refund
from tallystick.apps.bills.office import MALFORMED, NEVER_SENT
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.views.bills import record_view
from tallystick.ledger.engine import Committed, Stopped
from tallystick.protocol.canonical import decode, replace
from tallystick.protocol.errors import Busy
from tallystick.protocol.values import format_instant

CODE = 33060126
CHECKUP = 33060326


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    scenes: tuple[Scene, ...] = ("outpatient", "checkup", "metro_ride")
    with City(tmp_path, scenes={scene: TYPES[scene].rules for scene in scenes}) as made:
        yield made


def vanish(_: bytes) -> Future[Committed]:
    """An engine that stops before anything is taken."""
    raise Stopped("gone")


def test_a_hundred_bills_are_issued_in_order(city: City) -> None:
    with city.office() as office:
        issued = office.issue(city.draft(seed) for seed in range(100))
        assert [(one.code, one.number) for one in issued] == [(CODE, n) for n in range(1, 101)]
        assert all(one.accepted for one in issued)
        for one in issued:
            row = city.bill(one.code, one.number)
            assert row.entry == one.entry
            assert row.root is not None
            half = RecordHalf(TYPES["outpatient"].rules, record_view(row, city.node.network))
            opened = office.vault.show(
                one.code, one.number, root=row.root, record=half, check=check_content
            )
            assert decode(opened.body, Body).issuer == HOSPITAL
            assert office.bill_key(one.code, one.number).commitment == row.holder


def test_more_than_a_batch_is_sent_in_several(city: City) -> None:
    with city.office() as office:
        issued = office.issue(city.draft(seed, "metro_ride") for seed in range(1_100))
        assert [one.number for one in issued] == list(range(1, 1_101))
        assert len({one.tx_id for one in issued}) == 2
        assert [one.n for one in issued[-100:]] == list(range(100))


def test_an_unsound_draft_is_refused_with_its_field_and_uses_no_number(city: City) -> None:
    good = city.draft(1)
    drafts = [
        replace(good, total=good.total + 1),
        replace(good, business_codes=("not a code",)),
        replace(city.draft(2), payer=replace(good.payer, name="")),
        replace(good, kind="red"),
        replace(good, code=33990126, type=339901),
        city.draft(3),
    ]
    with city.office() as office:
        answers = office.issue(drafts)
    assert [(one.outcome, one.path) for one in answers] == [
        (BillsReason.SUM_ITEMS, "total"),
        (MALFORMED, "business_codes/0"),
        (BillsReason.PARTY_ID_INVALID, "payer/name"),
        (BillsReason.RELATION_INVALID, "kind"),
        (BillsReason.NUMBER_NOT_ALLOCATED, "code"),
        ("accepted", ""),
    ]
    assert answers[-1].number == 1


def test_one_business_code_has_one_bill(city: City) -> None:
    with city.office() as office:
        first, again, other = office.issue([city.draft(1), city.draft(1), city.draft(2)])
        assert (first.number, other.number) == (1, 3)
        assert (again.outcome, again.path) == (BillsReason.BIZCODE_CONFLICT, "business_codes/0")
        assert office.issue([city.draft(3)])[0].number == 2, "what was free is used first"


def test_a_bill_that_the_ledger_refuses_leaves_its_number_to_the_next(city: City) -> None:
    late = replace(city.draft(1), issued_at="2026-01-01T00:00:00Z")
    with city.office() as office:
        refused, issued = office.issue([late, city.draft(2)])
        assert refused.outcome == BillsReason.TIME_TOO_OLD
        assert office.status(CODE, refused.number).word == "refused"
        assert issued.accepted
        assert office.issue([city.draft(1)])[0].number == refused.number == 1
    with city.office() as office:
        assert office.issue([city.draft(9)])[0].number == 3


def test_a_gap_is_found_again_after_a_restart(city: City) -> None:
    late = replace(city.draft(1), issued_at="2026-01-01T00:00:00Z")
    with city.office() as office:
        office.issue([late, city.draft(2)])
    with city.office() as office:
        assert [one.number for one in office.issue([city.draft(3), city.draft(4)])] == [1, 3]


def test_a_full_reversal_frees_the_business_code(city: City) -> None:
    with city.office() as office:
        blue = office.issue([city.draft(1)])[0]
        red = office.reverse([Reversal(CODE, blue.number, "refund")])[0]
        assert red.accepted and red.number == 2
        assert city.bill(CODE, 1).state == "reversed"
        assert city.bill(CODE, 2).reversal_of == city.bill(CODE, 1).id
        assert office.status(CODE, 1).state == "reversed"
        again = office.issue([replace(city.draft(1), ordinal=2)])[0]
        assert again.accepted


def test_a_part_is_taken_off_where_the_type_allows_it(city: City) -> None:
    with city.office() as office:
        blue = office.issue([city.draft(1, "checkup")])[0]
        whole = decode(office.vault.get(CHECKUP, blue.number)[0], Body)
        part = Reversal(CHECKUP, blue.number, "refund", draft=make_refund(whole, 100))
        assert office.reverse([part])[0].accepted
        row = city.bill(CHECKUP, blue.number)
        assert (row.state, row.amounts["reversed"]) == ("partly_reversed", 100)
        rest = office.reverse([Reversal(CHECKUP, blue.number, "refund")])[0]
        assert (rest.outcome, rest.path) == (BillsReason.REV_EXCEEDS, "draft")


def test_a_replacement_is_the_next_for_the_same(city: City) -> None:
    with city.office() as office:
        blue = office.issue([city.draft(1)])[0]
        draft = replace(city.draft(7), business_codes=city.draft(1).business_codes)
        done = office.replace([Replacement(CODE, blue.number, "wrong_data", draft)])[0]
        assert done.accepted and done.number == 3
        old, new = city.bill(CODE, 1), city.bill(CODE, 3)
        assert (old.state, old.replaced_by, new.replaces) == ("reversed", new.id, old.id)
        body = decode(office.vault.get(CODE, 3)[0], Body)
        assert (body.ordinal, body.relates and body.relates.replaces) == (2, old.id)
        red = decode(office.vault.get(CODE, 2)[0], Body)
        assert (red.kind, red.total) == ("red", old.amounts["total"])


def test_what_is_not_ours_to_reverse(city: City) -> None:
    with city.office() as office:
        answers = office.reverse([Reversal(CODE, 5, "refund")])
        assert [(one.outcome, one.path) for one in answers] == [
            (BillsReason.REV_NOT_FOUND, "bill"),
        ]
        unknown = office.withhold([(CODE, 5)], "arrears")[0]
        assert unknown.outcome == BillsReason.BILL_UNKNOWN


@pytest.mark.parametrize("reason", ["Wrong patient", "", "开错", "x" * 41])
def test_a_reason_that_no_ledger_could_read_is_refused_here_and_holds_nothing_up(
    city: City, reason: str
) -> None:
    with city.office() as office:
        bill = office.issue([city.draft(1)])[0]
        what = (bill.code, bill.number)
        refused = [
            *office.reverse([Reversal(*what, reason)]),
            *office.replace([Replacement(*what, reason, city.draft(2))]),
            *office.withhold([what], reason),
        ]
    assert [(one.outcome, one.path) for one in refused] == [(MALFORMED, "reason")] * 3
    with city.office() as office:
        (red,) = office.reverse([Reversal(*what, "wrong_patient")])
        assert red.accepted and red.number == 2, "no number was used up"
        (again,) = office.reverse([Reversal(*what, "wrong_patient")])
        assert (again.outcome, again.path) == (BillsReason.REV_ENDED, "bill")


def test_a_bill_is_withheld_and_released(city: City) -> None:
    with city.office() as office:
        blue = office.issue([city.draft(1)])[0]
        assert office.withhold([(CODE, blue.number)], "arrears")[0].accepted
        assert not city.bill(CODE, blue.number).circulable
        assert office.release([(CODE, blue.number)], "paid")[0].accepted
        assert city.bill(CODE, blue.number).circulable


# --------------------------------------------------------------------------------- crashes


class Unplugged:
    """A signer that never comes to sign."""

    public_key = signer(f"{HOSPITAL}/key").public_key

    def sign(self, message: bytes) -> bytes:
        raise KeyboardInterrupt


def test_a_crash_before_the_transaction_exists_frees_number_and_business_code(city: City) -> None:
    with city.office(key=Unplugged()) as office, pytest.raises(KeyboardInterrupt):
        office.issue([city.draft(1), city.draft(2)])
    with city.office() as office:
        assert office.status(CODE, 1).word == "issuing"
        assert [one.outcome for one in office.resolve()] == [NEVER_SENT, NEVER_SENT]
        assert office.resolve() == []
        assert [one.number for one in office.issue([city.draft(2), city.draft(1)])] == [1, 2]


def test_a_crash_before_the_answer_is_healed_by_asking_again(city: City) -> None:
    """The transaction was not taken, or taken without our learning of it: both end the same."""
    for submit in (vanish, lambda data: fail_after(city, data)):
        seed = 1 if submit is vanish else 2
        with city.office(submit) as office, pytest.raises(Stopped):
            office.issue([city.draft(seed)])
        with city.office() as office:
            assert office.status(CODE, seed).word == "issuing"
            answers = office.resolve()
            assert [(one.outcome, one.number) for one in answers] == [("accepted", seed)]
            assert office.resolve() == []
            assert len(office.vault.outbox.owed()) == seed, "each body is owed once"
    with city.office() as office:
        assert office.issue([city.draft(3)])[0].number == 3


def fail_after(city: City, data: bytes) -> Future[Committed]:
    """The ledger takes it, the answer is lost."""
    city.node.submit(data).result(60)
    raise Stopped("gone")


def test_a_lost_answer_is_found_although_the_engine_has_forgotten(city: City) -> None:
    with city.office(lambda data: fail_after(city, data)) as office, pytest.raises(Stopped):
        office.issue([city.draft(1), replace(city.draft(2), issued_at="2026-01-01T00:00:00Z")])
    city.now += 4 * 86_400
    with city.office() as office:
        ride = office.issue([city.draft(9, "metro_ride")])[0]  # its block drops the old key
        assert ride.accepted
        answers = office.resolve()
        assert [one.outcome for one in answers] == ["accepted", BillsReason.TIME_TOO_OLD]
        assert answers[0].entry == city.bill(CODE, 1).entry


def test_a_transaction_that_expired_unseen_gives_its_numbers_back(city: City) -> None:
    with city.office(vanish) as office, pytest.raises(Stopped):
        office.issue([city.draft(1)])
    city.now += 7_200
    with city.office() as office:
        assert [one.outcome for one in office.resolve()] == ["ledger.expired"]
        assert office.issue([city.draft(1)])[0].number == 1


def test_a_vault_that_forgot_the_answer_learns_it_from_the_ledger(city: City) -> None:
    """As after a restored backup: the body is there as prepared, no transaction is pending."""
    with city.office(lambda data: fail_after(city, data)) as office, pytest.raises(Stopped):
        office.issue([city.draft(1)])
    for path in (city.folder / HOSPITAL / "pending").glob("*.tx"):
        path.unlink()
    with city.office() as office:
        answers = office.resolve()
        assert [(one.outcome, one.entry) for one in answers] == [
            ("accepted", city.bill(CODE, 1).entry)
        ]
        assert len(office.vault.outbox.owed()) == 1


def test_a_busy_engine_is_asked_again(city: City) -> None:
    tries: list[int] = []

    def busy_once(data: bytes) -> Future[Committed]:
        tries.append(1)
        if len(tries) == 1:
            raise Busy(0.5)
        return city.node.submit(data)

    with city.office(busy_once) as office:
        assert office.issue([city.draft(1)])[0].accepted
    assert len(tries) == 2


def test_the_last_number_is_the_last(tmp_path: Path) -> None:
    with (
        City(tmp_path, scenes={"metro_ride": TYPES["metro_ride"].rules}, block=2) as city,
        city.office() as office,
    ):
        answers = office.issue(city.draft(seed, "metro_ride") for seed in range(3))
        assert [one.outcome for one in answers[:2]] == ["accepted"] * 2
        assert answers[2].outcome == BillsReason.NUMBER_NOT_ALLOCATED
        assert office.status(33120126, 1).word == "issued", "the record is the acknowledgement"
        assert office.status(33120126, 3).word == "unknown"


def test_the_secrets_show_nothing(city: City) -> None:
    with city.office() as office:
        blue = office.issue([city.draft(1)])[0]
        key = office.bill_key(CODE, blue.number)
        with pytest.raises(KeyError):
            office.bill_key(CODE, 77)
    assert key.seed.hex() not in repr(key) and repr(key.seed) not in repr(key)
    assert key.seed != VAULT_KEY


def test_the_version_in_force_at_the_time_of_issue_is_used(city: City) -> None:
    kind = TYPES["outpatient"]
    strict = changed(kind, rules=replace(kind.rules, max_items=1))
    then = format_instant(city.now + 300)
    with city.office() as office:
        assert office.issue([city.draft(1)])[0].accepted
        item = strict.define(nonce=city.nonce(), valid_from=then, type_version=2)
        city.act("finance", "bills.define_type", item)
        many = next(d for d in map(city.draft, range(2, 50)) if len(d.items) > 1)
        city.now += 300
        late = replace(many, issued_at=format_instant(city.now), business_codes=("LATE",))
        before, after = office.issue([many, late])
        assert before.accepted and city.bill(CODE, before.number).type_version == 1
        assert (after.outcome, after.path) == (BillsReason.ITEM_LIMIT, "items")
        unknown = replace(many, issued_at="2025-06-01T00:00:00Z")
        assert office.issue([unknown])[0].outcome == BillsReason.TYPE_UNKNOWN
