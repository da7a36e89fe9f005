"""A world whose events are followed: hospitals, an insurer that claims by law, a newest size.

Invariant: what is told is compared with the ledger's own transactions, read by other means.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from acts import founder
from claims_acts import CLAIMED_RULES
from province import CODE, ISSUER_ACTIONS, REIMBURSER_ACTIONS
from world import World, genesis_file

from tallystick.apps.bills.events import EVENTS as BILLS
from tallystick.apps.members.events import EVENTS as MEMBERS
from tallystick.contracts.bills.items.claims import Lock, Settle
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.contracts.bills.records.claims import Terms
from tallystick.contracts.kit.grants import find_grant
from tallystick.ledger.events import EventSource, combine
from tallystick.ledger.receipts import read_segment
from tallystick.protocol.values import format_instant

DOMAINS = combine({"bills": BILLS, "members": MEMBERS})


class Followed(World):
    """`published` is the size that others may know of; set by hand, or by `publish`."""

    def __init__(self, folder: Path) -> None:
        orgs = [
            founder("finance", "*"),
            founder("hospital", *ISSUER_ACTIONS),
            founder("clinic", *ISSUER_ACTIONS),
            founder("insurer", *REIMBURSER_ACTIONS, "bills.statute"),
        ]
        super().__init__(folder, genesis=genesis_file(orgs))
        self.published = 0
        self.decoded = 0
        self.prepare()
        self.publish()

    def define_item(self, **fields: Any) -> Any:
        return super().define_item(**({"rules": CLAIMED_RULES} | fields))

    def publish(self) -> int:
        self.published = self.ledger.head.size
        return self.published

    def source(self, **options: Any) -> EventSource:
        return EventSource(
            self.ledger.view,
            DOMAINS,
            published=lambda: self.published,
            clock=lambda: self.at,
            **options,
        )

    def entries(self) -> list[tuple[int, str, str]]:
        """(index, sender, outcome) of each entry, out of the stored transactions."""
        found = []
        for segment in self.ledger.store.segments(0, self.ledger.head.size):
            parts, _, outcomes = read_segment(segment)
            sender = parts.header.sender
            found += [(segment.first + n, sender, each) for n, each in enumerate(outcomes)]
        return found

    def bills(self, first: int, count: int, *, each: int = 1, sender: str = "hospital") -> None:
        """Issued without the audit, `each` in a transaction, and published."""
        base = 1 if sender == "hospital" else 1_001
        for start in range(first, first + count, each):
            items = [self.issue_item(number, first=base) for number in range(start, start + each)]
            self.put(self.transaction(sender, "bills.issue", *items))
        self.publish()

    def settled(self, number: int, amount: int = 500) -> None:
        """The insurer locks a bill and settles."""
        with self.ledger.view() as view:
            grant = find_grant(view, "insurer", "bills.statute", self.at)
        assert grant is not None
        terms = Terms(
            purpose="claim",
            basis="cash_account",
            benefit="indemnity",
            right="statute",
            right_id=grant.grant_id,
        )
        named: dict[str, Any] = {
            "bill": format_bill_id(CODE, number),
            "claim": self.nonce(),
            "terms": terms,
            "amount": amount,
        }
        until = format_instant(self.at + 3_600)
        lock = Lock(nonce=self.nonce(), until=until, **named)
        self.accept("insurer", "bills.lock", lock)
        settle = Settle(nonce=self.nonce(), decision=sha256(b"yes").digest(), **named)
        self.accept("insurer", "bills.settle", settle)
        self.publish()
