"""The holder's log of a bill has all that touched it, by whom and what for, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desks import Desks, order, settle_whole
from offices import HOSPITAL, VAULT_KEY

from tallystick.apps.bills.acts import Reversal
from tallystick.apps.bills.holder_log import Touched, holder_log, in_vaults, on_ledger, read_of
from tallystick.contracts.bills.items.accounts import OrderErasure
from tallystick.contracts.bills.items.supervision import Answer, Dispute, Freeze, Lift
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import Bill, parse_bill_id
from tallystick.contracts.bills.records.supervision import Finding
from tallystick.protocol.canonical import encode
from tallystick.protocol.values import format_instant
from tallystick.vault import Archive, Read, Vault


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Desks]:
    with Desks(tmp_path) as made:
        yield made


def log_of(city: Desks, bill: Bill) -> list[Touched]:
    with city.node.view() as view:
        return list(on_ledger(view, bill.id))


def of_bill(city: Desks, bill: Bill, **fields: Any) -> dict[str, Any]:
    return {"nonce": city.nonce(), "bill": bill.id, "version": city.again(bill).version} | fields


def test_claims_and_their_refusals_are_told_with_names_and_sums(city: Desks) -> None:
    bill, other = city.bills(1, 2)
    with city.reimburser("fund") as fund, city.reimburser("insurer") as insurer:
        settle_whole(fund, other, 20)
        assert fund.lock([order(bill, 50)])[0].accepted
        refused = insurer.lock([order(bill, 10, **city.mandate(bill, "insurer"))])[0]
        assert refused.outcome == BillsReason.CLAIM_LOCKED
    told = log_of(city, bill)
    assert [(each.what, each.who, each.outcome) for each in told] == [
        ("bills.issue", HOSPITAL, "accepted"),
        ("bills.lock", "fund", "accepted"),
        ("bills.lock", "insurer", refused.outcome),
    ]
    assert (told[1].why, told[1].told["amount"], told[1].told["basis"]) == (
        *("claim", 50),
        "cash_account",
    )
    assert [each.entry for each in told] == sorted(each.entry or 0 for each in told)
    assert other.id.encode() not in encode(told)


def test_a_doubt_a_freeze_and_an_answer_are_told(city: Desks) -> None:
    bill, other = city.bills(1, 2)
    for each in (other, bill):
        city.act(
            "finance",
            "bills.dispute",
            Dispute(nonce=city.nonce(), bill=each.id, what="amounts", evidence=bytes(32)),
        )
    city.act(
        "finance",
        "bills.freeze",
        Freeze(**of_bill(city, bill, reason="inquiry", evidence=bytes(32))),
    )
    city.act("finance", "bills.lift", Lift(**of_bill(city, bill, reason="over")))
    with city.node.view() as view:
        findings = {row.bill: row.id for row in view.scan(Finding, "")}
    for each in (bill, other):
        answer = Answer(
            nonce=city.nonce(), finding=findings[each.id], answer=bytes(32), reason="explained"
        )
        city.act(HOSPITAL, "bills.answer", answer)
    assert [(each.what, each.who) for each in log_of(city, bill)] == [
        ("bills.issue", HOSPITAL),
        ("bills.dispute", "finance"),
        ("bills.freeze", "finance"),
        ("bills.lift", "finance"),
        ("bills.answer", HOSPITAL),
    ]


def test_a_right_is_told_under_the_name_of_its_reader_and_a_reversal_under_both(
    city: Desks,
) -> None:
    (bill,) = city.bills(1)
    with city.office() as office:
        red = office.reverse([Reversal(*parse_bill_id(bill.id), "refund")])[0]
        assert red.accepted, red
    told = log_of(city, bill)
    assert [each.what for each in told] == ["bills.issue", "bills.reverse"]
    assert told[1].told["reason"] == "refund"
    red_row = city.bill(red.code, red.number)
    (of_red,) = log_of(city, red_row)
    assert (of_red.what, of_red.told["bill"], of_red.told["number"]) == (
        *("bills.reverse", bill.id),
        red_row.id,
    )
    code, number = parse_bill_id(bill.id)
    with city.office() as office:
        assert [(read.who, read.why) for read in office.vault.reads(code, number)] == [
            (HOSPITAL, "reversal")
        ]


def test_vaults_and_ledger_are_one_log_in_the_order_of_time(city: Desks) -> None:
    bill, other = city.bills(1, 2)
    place = parse_bill_id(bill.id)
    city.now += 10
    with (
        city.office() as office,
        Archive[object].keeping(city.folder / "archive", VAULT_KEY) as archive,
    ):
        office.deliver(city.box)
        city.now += 10
        vault, at = office.vault, city.now
        vault.note_read(*place, at=at, who="fund", what="disclosed", why="claim", paths=["total"])
        vault.note_read(*place, at=at + 1, who="insurer", what="refused", why="consent_revoked")
        vault.note_read(*parse_bill_id(other.id), at=at, who="OTHERS-READER")
        archive.note_read(*place, at=at + 5, who="finance", why="audit")
        city.now += 10
        item = OrderErasure(
            nonce=city.nonce(),
            bill=bill.id,
            basis="legal_order",
            order=bytes(32),
            reason="court_order",
            copies=[HOSPITAL],
        )
        city.act("finance", "bills.order_erasure", item)
        vault.erase(*place, bytes(32), at=city.now + 1)
        with city.node.view() as view:
            log = holder_log(view, bill.id, {HOSPITAL: vault, "finance": archive})
        assert [(each.where, each.what, each.who, each.why, each.outcome) for each in log] == [
            ("ledger", "bills.issue", HOSPITAL, "", "accepted"),
            (HOSPITAL, "delivered", "", "", "accepted"),
            (HOSPITAL, "disclosed", "fund", "claim", "accepted"),
            (HOSPITAL, "refused", "insurer", "", "consent_revoked"),
            ("finance", "read", "finance", "audit", "accepted"),
            ("ledger", "bills.order_erasure", "finance", "", "accepted"),
            (HOSPITAL, "erased", "", bytes(32).hex(), "accepted"),
        ]
        assert log[2].paths == ["total"]
        assert [each.at for each in log] == sorted(each.at for each in log)
        assert b"OTHERS" not in encode(log) and other.id.encode() not in encode(log)
        assert list(in_vaults(other.id, {HOSPITAL: vault}))[-1].who == "OTHERS-READER"


def test_a_bill_that_is_not_there_has_no_log(city: Desks) -> None:
    with city.node.view() as view:
        assert holder_log(view, "33060126:0000000099", {}) == []


def test_a_read_that_was_refused_says_why(tmp_path: Path) -> None:
    refused = read_of(Read(at=1_768_181_467, who="x", what="refused"), "v")
    assert (refused.at, refused.outcome) == (format_instant(1_768_181_467), "refused")
    with Vault.open(tmp_path / "v", VAULT_KEY) as vault:
        assert list(in_vaults("33060126:0000000099", {"v": vault})) == []
