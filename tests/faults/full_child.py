"""Submits transactions under a limit on the size of files; prints what was acknowledged.

Run by test_disk.py: ``full_child.py LEDGER TRANSACTIONS AT KIB``; 3: the engine stopped.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from tallystick.engines.clock import Clock
from tallystick.engines.embedded import EmbeddedEngine
from tallystick.ledger.engine import Stopped
from tallystick.ledger.ledger import Ledger
from tallystick.node import rules


def main(folder: str, transactions: str, at: str, limit_kib: str) -> int:
    limit = int(limit_kib) * 1024
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    clock = Clock(now=lambda: float(at), monotonic=lambda: 0.0)
    ledger = Ledger.open(Path(folder), rules())
    try:
        with EmbeddedEngine(ledger, clock=clock) as engine:
            for n, path in enumerate(sorted(Path(transactions).glob("*.tx"))):
                answer = engine.submit(path.read_bytes()).result(60)
                print(n, answer.first, flush=True)
    except Stopped as error:
        print("Stopped", error, flush=True)
        return 3
    finally:
        ledger.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
