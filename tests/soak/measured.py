"""What a soak of the service costs: memory, disk, descriptors, CPU as time goes by; latencies.

Invariant: what is shown was read from the kernel or timed by the client's own clock.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024
_CPU_CLOCK = 2
"""Linux: the low bits of a process's CPU-time clock."""


@dataclass(slots=True)
class Sample:
    """One look at everything."""

    seconds: float
    size: int
    """Of the log."""
    memory: dict[str, int] = field(default_factory=dict)
    """Anonymous memory in bytes (mapped files are the kernel's cache), by role: the largest."""
    files: dict[str, int] = field(default_factory=dict)
    """Open descriptors, by role."""
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU-seconds so far, by role; of all processes of this machine: ``machine``."""
    disk: dict[str, int] = field(default_factory=dict)
    """Bytes by what they are."""


class Meter:
    """Looks at processes and folders."""

    def __init__(self) -> None:
        self._spent: dict[str, dict[int, float]] = {}
        """CPU-seconds of each process that ever had a role."""
        self.began = time.monotonic()
        self.samples: list[Sample] = []

    def look(
        self, size: int, roles: Mapping[str, Sequence[int]], disk: Mapping[str, int]
    ) -> Sample:
        """Keep a sample."""
        sample = Sample(time.monotonic() - self.began, size, disk=dict(disk))
        for role, pids in roles.items():
            spent = self._spent.setdefault(role, {})
            for pid in pids:
                try:
                    spent[pid] = time.clock_gettime(~pid << 3 | _CPU_CLOCK)
                    memory, files = _anonymous(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))
                except (OSError, StopIteration):
                    continue  # it has just ended
                sample.memory[role] = max(memory, sample.memory.get(role, 0))
                sample.files[role] = max(files, sample.files.get(role, 0))
            sample.cpu[role] = sum(spent.values())
        sample.cpu["machine"] = _busy_seconds()
        self.samples.append(sample)
        return sample


def _anonymous(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(each for each in status.splitlines() if each.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


def _busy_seconds() -> float:
    """All that all cores did, what a host took from them included."""
    user, nice, system, _, _, irq, soft, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    try:
        if path.is_dir():
            return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that something took; calm: of what neither began nor ended in a disturbance."""

    all: list[float]
    calm: list[float]

    @classmethod
    def of(
        cls, ended: Sequence[float], took: Sequence[float], disturbed: Sequence[tuple[float, float]]
    ) -> Times:
        """`disturbed`: from when to when something was dead, by the same clock."""
        calm = [
            seconds
            for at, seconds in zip(ended, took, strict=True)
            if not any(at >= first and at - seconds <= last for first, last in disturbed)
        ]
        return cls(sorted(took), sorted(calm))


def at_share(found: Sequence[float], share: float) -> float:
    """The value below which this share of sorted ones lies; 0 of none."""
    return found[min(int(len(found) * share), len(found) - 1)] if found else 0.0


def read_times(path: Path) -> array[float]:
    """As a child wrote them."""
    found = array("d")
    found.frombytes(path.read_bytes())
    return found


def grown(samples: Sequence[Sample], role: str) -> tuple[int, int]:
    """Typical memory of a role in the second quarter of a run, and in the last."""
    found = [each.memory[role] for each in samples if role in each.memory]
    quarter = len(found) // 4
    second, last = found[quarter : 2 * quarter], found[-quarter:]
    return _middle(second), _middle(last)


def _middle(found: Sequence[int]) -> int:
    return sorted(found)[len(found) // 2] if found else 0


def slope(samples: Sequence[Sample], what: str) -> float:
    """Bytes on disk an entry, over the last half of a run: what was there before is nobody's."""
    half = samples[len(samples) // 2 :]
    if len(half) < 2 or half[-1].size == half[0].size:
        return 0.0
    return (half[-1].disk[what] - half[0].disk[what]) / (half[-1].size - half[0].size)


def draw(
    path: Path, title: str, panels: Mapping[str, Mapping[str, list[tuple[float, float]]]]
) -> None:
    """A small chart: one panel a row, each with its lines over time."""
    width, height, parts = 640, 120, list[str]()
    colours = ("#1f6f54", "#b3541e", "#3b5b92", "#8a2f5d", "#777")
    for row, (name, lines) in enumerate(panels.items()):
        top = 30 + row * (height + 34)
        points = [each for line in lines.values() for each in line]
        across = max((x for x, _ in points), default=1.0) or 1.0
        up = max((y for _, y in points), default=1.0) or 1.0
        parts.append(
            f'<text x="8" y="{top - 6}">{name} (to {up:,.4g}; {across / 60:.1f} min)</text>'
        )
        parts.append(
            f'<rect x="8" y="{top}" width="{width}" height="{height}" fill="none" stroke="#ccc"/>'
        )
        for n, (label, line) in enumerate(lines.items()):
            colour = colours[n % len(colours)]
            drawn = " ".join(
                f"{8 + x / across * width:.1f},{top + height - y / up * (height - 4):.1f}"
                for x, y in line
            )
            parts.append(
                f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            )
            parts.append(
                f'<text x="{width + 16}" y="{top + 14 + 15 * n}" fill="{colour}">{label}</text>'
            )
    whole = 30 + len(panels) * (height + 34)
    style = "<style>text{font:12px sans-serif}</style>"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 160}" height="{whole}">'
    body = "\n".join([head, style, f"<title>{title}</title>", *parts, "</svg>"])
    path.write_text(body + "\n", encoding="utf-8")
