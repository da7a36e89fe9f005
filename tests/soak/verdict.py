"""What a soak of the service came to, beside what was predicted: a table, a chart, what is missed.

Predicted: an answer and a proof within a second, p99; memory that is as large in the last quarter
of a run as in the second; so many bytes on disk for a bill and all that befalls it; a WAL that
begins anew. See docs/benchmarks.md.

Invariant: a figure is judged alike on every machine; whether others used the machine stands beside.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

from soak.measured import MIB, Sample, Times, at_share, draw, grown, read_times, slope
from soak.members_child import Ended
from soak.watchers_child import Watched

CHART = "soak.svg"
COLUMNS = 5
"""Of a transaction in ``times``."""
MEMORY_GROWTH_MAX = 1.15
MEMORY_SLACK = 24 * MIB
MEMORY_MAX = {"node": 512 * MIB, "workers": 512 * MIB, "keepers": 512 * MIB}
FILES_MAX = 400
WAL_MAX = 256 * MIB
BYTES_AN_ENTRY_MAX = 1_600
"""In the database: a bill by itself or a claim's step with its share of a small transaction."""
ROLES = ("node", "workers", "keepers")


class Verdict:
    """Figures of one run; memory, disk and CPU of the time in which bills were issued."""

    def __init__(
        self,
        folder: Path,
        samples: Sequence[Sample],
        disturbed: Sequence[tuple[float, float]],
        ended: Ended,
        watched: Watched,
        *,
        seconds: int,
        p99_seconds_max: float,
        flat: bool,
    ) -> None:
        self.folder, self.ended = folder, ended
        self.samples = [each for each in samples if each.seconds <= seconds] or list(samples)
        self.missed: list[str] = []
        self.lines: list[tuple[str, str, str]] = []
        rows = read_times(folder / "times")
        self._ended, self._answers, proofs, whole, _ = (rows[n::COLUMNS] for n in range(COLUMNS))
        proven = [at + took for at, took in zip(self._ended, proofs, strict=True)]
        for name, ended_at, took, bound in (
            ("answer of a submit", self._ended, self._answers, p99_seconds_max),
            ("from there to a proven receipt", proven, proofs, None),
            ("bill in hand to proven", proven, whole, None),
        ):
            self._time(name, Times.of(ended_at, took, disturbed), bound)
        for name in watched.reads:
            found = read_times(folder / f"times-{name}")
            times = Times.of(found[0::2], found[1::2], disturbed)
            self._time(f"read: {name}", times, None)
        self._resources(flat)
        self._shares()
        self._draw()

    def text(self) -> str:
        """The table."""
        width = max(len(name) for name, _, _ in self.lines)
        rows = [f"{name:{width}}  {value:44}  {bound}" for name, value, bound in self.lines]
        missed = [f"MISSED: {each}" for each in self.missed]
        return "\n".join([f"{'':{width}}  {'found':44}  predicted", *rows, *missed])

    def _time(self, name: str, times: Times, bound: float | None) -> None:
        p50, p99 = at_share(times.calm, 0.5) * 1_000, at_share(times.calm, 0.99) * 1_000
        value = f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms"
        if len(times.calm) < len(times.all):
            value += f" (with kills {at_share(times.all, 0.99) * 1_000:,.0f})"
        self._judge(
            name,
            f"{value}, n {len(times.all):,}",
            "" if bound is None else f"p99 below {bound * 1_000:,.0f} ms",
            bound is None or p99 < bound * 1_000,
        )

    def _judge(self, name: str, value: str, bound: str, met: bool) -> None:
        self.lines.append((name, value, bound))
        if not met:
            self.missed.append(f"{name}: {value}, {bound}")

    def _resources(self, flat: bool) -> None:
        for role in ROLES:
            before, after = grown(self.samples, role)
            peak = max(each.memory.get(role, 0) for each in self.samples)
            allowed = before * MEMORY_GROWTH_MAX + MEMORY_SLACK
            self._judge(
                f"memory of {role}, one process",
                f"{before / MIB:.0f} then {after / MIB:.0f} MiB, peak {peak / MIB:.0f}",
                f"flat, below {MEMORY_MAX[role] // MIB}"
                if flat
                else f"below {MEMORY_MAX[role] // MIB}",
                peak < MEMORY_MAX[role] and (not flat or after <= allowed),
            )
            files = max(each.files.get(role, 0) for each in self.samples)
            last = self.samples[-1].files.get(role, 0)
            self._judge(
                f"descriptors of {role}", f"peak {files}, last {last}", f"below {FILES_MAX}",
                files < FILES_MAX,
            )  # fmt: skip
        wal = max(each.disk["wal"] for each in self.samples)
        self._judge(
            "WAL", f"peak {wal / MIB:.0f} MiB", f"below {WAL_MAX // MIB} MiB", wal < WAL_MAX
        )
        entry = slope(self.samples, "ledger")
        self._judge(
            "database, an entry", f"{entry:,.0f} bytes", f"below {BYTES_AN_ENTRY_MAX:,}",
            entry < BYTES_AN_ENTRY_MAX,
        )  # fmt: skip
        bills = self.ended.issued / max(self.ended.items, 1)
        for what in ("ledger", "feed", "web"):
            found = slope(self.samples, what) / bills if bills else 0.0
            self.lines.append(
                (f"{what}, a bill with all that befalls it", f"{found:,.0f} bytes", "")
            )

    def _shares(self) -> None:
        first, last = self.samples[0], self.samples[-1]
        seconds = last.seconds - first.seconds or 1.0
        spent = {role: last.cpu[role] - first.cpu.get(role, 0.0) for role in last.cpu}
        others = spent["machine"] - sum(spent[role] for role in spent if role != "machine")
        for role, value in (*spent.items(), ("others", others)):
            self.lines.append((f"cores used: {role}", f"{value / seconds:.2f}", ""))
        late = f"{self.ended.late_milliseconds:,} ms"
        sizes = self.ended.items / max(self.ended.transactions, 1)
        made = f"{self.ended.transactions:,} of {sizes:.1f} items"
        self.lines += [("the load was late by at most", late, ""), ("transactions", made, "")]

    def _draw(self) -> None:
        times = sorted(zip(self._ended, self._answers, strict=True))
        began = times[0][0] if times else 0.0
        every = max((times[-1][0] - began) / 100, 1.0) if times else 1.0
        windows: dict[int, list[float]] = {}
        for at, seconds in times:
            windows.setdefault(int((at - began) / every), []).append(seconds * 1_000)
        answers = {
            name: [(n * every, at_share(sorted(some), share)) for n, some in windows.items()]
            for name, share in (("p50", 0.5), ("p99", 0.99))
        }
        memory = {
            role: [(s.seconds, s.memory.get(role, 0) / MIB) for s in self.samples] for role in ROLES
        }
        disk = {
            what: [(s.seconds, s.disk[what] / MIB) for s in self.samples]
            for what in ("ledger", "wal", "feed")
        }
        panels = {"answer, ms": answers, "memory, MiB": memory, "disk, MiB": disk}
        draw(self.folder / CHART, f"soak on {platform.platform()}", panels)
