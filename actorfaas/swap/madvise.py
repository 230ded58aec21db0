"""Advice to the kernel about memory: page out, read ahead, cool down; of another process, or of this one.

What advice does (bench/kernel_facts.py measures it): MADV_PAGEOUT writes private pages to swap but frees no memory by
itself, a cgroup reclaim afterwards does; pages that other processes map too are passed over without a word.
MADV_WILLNEED reads from swap into the swap cache, and from files into the page cache, in one go; mapping what was read
is the business of `populate`.

Order matters: pages written together lie together in the swap file, and are read back together.
"""

from __future__ import annotations

import enum
import errno
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from actorfaas.errors import PagingRefused, ProcessGone
from actorfaas.swap import syscalls
from actorfaas.swap.ranges import Range, Ranges
from actorfaas.swap.target import Target

MOST_VECTORS = 1024
"""IOV_MAX: how many ranges one system call takes."""

_VECTOR_BYTES = 16
_PASSED_OVER = frozenset({errno.ENOMEM, errno.EINVAL, errno.EFAULT, errno.EBADF, errno.EIO})


class Advice(enum.IntEnum):
    """What is wanted of the kernel, see madvise(2)."""

    WILL_NEED = syscalls.MADV_WILLNEED
    COLD = syscalls.MADV_COLD
    PAGE_OUT = syscalls.MADV_PAGEOUT


@dataclass(frozen=True, slots=True)
class Advised:
    """How much was advised (not: moved), and how many ranges the kernel would not take (unmapped, locked, huge)."""

    length_bytes: int
    ranges_passed_over: int


def vectors(ranges: Iterable[Range]) -> array[int]:
    """Ranges as an array of iovecs: two machine words each."""
    return array("Q", chain.from_iterable(ranges))


def advise(target: Target, ranges: Ranges, advice: Advice) -> Advised:
    """Advise about another process's ranges, in this order.

    A range the kernel refuses is passed over, the rest goes on. Blocks while pages are written (PAGE_OUT) or their
    reading is started (WILL_NEED). Raises ProcessGone, or PagingRefused when the privilege is missing.
    """
    iovecs = vectors(ranges)
    address, _ = iovecs.buffer_info()
    position = done = passed_over = 0
    while position < len(ranges):
        count = min(MOST_VECTORS, len(ranges) - position)
        try:
            advised = syscalls.process_madvise(target.pidfd, address + position * _VECTOR_BYTES, count, advice)
        except OSError as error:
            _raise_unless_passed_over(error, target)
            position += 1
            passed_over += 1
            continue
        done += advised
        position = _after(ranges, position, advised)
    return Advised(done, passed_over)


def _after(ranges: Ranges, position: int, advised: int) -> int:
    """The first range that `advised` bytes from `position` on do not cover. Nothing advised counts as one range."""
    start = position
    while position < len(ranges) and advised >= ranges[position][1]:
        advised -= ranges[position][1]
        position += 1
        if not advised:
            break
    return max(position, start + 1)


def _raise_unless_passed_over(error: OSError, target: Target) -> None:
    if error.errno == errno.ESRCH:
        raise ProcessGone(target.pid) from None
    if error.errno in (errno.EPERM, errno.EACCES):
        raise PagingRefused(
            f"process_madvise on process {target.pid}: not permitted; it needs CAP_SYS_NICE and, for a process of"
            " another user, CAP_SYS_PTRACE; run the node as root, or let workers page themselves"
        ) from None
    if error.errno == errno.ENOSYS:
        raise PagingRefused("the kernel has no process_madvise (Linux 5.10 does)") from None
    if error.errno not in _PASSED_OVER:
        raise error


def advise_self(ranges: Ranges, advice: Advice) -> Advised:
    """The same for this process's own memory; needs no privilege. For workers that page themselves."""
    done = passed_over = 0
    for start, length in ranges:
        try:
            syscalls.madvise(start, length, advice)
            done += length
        except OSError as error:
            if error.errno not in _PASSED_OVER:
                raise
            passed_over += 1
    return Advised(done, passed_over)
