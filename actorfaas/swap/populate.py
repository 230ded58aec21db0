"""Mapping another process's pages for it: they are read from outside, so that its page faults happen here.

After `MADV_WILLNEED` the pages are in memory but not mapped, and every first touch would still be a minor fault in the
middle of a call. Reading a byte of each takes these faults, off the call's path; it also waits for pages still being
read. process_vm_readv(2) does so for a thousand pages at once, but it *pins* what it reads, and the kernel gives a
process a copy of its own of each page that it shares with another (its template) before pinning it: the worker would
grow by all it shares. So that is for pages known to be the worker's own; /proc/PID/mem is read for the others.

Pages that are mapped already are left alone: to read them makes them look busy to the kernel, which then often (not
always) keeps shared ones in memory when their group is reclaimed.
"""

from __future__ import annotations

import errno
import os
from array import array
from dataclasses import dataclass
from functools import cache
from itertools import chain

from actorfaas.errors import PagingRefused, ProcessGone
from actorfaas.swap import pagemap, syscalls
from actorfaas.swap.madvise import MOST_VECTORS, vectors
from actorfaas.swap.pagemap import Page
from actorfaas.swap.ranges import PAGE_SIZE, Range, Ranges, page_addresses, page_count, pieces, subtract_in_order
from actorfaas.swap.target import GONE, Target

_MOST_BYTES = 256 * 1024
_VECTOR_BYTES = 16
_VANISHED = frozenset({errno.EFAULT, errno.EIO, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Populated:
    """How many pages are mapped now (some may have been before), and how many are not there any more."""

    pages: int
    pages_vanished: int


def populate(target: Target, ranges: Ranges, *, are_absent: bool = False) -> Populated:
    """Map every page of the ranges, in their order. Blocks until they are read.

    `are_absent`: the caller knows that none of them is mapped, so it is not found out again.
    Pages that were unmapped meanwhile are passed over. Raises ProcessGone, or PagingRefused without the privilege.
    """
    try:
        fd = target.open("mem")
    except PermissionError:
        raise PagingRefused(
            f"/proc/{target.pid}/mem: not permitted; it needs the same user, or CAP_SYS_PTRACE"
        ) from None
    try:
        absent = ranges if are_absent else subtract_in_order(ranges, pagemap.find(target, Page.PRESENT))
        found = _read(target, fd, absent)
        return Populated(found.pages + page_count(ranges) - page_count(absent), found.pages_vanished)
    finally:
        os.close(fd)


def populate_own(target: Target, ranges: Ranges) -> Populated:
    """Map every page of the ranges, in their order, of which none is shared with another process. See `populate`."""
    vectors = array("Q", chain.from_iterable((address, 1) for address in page_addresses(ranges)))
    sink = array("B", bytes(MOST_VECTORS))
    remote, _ = vectors.buffer_info()
    position = vanished = 0
    count = page_count(ranges)
    target.check()  # the call takes only the number
    while position < count:
        most = min(MOST_VECTORS, count - position)
        into = array("Q", (sink.buffer_info()[0], most))
        try:
            position += syscalls.process_vm_readv(
                target.pid, into.buffer_info()[0], remote + position * _VECTOR_BYTES, most
            )
        except OSError as error:
            if error.errno not in _VANISHED:
                raise _translated(error, target) from None
            position += 1
            vanished += 1
    return Populated(count - vanished, vanished)


def renew(target: Target, ranges: Ranges) -> None:
    """Like `populate_own`, for pages that are to be written to at once, or to get new places in swap.

    A page that is read back for reading keeps its place in the swap file for good, and one that was nowhere becomes
    the page of zeros, which the next write replaces. Here each takes a write fault instead, without a write:
    process_vm_writev(2) faults the page in for writing before it fails to read what to write from memory that nobody
    may touch. So it is safe also while the process runs.
    """
    source = array("Q", (_untouchable(), _MOST_BYTES))
    remotes = vectors(pieces(ranges, _MOST_BYTES))
    address, _ = remotes.buffer_info()
    target.check()
    for remote in range(address, address + len(remotes) * remotes.itemsize, _VECTOR_BYTES):
        number = syscalls.process_vm_writev(target.pid, source.buffer_info()[0], remote)
        if number and number not in _VANISHED:
            raise _translated(OSError(number, os.strerror(number)), target)


@cache
def _untouchable() -> int:
    return syscalls.reserve(_MOST_BYTES)


def _translated(error: OSError, target: Target) -> Exception:
    if error.errno in GONE:
        return ProcessGone(target.pid)
    if error.errno == errno.EPERM:
        return PagingRefused(
            f"process_vm_readv of {target.pid}: not permitted; it needs the same user, or CAP_SYS_PTRACE"
        )
    return error


def _read(target: Target, fd: int, ranges: Ranges) -> Populated:
    sink = memoryview(bytearray(_MOST_BYTES))
    pages = vanished = 0
    for start, length in pieces(ranges, _MOST_BYTES):
        done = _read_once(target, fd, sink[:length], start)
        pages += done // PAGE_SIZE
        if done < length:
            more, missing = _read_by_page(target, fd, (start + done, length - done), sink)
            pages += more
            vanished += missing
    return Populated(pages, vanished)


def _read_by_page(target: Target, fd: int, part: Range, sink: memoryview) -> tuple[int, int]:
    """A range with holes, page by page: how many pages are there, and how many are not."""
    start, length = part
    page = sink[:PAGE_SIZE]
    there = sum(_read_once(target, fd, page, at) == PAGE_SIZE for at in range(start, start + length, PAGE_SIZE))
    return there, length // PAGE_SIZE - there


def _read_once(target: Target, fd: int, into: memoryview, address: int) -> int:
    """Bytes read; 0 where nothing is mapped or it cannot be read."""
    try:
        done = os.preadv(fd, [into], address)
    except OSError as error:
        if error.errno in GONE:
            raise ProcessGone(target.pid) from None
        if error.errno not in (errno.EIO, errno.EFAULT):
            raise
        done = 0
    if done == 0:
        target.check()  # of a process that has exited, nothing is mapped
    return done // PAGE_SIZE * PAGE_SIZE
