"""The free end of malloc's heap, emptied without being given up.

malloc_trim(3) shortens the heap, and the next call grows it again: a fault for each page, in the middle of the call.
Where the heap keeps its length, the pages that the next call will take can be mapped for it ahead, like all it touches.
Only malloc's own interface is used: no memory is touched that was not allocated here.
"""

from __future__ import annotations

import ctypes
import mmap

_LEAST_BYTES = 256 << 10
"""Of less, malloc would keep as much anyway."""

_MARGIN_BYTES = 64 << 10
_DONTNEED = 4
_FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class _Usage(ctypes.Structure):
    """struct mallinfo2, see mallinfo(3)."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _FIELDS.split())


_libc = ctypes.CDLL(None, use_errno=True)
_is_known = all(hasattr(_libc, name) for name in ("mallinfo2", "malloc_trim"))  # glibc 2.33
if _is_known:
    _libc.mallinfo2.restype = _Usage
    _libc.malloc.restype = ctypes.c_void_p
    _libc.malloc.argtypes = _libc.malloc_trim.argtypes = (ctypes.c_size_t,)
    _libc.free.argtypes = (ctypes.c_void_p,)
    _libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def empty_end() -> bool:
    """Give back all free pages of the heap, also those at its end, which stays part of it. False: nothing was done,
    because there is little at the end, or it cannot be had."""
    size_bytes = _free_at_end() - _MARGIN_BYTES if _is_known else 0
    if size_bytes < _LEAST_BYTES:
        return False
    owned: int | None = _libc.malloc(size_bytes)
    if not owned:
        return False
    is_end = _free_at_end() < size_bytes  # otherwise it was mapped apart from the heap
    if is_end:
        first = -(-owned // mmap.PAGESIZE) * mmap.PAGESIZE
        _libc.madvise(first, (owned + size_bytes - first) // mmap.PAGESIZE * mmap.PAGESIZE, _DONTNEED)
    _libc.free(owned)
    if is_end:
        _libc.malloc_trim(
            size_bytes + 2 * _MARGIN_BYTES
        )  # keeps so much at the end, and gives back what is free elsewhere
    return is_end


def _free_at_end() -> int:
    size_bytes: int = _libc.mallinfo2().keepcost
    return size_bytes
