"""Figures: collected, printed as a table, written as JSON and drawn.

Invariant: a figure without a measurement does not exist. See docs/benchmarks.md.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import apsw
import cryptography
import msgspec
import nacl
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured; `minimum` and `goal` are of the ratio, or of the value without one."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    reference: str | None = None
    minimum: float | None = None
    goal: float | None = None
    lower_is_better: bool = False

    @property
    def judged(self) -> str:
        """How it stands to minimum and goal, in a word."""
        found = self.value if self.ratio is None else self.ratio
        if self.minimum is None:
            return ""
        if (found > self.minimum) if self.lower_is_better else (found < self.minimum):
            return "below minimum"
        if self.goal is not None and found >= self.goal:
            return "goal"
        return "minimum"


class Figures:
    """All figures of a run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._figures: list[Figure] = []

    def add(self, *figures: Figure) -> None:
        """Keep and say."""
        for figure in figures:
            self._figures.append(figure)
            self.say(f"{figure.name}: {_number(figure.value)} {figure.unit} {_ratio(figure)}")

    def say(self, text: str) -> None:
        """Tell whoever waits."""
        self._console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {text}", highlight=False)

    def value(self, name: str) -> float | None:
        """What was measured under this name, or None."""
        return next((each.value for each in self._figures if each.name == name), None)

    def show(self) -> None:
        """The table."""
        table = Table(title="Tallystick on this machine", caption=str(machine()))
        for heading in ("name", "value", "unit", "ratio", "minimum", "goal", ""):
            table.add_column(heading, justify="right" if heading in ("value", "ratio") else "left")
        for each in self._figures:
            bounds = [
                _number(bound) if bound is not None else "" for bound in (each.minimum, each.goal)
            ]
            table.add_row(
                each.name, _number(each.value), each.unit, _ratio(each), *bounds, each.judged
            )
        self._console.print(table)

    def write(self, folder: Path, extra: dict[str, Any]) -> None:
        """``bench.json`` and ``bench.svg``."""
        folder.mkdir(parents=True, exist_ok=True)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        found: list[dict[str, Any]] = [asdict(each) for each in self._figures]
        found.append({"name": "machine", "value": machine() | {"at": at} | extra, "unit": ""})
        path = folder / "bench.json"
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        self._draw(folder / "bench.svg")

    def _draw(self, path: Path) -> None:
        """Ratios as bars, with minimum and goal as marks; needs matplotlib (extra ``bench``)."""
        from matplotlib import pyplot  # noqa: PLC0415 - only `make bench` installs it

        drawn = [each for each in self._figures if each.ratio is not None and each.minimum]
        figure, axes = pyplot.subplots(figsize=(8, 0.6 * len(drawn) + 1.2))
        for at, each in enumerate(reversed(drawn)):
            ratio, goal = each.ratio or 0.0, each.goal or each.minimum or 1.0
            axes.barh(
                at, ratio / goal, color="#2f6f4f" if each.judged != "below minimum" else "#a33"
            )
            axes.plot([(each.minimum or 0.0) / goal] * 2, [at - 0.4, at + 0.4], color="#222")
            axes.text(0.01, at, f"{each.name}: {_ratio(each)}", va="center", color="white")
        axes.axvline(1.0, linestyle="--", color="#888")
        axes.set_yticks([])
        axes.set_xlabel("ratio to its reference, as a share of the goal; black: minimum")
        figure.tight_layout()
        figure.savefig(path)
        pyplot.close(figure)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = "unknown"
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            model = next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "msgspec": msgspec.__version__,
        "pynacl": nacl.__version__,
        "cryptography": cryptography.__version__,
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(figure: Figure) -> str:
    return "" if figure.ratio is None else f"{figure.ratio:.3f} × {figure.reference}"
