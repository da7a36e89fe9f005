"""A hospital's own system issues bills over the wire: the SDK in ten lines, and what comes after.

    python examples/hospital_adapter.py URL TRUST KEY FOLDER [HOW_MANY]

URL is where a ledger is served (``tally serve``), TRUST the trust policy that finance gave you, KEY
the file of an operating key of yours, FOLDER where bodies, the vault's key and what is under way
are kept: keep it, and run this again after a crash with the same.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import as_completed
from pathlib import Path

from tallystick.apps.bills.generate import make_draft
from tallystick.apps.bills.hospital import Hospital


def first_bill(url: str, trust: Path, key: Path, folder: Path) -> Path:
    """The ten lines: a bill is issued, proven, and its receipt is a file."""
    with Hospital.open(folder, url, trust, key) as hospital:
        draft = make_draft(some_seed(), "registration", issued_at=hospital.connection.clock())
        (bill,) = hospital.issue([draft])
        if not bill.accepted:
            raise SystemExit(f"refused: {bill.outcome} {bill.path} {bill.detail}")
        data, verified = hospital.receipt(bill.code, bill.number)
        receipt = folder / f"receipt-{bill.code}-{bill.number:010d}.json"
        receipt.write_bytes(data)
        print(f"bill {bill.code}:{bill.number:010d} is {verified.verdict.text}: {receipt}")
    return receipt


def a_morning_at_the_tills(url: str, trust: Path, key: Path, folder: Path, count: int) -> None:
    """Bills come one by one; those of a moment travel together, each has its own answer."""
    with Hospital.open(folder, url, trust, key) as hospital:
        now, seed = hospital.connection.clock(), some_seed()
        answers = [
            hospital.issue_one(make_draft(seed + n + 1, "registration", issued_at=now))
            for n in range(count)
        ]
        bills = [answer.result() for answer in as_completed(answers)]
        accepted = [bill for bill in bills if bill.accepted]
        print(
            f"{len(accepted)} of {count} bills in {len({bill.tx_id for bill in accepted})} sendings"
        )
        for bill in bills:
            if not bill.accepted:
                print(f"  refused: {bill.outcome} {bill.detail}")


def some_seed() -> int:
    """Where the examples' drafts begin; a real system has real patients and amounts instead."""
    return time.monotonic_ns() % 10**9


if __name__ == "__main__":
    if len(sys.argv) not in {5, 6}:
        raise SystemExit(__doc__)
    where = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    first_bill(*where)
    if len(sys.argv) == 6:
        a_morning_at_the_tills(*where, int(sys.argv[5]))
