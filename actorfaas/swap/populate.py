"""Mapping another process's pages for it: one byte of each is read from outside, so that its page faults happen here.

After `MADV_WILLNEED` the pages are in memory but not mapped, and every first touch would still be a minor fault in the
middle of a call. process_vm_readv(2) takes these faults, off the call's path; it also waits for pages still being read.
"""

from __future__ import annotations

import errno
from array import array
from dataclasses import dataclass

from actorfaas.errors import PagingRefused, ProcessGone
from actorfaas.swap import syscalls
from actorfaas.swap.madvise import MOST_VECTORS
from actorfaas.swap.ranges import Ranges, page_addresses
from actorfaas.swap.target import Target

_VECTOR_BYTES = 16


@dataclass(frozen=True, slots=True)
class Populated:
    """How many pages were mapped, and how many are not there any more."""

    pages: int
    pages_vanished: int


def populate(target: Target, ranges: Ranges) -> Populated:
    """Map every page of the ranges, in their order. Blocks until they are read.

    Pages that were unmapped meanwhile are passed over. Raises ProcessGone, or PagingRefused without the privilege.
    """
    iovecs, pages = byte_vectors(ranges)
    address, _ = iovecs.buffer_info()
    sink = array("B", bytes(MOST_VECTORS))
    local = array("Q", sink.buffer_info())
    local_address, _ = local.buffer_info()
    position = vanished = 0
    while position < pages:
        count = min(MOST_VECTORS, pages - position)
        target.check()  # the call takes a number; the pidfd knows whether it is still the same process
        try:
            position += syscalls.process_vm_readv(
                target.pid, local_address, 1, address + position * _VECTOR_BYTES, count
            )
        except OSError as error:
            _raise_unless_vanished(error, target)
            position += 1
            vanished += 1
    return Populated(pages - vanished, vanished)


def byte_vectors(ranges: Ranges) -> tuple[array[int], int]:
    """An iovec of one byte for every page, and how many there are. Built without a loop over pages in Python."""
    addresses = array("Q", page_addresses(ranges))
    count = len(addresses)
    iovecs = array("Q", bytes(_VECTOR_BYTES * count))
    iovecs[0::2] = addresses
    iovecs[1::2] = array("Q", (1,)) * count
    return iovecs, count


def _raise_unless_vanished(error: OSError, target: Target) -> None:
    if error.errno == errno.ESRCH:
        raise ProcessGone(target.pid) from None
    if error.errno == errno.EPERM:
        raise PagingRefused(
            f"process_vm_readv on process {target.pid}: not permitted; it needs the same user, or CAP_SYS_PTRACE"
        ) from None
    if error.errno != errno.EFAULT:
        raise error
