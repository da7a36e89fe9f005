"""``python -m benchmarks``: measures, prints a table, writes ``results/bench.json`` and a plot.

Invariant: it never asserts; figures below their minimum are said to be so. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import accounts, cases, claims, http, proving, references, showing
from benchmarks.figures import Figure, Figures
from tallystick.engines.process import tune

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run what was asked for."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    asked.add_argument("--bills", type=int, default=5_000_000, help="size of the large ledger")
    asked.add_argument("--quick", action="store_true", help="a tenth of everything, in a minute")
    asked.add_argument("--dir", type=Path, help="where the ledgers lie (a fast disk; temporary)")
    asked.add_argument("--results", type=Path, default=RESULTS, help="where the figures go")
    options = asked.parse_args()
    large = options.bills // 50 if options.quick else options.bills
    share = 10 if options.quick else 1
    figures = Figures(Console())
    tune()
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        folder = Path(name)
        figures.add(
            Figure("R1", references.hashing(), "SHA-256 of 4 KB/CPU-s"),
            Figure("R2", references.decoding(), "bodies decoded/CPU-s"),
            Figure("R3", references.verifying(), "signatures verified/CPU-s"),
            Figure("R4", references.appending(folder, bytes(330_000)), "records/s with fdatasync"),
        )
        cases.sealing(folder, figures, 20_000 // share)
        ground = cases.Ground(folder)
        cases.batches(ground, figures, large)
        cases.singles(ground, figures, 40_000 // share)
        cases.verifying(ground, figures, 5_000 // share)
        ground.ledger.close()
        proving.proving(folder / "ledger", figures, 50_000 // share)
        http.browsers(folder / "ledger", figures, 200)
        http.statuses(folder / "ledger", figures, 100_000 // share)
        http.batches(folder / "http-batch", figures, 500_000 // share)
        http.singles(folder / "http-single", figures, 50_000 // share)
        http.keeping(folder / "http-kept", figures, 200_000 // share)
        cases.keeping(folder / "kept", figures, 100_000 // share)
        claims.claiming(folder / "claimed", figures, 200_000 // share)
        accounts.accounting(folder / "accounted", figures, 100_000 // share)
        showing.presenting(folder / "shown", figures, 5_000 // share)
    figures.show()
    figures.write(options.results, {"bills": large})


if __name__ == "__main__":
    main()
