"""Reimbursers' desks over a city: an insurer, a mutual society and a fund with a law behind it.

Invariant: nothing here is a stand-in; who acts as holder has the bill's key from its issuer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from acts import founder
from nacl.signing import SigningKey
from offices import HOSPITAL, City, signer
from province import REIMBURSER_ACTIONS

from tallystick.apps.bills.catalogue import TYPES
from tallystick.apps.bills.claim_book import FILE, ClaimBook
from tallystick.apps.bills.claim_orders import LockOrder, Settlement
from tallystick.apps.bills.reimburser import Reimburser
from tallystick.contracts.bills.items.claims import (
    CancelReversal,
    MakePlan,
    PlannedShare,
    RequestReversal,
    SaidPlan,
)
from tallystick.contracts.bills.items.holders import Act, GiveMandate, SaidMandate
from tallystick.contracts.bills.records.bills import Bill, TypeRules, format_bill_id, parse_bill_id
from tallystick.contracts.kit.acts import act_id, act_message
from tallystick.ledger.engine import Committed
from tallystick.protocol.canonical import replace
from tallystick.protocol.values import format_instant

CODE = TYPES["outpatient"].code(2026)
RULES: TypeRules = replace(TYPES["outpatient"].rules, ack="record", partial_reversal=True)


def decision(name: str) -> bytes:
    """The digest of a reimburser's papers."""
    return sha256(name.encode()).digest()


class Desks(City):
    """A city whose bills are claimable once they are on the ledger."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            scenes={"outpatient": RULES},
            more=[
                founder("insurer", *REIMBURSER_ACTIONS),
                founder("mutual", *REIMBURSER_ACTIONS),
                founder("fund", *REIMBURSER_ACTIONS, "bills.statute"),
            ],
        )

    def bills(self, *seeds: int) -> list[Bill]:
        """Bills of the hospital."""
        with self.office() as office:
            done = office.issue([self.draft(seed) for seed in seeds])
        assert all(each.accepted for each in done), done
        return [self.bill(each.code, each.number) for each in done]

    def again(self, bill: Bill) -> Bill:
        """As it is now."""
        return self.bill(*parse_bill_id(bill.id))

    def mandate(self, bill: Bill, reader: str, **fields: Any) -> dict[str, Any]:
        """Of a lock order: a mandate to this reader, and the bill opened to it."""
        with self.office() as office:
            key = office.bill_key(*parse_bill_id(bill.id))
        said = SaidMandate(
            **{
                "nonce": self.nonce(),
                "reader": reader,
                "purpose": "claim",
                "fields": bytes(32),
                "until": format_instant(self.now + 300 * 86_400),
                **fields,
            }
        )
        message = act_message(self.node.network, "bills.mandate/1", said)
        signature = SigningKey(key.seed).sign(message).signature
        act = Act(key=key.public_key, signature=signature)
        self.act("mutual", "bills.mandate", GiveMandate(nonce=self.nonce(), said=said, act=act))
        return {"right": "mandate", "right_id": act_id(message), "opening": key.opening}

    def plan(self, bill: Bill, mode: Any, *shares: str) -> None:
        """The issuer's plan: the shares in order of their ranks."""
        said = SaidPlan(
            nonce=self.nonce(),
            bill=bill.id,
            bound=0,
            mode=mode,
            shares=[
                PlannedShare(reimburser=org, purpose="claim", rank=n)
                for n, org in enumerate(shares, start=1)
            ],
            until=format_instant(self.now + 3_600) if mode == "atomic" else None,
        )
        self.act(HOSPITAL, "bills.plan", MakePlan(nonce=self.nonce(), said=said))

    def ask_to_reverse(self, bill: Bill) -> None:
        """The issuer does."""
        self.act(HOSPITAL, "bills.reversal_request", self._of(RequestReversal, bill))

    def reverse_no_more(self, bill: Bill) -> None:
        """The issuer changes its mind."""
        self.act(HOSPITAL, "bills.cancel_reversal", self._of(CancelReversal, bill))

    def _of(self, kind: Any, bill: Bill) -> Any:
        version = self.again(bill).version
        return kind(nonce=self.nonce(), bill=bill.id, version=version, reason="refund")

    @contextmanager
    def reimburser(
        self,
        org: str = "fund",
        submit: Callable[[bytes], Future[Committed]] | None = None,
        **more: Any,
    ) -> Iterator[Reimburser]:
        """A reimburser's desk; leaving it without more is what a crash leaves behind."""
        folder = self.folder / org
        if not (folder / FILE).exists():
            ClaimBook.make(folder, org=org, network=self.node.network).close()
        with ClaimBook.open(folder) as book:
            yield Reimburser(
                folder,
                book,
                signer=signer(f"{org}/key"),
                submit=submit or self.node.submit,
                view=self.node.view,
                clock=lambda: self.now,
                answer_seconds_max=60,
                pause=lambda _: None,
                **more,
            )


def order(bill: Bill | int, amount: int, **fields: Any) -> LockOrder:
    """Of a lock by law, on the basis of cash and account."""
    named: dict[str, Any] = {"purpose": "claim", "right": "statute", "basis": "cash_account"}
    text = format_bill_id(CODE, bill) if isinstance(bill, int) else bill.id
    return LockOrder(bill=text, amount=amount, **(named | fields))


def settle_whole(desk: Reimburser, bill: Bill, amount: int, **fields: Any) -> int:
    """Lock and settle; the claim's id."""
    locked = desk.lock([order(bill, amount, **fields)])[0]
    assert locked.accepted and locked.claim is not None, locked
    settled = desk.settle([Settlement(locked.claim, amount, decision(f"{desk.org} {bill.id}"))])[0]
    assert settled.accepted and settled.state == "settled", settled
    return locked.claim
