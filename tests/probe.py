"""A domain of its own for the machine's tests: cells that are set, and an action that misbehaves.

Invariant: what an item is told to do it does, bugs included, on every node alike.
"""

from __future__ import annotations

from typing import ClassVar

from world import signer

from tallystick.contracts import members
from tallystick.contracts.kit.context import Action, Context, Domain
from tallystick.contracts.kit.reasons import ReasonText
from tallystick.ledger.rules import Rules, make_rules
from tallystick.protocol.errors import Damaged, Malformed, Reason, Rejected, VerificationFailed
from tallystick.protocol.genesis import FoundingGrant, FoundingKey, FoundingOrg
from tallystick.protocol.row import Row
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import Count

CODE = 33990126


class Cell(Row):
    """A row of the map, or a slot of `CODE`."""

    KIND: ClassVar[str] = "probe.cell"

    value: Count = 0


class ProbeReason(Reason):
    """The one refusal there is."""

    TOLD = "probe.told"


class Set(Item):
    """Sets a cell, then does what `then` says; `number` is a slot, else `cell` names a row."""

    cell: str = ""
    number: Count = 0
    value: Count = 0
    then: str = ""


BUGS: dict[str, Exception] = {
    "arithmetic": ZeroDivisionError("a bug"),
    "assertion": AssertionError("a bug"),
    "attribute": AttributeError("a bug"),
    "lookup": KeyError("a bug"),
    "name": NameError("a bug"),
    "type": TypeError("a bug"),
    "value": ValueError("a bug"),
    "malformed": Malformed("a bug"),
    "verification": VerificationFailed("a bug"),
}
TROUBLES: dict[str, BaseException] = {
    "recursion": RecursionError("too deep"),
    "memory": MemoryError("no memory"),
    "damaged": Damaged("ledger.db: a page"),
    "os": OSError("no disk"),
    "interrupt": KeyboardInterrupt(),
}


def run(ctx: Context, item: Set) -> None:
    """Write first, so that a refusal has something to undo."""
    if item.number:
        held = ctx.find_slot(Cell, CODE, item.number) or _new(f"{CODE}:{item.number}")
        ctx.put_slot(CODE, item.number, held, value=item.value)
    else:
        ctx.put(ctx.find(Cell, item.cell) or _new(item.cell), value=item.value)
    if item.then == "refuse":
        raise Rejected(ProbeReason.TOLD, path="then")
    if item.then in BUGS:
        raise BUGS[item.then]
    if item.then in TROUBLES:
        raise TROUBLES[item.then]


def _new(row_id: str) -> Cell:
    return Cell(kind=Cell.KIND, id=row_id, state="set", good=True)


DOMAIN = Domain(
    name="probe",
    actions={
        "probe.set/1": Action(Set, run),
        "probe.heavy/1": Action(Set, run, work=20),
        "probe.later/1": Action(Set, run, from_block=3),
        "probe.before/1": Action(Set, run, until_block=3),
    },
    rows=(Cell,),
    reasons=ProbeReason,
    texts={ProbeReason.TOLD: ReasonText("按要求拒绝", "told to refuse", "不要求", "do not ask")},
)


def probe_rules() -> Rules:
    """Members and the probe."""
    return make_rules([members.DOMAIN, DOMAIN])


def probe_founders(*names: str) -> list[FoundingOrg]:
    """Organisations that may do everything; finance, who has the keeper, is the first."""
    return [
        FoundingOrg(
            org=name,
            root_key=signer(f"{name}/root").public_key,
            keys=[FoundingKey(key=signer(f"{name}/key").public_key, actions=["*"])],
            grants=[FoundingGrant(actions=["*"], depth=1)],
        )
        for name in ("finance", *names)
    ]
