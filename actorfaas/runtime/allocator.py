"""What the allocator holds beyond what is in use, and how it is made to give that back.

Large payloads: glibc maps large blocks one by one, but after the first one was freed it takes blocks of that size from
its heap instead (mallopt(3): the threshold is dynamic). Payloads of megabytes then leave holes between what stays, and
the process seems to hold many times what it does. A fixed threshold costs one mmap for each large payload.

Imports: the files of modules are read to the heap and freed again, which leaves 1 to 4 MB of holes in each process.
"""

from __future__ import annotations

import ctypes

LARGE_BYTES = 128 * 1024
_M_MMAP_THRESHOLD = -3  # malloc.h


def give_large_blocks_back() -> bool:
    """Set it for this process; False where the C library has no such setting."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES) == 1


def give_free_memory_back() -> None:
    """Return the pages that nothing lives in (malloc_trim(3)), where the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
