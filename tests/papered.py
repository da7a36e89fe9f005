"""The counter of the command line with paper forms, and bills that finance reimburses by law.

Those bills have no bodies: what is tried here is what stands on the ledger.

Invariant: the node that writes them is closed before any command runs.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from counter import Counter, done

from tallystick.apps.bills.catalogue import TYPES
from tallystick.cli.desk import open_node
from tallystick.contracts.bills.items.bills import Allot, Block, DefineType, Issue
from tallystick.contracts.bills.items.claims import Lock, Settle
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.contracts.bills.records.claims import Terms
from tallystick.engines.clock import Clock
from tallystick.keyring import load
from tallystick.node import Node
from tallystick.protocol.canonical import replace
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import format_instant

CHECKUP = replace(TYPES["checkup"].rules, ack="record")
ACTIONS = (
    *("bills.exchange", "bills.reprint", "bills.confirm_printed", "bills.cancel_exchange"),
    *("bills.recover", "bills.declare_lost", "bills.answer", "bills.void_numbers"),
)
SETTLED = 3_000
"""Fen, on bill 1, out of 5,000 that could be claimed."""


@dataclass(frozen=True, slots=True)
class Papered(Counter):
    """`claimed` bills 1 to 4 stand on the ledger; the hospital has the forms 1 to 5."""

    @property
    def claimed(self) -> int:
        """The code of bills that can be claimed."""
        return 33060300 + self.code % 100

    @property
    def forms(self) -> int:
        """The code of paper forms."""
        return 33061100 + self.code % 100

    def bill(self, number: int) -> str:
        return format_bill_id(self.claimed, number)

    def form(self, number: int) -> str:
        return format_bill_id(self.forms, number)

    def copy(self, folder: Path) -> Papered:
        shutil.copytree(self.folder, folder)
        return Papered(folder)

    def shown(self, number: int) -> Any:
        """What the ledger says of a claimed bill."""
        return done("bills", "show", self.bill(number), "--dir", self.ledger, "--json").json


def make_papered(counter: Counter, folder: Path) -> Papered:
    """A copy of the counter, with all that above."""
    shutil.copytree(counter.folder, folder)
    papered = Papered(folder)
    give = ("members", "give", "hospital-01", "--source", "founding.0")
    assert papered.act("finance", *give, *_each("--action", ACTIONS)).code == 0
    with open_node(papered.ledger, log_key=papered.key("log")) as node:
        _Writer(papered, node).write()
    return papered


def _each(option: str, values: tuple[str, ...]) -> list[str]:
    return [part for value in values for part in (option, value)]


class _Writer:
    """Acts of finance and the hospital through the node itself."""

    def __init__(self, papered: Papered, node: Node) -> None:
        self.papered, self.node = papered, node
        self.now = max(Clock().now(), node.ledger.head.at)
        self.nonces = 0

    def nonce(self) -> bytes:
        self.nonces += 1
        return self.nonces.to_bytes(16, "big")

    def act(self, sender: str, action: str, *items: Item) -> None:
        signer = load(self.papered.key(sender))
        outcomes = self.node.act(signer, sender, f"bills.{action}/1", items).outcomes
        assert set(outcomes) == {"accepted"}, outcomes

    def write(self) -> None:
        self.define(self.papered.claimed, CHECKUP, last=20)
        self.define(self.papered.forms, TYPES["paper"].rules, last=5)
        self.act("hospital-01", "issue", *(self.issue(number) for number in range(1, 5)))
        self.settle(self.papered.bill(1))

    def define(self, code: int, rules: Any, *, last: int) -> None:
        kind = DefineType(
            nonce=self.nonce(),
            type=code // 100,
            type_version=1,
            catalogue=bytes(32),
            rules=rules,
            valid_from=format_instant(self.now),
        )
        self.act("finance", "define_type", kind)
        named: dict[str, Any] = {"code": code, "first": 1}
        top = Allot(nonce=self.nonce(), level=0, last=100, holder="finance", **named)
        own = Allot(
            nonce=self.nonce(),
            level=3,
            last=last,
            holder="hospital-01",
            parent=Block(level=0, first=1),
            **named,
        )
        self.act("finance", "allot", top)
        self.act("finance", "allot", own)

    def issue(self, number: int) -> Issue:
        return Issue(
            nonce=self.nonce(),
            code=self.papered.claimed,
            level=3,
            first=1,
            number=number,
            type_version=1,
            issued_at=format_instant(self.now),
            currency="CNY",
            total=10_000,
            account=2_000,
            cash=3_000,
            self_pay=0,
            self_expense=0,
            root=sha256(b"root %d" % number).digest(),
            holder=sha256(b"holder %d" % number).digest(),
        )

    def settle(self, bill: str) -> None:
        terms = Terms(
            purpose="claim",
            basis="cash_account",
            benefit="indemnity",
            right="statute",
            right_id="founding.0",
        )
        named: dict[str, Any] = {"bill": bill, "claim": self.nonce(), "terms": terms}
        until = format_instant(self.now + 3600)
        self.act("finance", "lock", Lock(nonce=self.nonce(), amount=SETTLED, until=until, **named))
        settle = Settle(nonce=self.nonce(), amount=SETTLED, decision=bytes(32), **named)
        self.act("finance", "settle", settle)
