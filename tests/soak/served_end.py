"""A served ledger after its soak: all acknowledged is there once, all told is true.

What followers and hooks must have seen is taken from the transactions as they lie in the log, by
other means than the server's events.

Invariant: whoever followed has seen each event of its filter exactly once, in order.
"""

from __future__ import annotations

from array import array
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from soak.accounted import check_every_fen
from soak.members_child import Ended
from soak.planned import HOSPITALS, INSURERS, Expected
from soak.served_plan import HOOKS, STREAMS, hospital_of

from tallystick.ledger.doctor import examine
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.receipts import read_segment
from tallystick.node import rules
from tallystick.protocol.canonical import decode, parse
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.transaction import signing_bytes, transaction_id


class Entered(NamedTuple):
    """One item as it lies in the log."""

    at: int
    sender: str
    action: str
    issuer: str
    """Of the bill that it is about."""


def check_all(folder: Path, node: Path, begins: int) -> Counter[str]:
    """`AssertionError` where anything is not as it must be; what was counted."""
    ended = decode((folder / "ended.json").read_bytes(), Ended)
    with Ledger.open(node, rules()) as ledger, ledger.view() as view:
        transactions, entries = _read(ledger, begins)
        counted = check_every_fen(view, _expected(ended))
    acknowledged = Counter((folder / "acknowledged").read_text().splitlines())
    assert acknowledged == Counter(transactions), "acknowledged and in the log differ"
    assert not acknowledged or max(acknowledged.values()) == 1, "something is there twice"
    assert len(acknowledged) == ended.transactions
    assert len(entries) == ended.items
    for each in (*STREAMS, *HOOKS):
        seen = array("Q")
        seen.frombytes((folder / f"seen-{each.name}").read_bytes())
        wanted = [entry.at for entry in entries if _is_seen(each.name, entry)]
        assert seen.tolist() == wanted, _difference(each.name, seen.tolist(), wanted)
        counted[f"events of {each.name}"] = len(wanted)
    return counted + Counter({"transactions": ended.transactions, "entries": ended.items})


def check_folders(folders: list[Path]) -> None:
    """What `tally doctor` finds: nothing at all."""
    for folder in folders:
        report = examine(folder, rules())
        assert report.sound, report.findings


def _read(ledger: Ledger, begins: int) -> tuple[list[str], list[Entered]]:
    transactions, entries = list[str](), list[Entered]()
    for segment in ledger.store.segments(begins, ledger.head.size):
        parts, hashes, outcomes = read_segment(segment)
        assert set(outcomes) == {ACCEPTED}, f"entry {segment.first}: {set(outcomes)}"
        tx_id = transaction_id(signing_bytes(parts.header))
        transactions.append(f"{tx_id} {segment.first} {len(hashes)}")
        header = parts.header
        for n, raw in enumerate(parts.items):
            item = parse(bytes(raw), dict[str, Any])
            entries.append(
                Entered(segment.first + n, header.sender, header.action, _issuer(header, item))
            )
    return transactions, entries


def _issuer(header: Any, item: dict[str, Any]) -> str:
    """Of the bill: who issues it, or whose block its number is in."""
    if header.action in ("bills.issue/1", "bills.reverse/1"):
        sender: str = header.sender
        return sender
    return HOSPITALS[hospital_of(int(item["bill"].partition(":")[2]))]


def _is_seen(feed: str, entry: Entered) -> bool:
    return {
        "all": True,
        "issuer": entry.issuer == HOSPITALS[1],
        "own": entry.issuer == HOSPITALS[0],
        "issued": (entry.sender, entry.action) == (HOSPITALS[2], "bills.issue/1"),
        "locked": (entry.sender, entry.action) == (INSURERS[0], "bills.lock/1"),
        "settled": (entry.sender, entry.action) == (INSURERS[1], "bills.settle/1"),
        "hook": (entry.sender, entry.action) == (HOSPITALS[3], "bills.issue/1"),
        "hook-reversed": entry.action == "bills.reverse/1",
    }[feed]


def _difference(name: str, seen: list[int], wanted: list[int]) -> str:
    """Shorter than two lists of a million."""
    missed, more = sorted(set(wanted) - set(seen)), sorted(set(seen) - set(wanted))
    return (
        f"{name}: {len(seen)} seen, {len(wanted)} wanted, missed {missed[:9]}, "
        f"not wanted {more[:9]}, in order: {seen == sorted(seen)}"
    )


def _expected(ended: Ended) -> Expected:
    expected = Expected(
        ended.issued, ended.issued_sum, ended.reversed, ended.reversed_sum, booked=ended.booked
    )
    expected.settled.update(ended.settled)
    expected.recovered.update(ended.recovered)
    return expected
