"""The holder's log of one bill: who read it, who asked for it, what was done with it, and refused.

Out of the ledger, every item that names the bill, whatever became of it; out of each vault, who
was shown its body. A log is read from the bill's own entry on, once: whoever has the ledger can.

Invariant: an entry has who acted, when, what and what for; nothing of another bill or person, and
nothing out of a body. See docs/spec/vault.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tallystick.apps.bills.patterns import steps
from tallystick.contracts.bills.records.bills import BillId, format_bill_id, parse_bill_id
from tallystick.contracts.bills.records.supervision import Finding
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.ledger.view import View
from tallystick.protocol.canonical import Record, decode
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.row import row_key
from tallystick.protocol.values import Count, Instant, format_instant
from tallystick.vault import Kept, Read

LEDGER = "ledger"

_SHOWN = ("purpose", "basis", "benefit", "amount", "until", "reason", "what")
"""What is told of an item besides its action: words, sums and instants about this bill alone."""


class Touched(Record, kw_only=True):
    """Something that befell a bill, or its body."""

    at: Instant
    where: str
    """``ledger``, or whose vault."""
    what: str
    """An action on the ledger; of a vault what `vault.reads.What` has."""
    who: str = ""
    why: str = ""
    """The purpose, where there is one."""
    outcome: str
    """``accepted``, or the reason why it was refused."""
    entry: Count | None = None
    """Index in the log."""
    told: dict[str, str | int] = {}
    """Amounts, ends and reasons that the item states."""
    paths: list[str] = []
    """Which fields of the body were shown; none: the whole of it."""


def holder_log(view: View, bill_id: BillId, vaults: Mapping[str, Kept]) -> list[Touched]:
    """All that touched a bill, the oldest first; `vaults` by whose they are."""
    found = [*on_ledger(view, bill_id), *in_vaults(bill_id, vaults)]
    return sorted(found, key=lambda each: each.at)  # stable: the log's own order within a second


def on_ledger(view: View, bill_id: BillId) -> Iterator[Touched]:
    """Every item that names the bill, in the order of the log."""
    row = find_bill(view, bill_id)
    if row is None or row.entry is None:
        return
    code, number = parse_bill_id(bill_id)
    marks = (bill_id.encode(), b'"number":%d,' % number, b'"number":%d}' % number, b'"finding"')
    for step in steps(view, row.entry):
        if not any(mark in step.data for mark in marks):
            continue
        item = decode(step.data, dict[str, Any])
        if _names(view, item, bill_id, (code, number)):
            yield Touched(
                at=format_instant(step.at),
                where=LEDGER,
                what=step.action.partition("/")[0],
                who=_who(item, step.sender),
                why=_words(item).get("purpose", ""),
                outcome=step.outcome,
                entry=step.index,
                told=_told(item),
            )


def in_vaults(bill_id: BillId, vaults: Mapping[str, Kept]) -> Iterator[Touched]:
    """What the vaults have logged about the bill's body."""
    code, number = parse_bill_id(bill_id)
    for name, kept in vaults.items():
        for read in kept.reads(code, number):
            yield read_of(read, name)


def read_of(read: Read, vault: str) -> Touched:
    """An entry of a vault's log of reads."""
    return Touched(
        at=format_instant(read.at),
        where=vault,
        what=read.what,
        who=read.who,
        why="" if read.what == "refused" else read.why,
        outcome=read.why or "refused" if read.what == "refused" else ACCEPTED,
        paths=read.paths,
    )


def _names(view: View, item: Mapping[str, Any], bill_id: str, place: tuple[int, int]) -> bool:
    """Whether an item is about the bill, and not only one of many that it lists."""
    if bill_id in (item.get("bill"), _said(item).get("bill"), item.get("paper")):
        return True
    if item.get("code") == place[0] and place[1] in (item.get("number"), item.get("red_number")):
        return True
    if bill_id in item.get("settles", ()):
        return True
    finding = item.get("finding")
    if finding is None:
        return False
    row = view.get(row_key(Finding.KIND, finding), Finding)
    return row is not None and row.bill == bill_id


def _said(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a holder has signed within."""
    said = item.get("said")
    return said if isinstance(said, dict) else {}


def _words(item: Mapping[str, Any]) -> dict[str, Any]:
    terms = item.get("terms")
    return {**(terms if isinstance(terms, dict) else {}), **_said(item), **item}


def _who(item: Mapping[str, Any], sender: str) -> str:
    """Whoever is let in by a holder's act; else who sent it: a relay is nobody."""
    reader = _said(item).get("reader")
    return reader if isinstance(reader, str) else sender


def _told(item: Mapping[str, Any]) -> dict[str, str | int]:
    words = _words(item)
    told = {name: words[name] for name in _SHOWN if isinstance(words.get(name), str | int)}
    for name in ("reversal_of", "bill"):  # a red bill, a successor: which bill it is about
        if isinstance(item.get(name), str) and "number" in item:
            told[name] = item[name]
    if "number" in item and isinstance(item.get("code"), int):
        told["number"] = format_bill_id(item["code"], item["number"])
    return told
