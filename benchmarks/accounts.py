"""Accounting for a hospital's month: its block of numbers, both sides, and a stranger's audit.

Invariant: what is timed is what is acted on: the block must come out as explained and accepted.
See docs/benchmarks.md.
"""

from __future__ import annotations

import io
import secrets
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import load
from benchmarks.cases import BATCH, BLOCK
from benchmarks.figures import Figure, Figures
from tallystick.apps.bills.audit import AuditVerdict, audit_file
from tallystick.apps.bills.audit_file import write_block
from tallystick.contracts.bills.items.accounts import AcceptAccount, AccountBlock
from tallystick.contracts.bills.items.bills import GiveBack
from tallystick.contracts.bills.records.bills import Allotment
from tallystick.contracts.bills.views.accounts import tally_block
from tallystick.contracts.bills.views.bills import find_allotment
from tallystick.ledger.ledger import Ledger
from tallystick.protocol.checkpoint import cosign, format_checkpoint, format_note, sign_note
from tallystick.protocol.transaction import Item

HOSPITAL = 0
FIRST = 1


class Ground(NamedTuple):
    """A ledger, who makes its load, and when."""

    ledger: Ledger
    made: load.Load
    now: int


def accounting(folder: Path, figures: Figures, bills: int) -> None:
    """`account_block`: the tally of a block of so many bills; `audit_block`: its offline audit."""
    now = int(time.time())
    ledger, made = load.found(folder, now)
    ground = Ground(ledger, made, now)
    for start in range(0, bills, BATCH * BLOCK):
        count = min(BLOCK, (bills - start) // BATCH)
        _run(ledger, now, [made.bills_of(HOSPITAL, BATCH, now) for _ in range(count)])
    hospital = load.hospital_name(HOSPITAL)
    back = GiveBack(
        nonce=secrets.token_bytes(16),
        code=load.CODE,
        level=3,
        first=FIRST,
        start=bills + 1,
        end=load.NUMBERS_EACH,
        reason="year_end",
    )
    _act(ground, hospital, "bills.give_back/1", back)
    start_at = time.perf_counter()
    with ledger.view() as view:
        tally = tally_block(view, _block(ledger))
    tallied = time.perf_counter() - start_at
    account = AccountBlock(
        nonce=secrets.token_bytes(16), code=load.CODE, level=3, first=FIRST, tally=tally
    )
    _act(ground, hospital, "bills.account_block/1", account)
    accept = AcceptAccount(
        nonce=secrets.token_bytes(16), account=_block(ledger).id, version=1, tally=tally
    )
    _act(ground, "finance", "bills.accept_account/1", accept)
    file = io.BytesIO()
    start_at = time.perf_counter()
    with ledger.view() as view:
        write_block(view, _note(ledger, now), _block(ledger), file)
    written = time.perf_counter() - start_at
    file.seek(0)
    start_at = time.perf_counter()
    audit = audit_file(file, load.trust(ledger))
    audited = time.perf_counter() - start_at
    if audit.verdict is not AuditVerdict.EXPLAINED:
        raise RuntimeError(f"the block of the load is {audit.verdict.text}")
    ledger.close()
    of = f"s, {bills:,} numbers"
    figures.add(
        Figure("account_block", tallied, of),
        Figure("audit_file", written, of),
        Figure("audit_file_bytes", file.getbuffer().nbytes / bills, "bytes a number"),
        Figure("audit_block", audited, of),
    )


def _run(ledger: Ledger, now: int, transactions: list[bytes]) -> None:
    if not transactions:
        return
    outcomes = ledger.execute(now, [ledger.check(data) for data in transactions]).outcomes
    ledger.commit()
    refused = [each for some in outcomes for each in some if each != "accepted"]
    if refused:
        raise RuntimeError(f"an act of the load was refused: {refused[0]}")


def _act(ground: Ground, org: str, action: str, item: Item) -> None:
    ledger, made, now = ground
    _run(ledger, now, [made.transaction(org, org, action, [item], now)])


def _block(ledger: Ledger) -> Allotment:
    with ledger.view() as view:
        row = find_allotment(view, load.CODE, 3, FIRST)
    if row is None:
        raise RuntimeError("the hospital of the load has no block")
    return row


def _note(ledger: Ledger, now: int) -> bytes:
    text = format_checkpoint(ledger.checkpoint)
    lines = [
        sign_note(text, ledger.origin, load.signer("log")),
        cosign(text, "keeper/finance", load.signer("keeper"), now),
    ]
    return format_note(text, lines).encode()
