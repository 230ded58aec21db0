"""Mapping another process's pages for it: they are read from outside, so that its page faults happen here.

After `MADV_WILLNEED` the pages are in memory but not mapped, and every first touch would still be a minor fault in the
middle of a call. Reading /proc/PID/mem takes these faults, off the call's path; it also waits for pages still being
read. process_vm_readv(2) would too, but it *pins* what it reads, and the kernel gives a process a copy of its own of
each page that it shares with another (its template) before pinning it: the worker would grow by all it shares.

Pages that are mapped already are left alone: to read them makes them look busy to the kernel, which then often (not
always) keeps shared ones in memory when their group is reclaimed.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from actorfaas.errors import PagingRefused, ProcessGone
from actorfaas.swap import pagemap
from actorfaas.swap.pagemap import Page
from actorfaas.swap.ranges import PAGE_SIZE, Range, Ranges, page_count, pieces, subtract_in_order
from actorfaas.swap.target import GONE, Target

_MOST_BYTES = 256 * 1024


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
