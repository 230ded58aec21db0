"""The system calls Python has no function for, as ctypes functions that raise OSError.

Numbers above 424 are the same on every architecture. All of them release the interpreter lock while they run.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Final

MADV_WILLNEED: Final = 3
MADV_COLD: Final = 20
MADV_PAGEOUT: Final = 21

SWAP_FLAG_PREFER: Final = 0x8000
SWAP_FLAG_DISCARD: Final = 0x10000
SWAP_FLAG_DISCARD_PAGES: Final = 0x40000

_SYS_PROCESS_MADVISE = 440
_PROT_NONE = 0
_MAP_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
for _call in (_libc.process_vm_readv, _libc.process_vm_writev):
    _call.argtypes = (ctypes.c_int, *(ctypes.c_void_p, ctypes.c_ulong) * 2, ctypes.c_ulong)
    _call.restype = ctypes.c_ssize_t
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.mmap.restype = ctypes.c_void_p
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.swapon.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.swapoff.argtypes = (ctypes.c_char_p,)


def _error(name: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), name)


def process_madvise(pidfd: int, vectors: int, count: int, advice: int) -> int:
    """process_madvise(2) over `count` iovecs at the address `vectors`: how many bytes were advised."""
    done: int = _libc.syscall(
        ctypes.c_long(_SYS_PROCESS_MADVISE),
        ctypes.c_long(pidfd),
        ctypes.c_void_p(vectors),
        ctypes.c_long(count),
        ctypes.c_long(advice),
        ctypes.c_long(0),
    )
    if done < 0:
        raise _error("process_madvise")
    return done


def process_vm_readv(pid: int, into: int, remote: int, count: int) -> int:
    """process_vm_readv(2) of `count` iovecs at the address `remote`, into the one iovec at `into`: bytes read."""
    done: int = _libc.process_vm_readv(pid, into, 1, remote, count, 0)
    if done < 0:
        raise _error("process_vm_readv")
    return done


def process_vm_writev(pid: int, source: int, remote: int) -> int:
    """process_vm_writev(2) of the one iovec at `source` into the one at `remote`: the error number, 0 without one.

    For callers that expect an error for each of some thousand ranges: an exception would take longer than the call.
    """
    return ctypes.get_errno() if _libc.process_vm_writev(pid, source, 1, remote, 1, 0) < 0 else 0


def reserve(length: int) -> int:
    """The address of memory that nobody may touch, this process included (mmap(2) with PROT_NONE); it is kept."""
    address: int | None = _libc.mmap(None, length, _PROT_NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if address == _MAP_FAILED or address is None:
        raise _error("mmap")
    return address


def madvise(start: int, length: int, advice: int) -> None:
    """madvise(2) on memory of this process."""
    if _libc.madvise(start, length, advice) < 0:
        raise _error("madvise")


def swapon(path: bytes, flags: int) -> None:
    """swapon(2)."""
    if _libc.swapon(path, flags) < 0:
        raise _error("swapon")


def swapoff(path: bytes) -> None:
    """swapoff(2); returns when everything in it was read back."""
    if _libc.swapoff(path) < 0:
        raise _error("swapoff")
