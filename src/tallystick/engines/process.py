"""Settings of a process that executes blocks all day; for its start, never for a library's.

Invariant: they change how fast it is, never what it gives. See docs/benchmarks.md.
"""

from __future__ import annotations

import ctypes
import gc

_TOP_PAD, _TRIM_THRESHOLD, _MMAP_THRESHOLD = -2, -1, -3
"""glibc's malloc.h: M_TOP_PAD, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD."""
KEPT_BYTES = 256 * 1024 * 1024
"""What the allocator keeps instead of handing it back after each block, to be zeroed anew."""
LARGE_BYTES = 32 * 1024 * 1024


def tune() -> None:
    """Collect garbage less often, and keep the memory that the next block needs again.

    Nearly nothing of a block is cyclic. Measured together: a tenth of a block's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return  # another C library: nothing to set
    mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
    mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
    mallopt(_TOP_PAD, LARGE_BYTES)
