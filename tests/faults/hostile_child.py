"""Gives every reader the worst that there is, in little memory; prints how much, how slow.

Run by test_hostile.py. Exit code 0: each came to an expected end in time.
"""

from __future__ import annotations

import resource
import sys
import time

from faults.readers import EXPECTED, monsters, readers

MEMORY_BYTES = 512 * 1024 * 1024
"""On top of what the libraries take by themselves."""
SECONDS_MAX = 10.0


def main() -> int:
    there = readers()
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no path of ours
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    given, slowest = 0, (0.0, "")
    for reader in there:
        for what, data in monsters(reader.good):
            began = time.monotonic()
            try:
                reader.read(data)
            except EXPECTED:
                pass
            except BaseException:
                print(f"{reader.name}: {what}", file=sys.stderr)
                raise
            given += 1
            slowest = max(slowest, (time.monotonic() - began, f"{reader.name}: {what}"))
    print(given, *slowest)
    return 0 if slowest[0] < SECONDS_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
