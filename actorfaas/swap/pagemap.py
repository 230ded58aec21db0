"""Which pages of a process are in memory and which are in swap.

The PAGEMAP_SCAN ioctl (Linux 6.7) answers for a whole address space in a fraction of a millisecond; on older kernels
`/proc/PID/pagemap` is read and classified with C-speed byte operations. Both give the same answer, apart from zero
pages, which only PAGEMAP_SCAN can tell (they count as present in the other).

Source: Documentation/admin-guide/mm/pagemap.rst.
"""

from __future__ import annotations

import ctypes
import enum
import fcntl
import os
import platform
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from actorfaas.errors import ProcessGone
from actorfaas.swap.ranges import PAGE_SIZE, Range, normalise
from actorfaas.swap.target import GONE, Target

_SCAN = struct.Struct("=12Q")
_REGION = struct.Struct("=3Q")
_PAGEMAP_SCAN = (3 << 30) | (_SCAN.size << 16) | (ord("f") << 8) | 16
_REGIONS_A_CALL = 8192
_WALK_END_AT = 4 * 8
_READ_BYTES = 1 << 20
_ENTRY_BYTES = 8
_TOP_BYTE = 7  # of a little-endian entry: bits 56 to 63


class Page(enum.IntFlag):
    """What is known of a page; the values are PAGEMAP_SCAN's categories."""

    FILE = 1 << 2
    """Backed by a file or shared memory. A private page that was written since is not."""
    PRESENT = 1 << 3
    """Mapped now: touching it costs nothing."""
    SWAPPED = 1 << 4
    """Its contents are in swap (or in the swap cache)."""
    ZERO = 1 << 5
    """The shared page of zeros."""


_EXCLUSIVE = 0x81
"""In an entry's top byte: present, and mapped by no other process."""

NOTHING = Page(0)
_ENTRY_BITS = ((0x80, Page.PRESENT), (0x40, Page.SWAPPED), (0x20, Page.FILE))
_CATEGORIES = Page.FILE | Page.PRESENT | Page.SWAPPED | Page.ZERO
_KINDS = {kind: Page(kind) for kind in range(0, _CATEGORIES + 1, Page.FILE)}


@dataclass(frozen=True, slots=True)
class Region:
    """Neighbouring pages of one kind."""

    start: int
    length: int
    kind: Page


def regions(target: Target, within: Range | None = None) -> list[Region]:
    """Everything that is present or swapped, in address order. Raises ProcessGone and PermissionError.

    The kernel does not stop the process meanwhile: of a running one, the answer is a moving picture.
    """
    if has_scan():
        found = _scan(target, within, NOTHING, NOTHING, Page.PRESENT | Page.SWAPPED, _CATEGORIES)
        return [Region(start, end - start, _KINDS[kind]) for start, end, kind in found]
    return list(read_regions(target, within))


def find(target: Target, having: Page, lacking: Page = NOTHING, within: Range | None = None) -> list[Range]:
    """The pages that have all kinds in `having` and none in `lacking`, as a normal list of ranges."""
    if has_scan():
        found = _scan(target, within, having | lacking, lacking, NOTHING, having)
        return normalise((start, end - start) for start, end, _ in found)  # runs end where mappings do
    wanted = (r for r in read_regions(target, within) if r.kind & having == having and not r.kind & lacking)
    return normalise((r.start, r.length) for r in wanted)


def working_set(target: Target) -> list[Range]:
    """After everything was paged out and a request has run: the pages it touched, without those of zeros.

    Readahead brings pages into the swap cache without mapping them, so what was not touched is not present.
    """
    return find(target, Page.PRESENT, Page.ZERO)


def own(target: Target) -> list[Range]:
    """The present pages that no other process maps, as a normal list. Only the file tells: this takes milliseconds."""
    found = []
    for entries, address in _entries(target, None):
        top = entries[_TOP_BYTE::_ENTRY_BYTES]
        found += [(address + first * PAGE_SIZE, (last - first) * PAGE_SIZE) for first, last in _runs(top, _IS_OWN)]
    return normalise(found)


@cache
def has_scan() -> bool:
    """Whether the kernel has PAGEMAP_SCAN; asked once, about this process."""
    argument = bytearray(_SCAN.pack(_SCAN.size, 0, 0, PAGE_SIZE, 0, 0, 0, 0, 0, 0, Page.PRESENT, 0))
    try:
        with open("/proc/self/pagemap", "rb") as file:
            fcntl.ioctl(file, _PAGEMAP_SCAN, argument)
    except OSError:  # an old kernel, or a process that changed its user and may not look at itself any more
        return False
    return True


def _address_limit(target: Target) -> int:
    """Past the last address a process can have; asking further would be an error."""
    if platform.machine() == "x86_64":
        return (1 << 47) - PAGE_SIZE
    return max((m.end for m in target.mappings() if not m.is_kernel), default=PAGE_SIZE)


def _scan(
    target: Target, within: Range | None, mask: int, inverted: int, any_of: int, return_mask: int
) -> list[tuple[int, int, int]]:
    """PAGEMAP_SCAN, as often as it takes: (start, end, kind) of runs of pages."""
    fd = target.pagemap_fd()
    vector = bytearray(_REGION.size * _REGIONS_A_CALL)
    at = memoryview(vector)
    address = _address_of(vector)
    position, end = (0, _address_limit(target)) if within is None else (within[0], sum(within))
    found: list[tuple[int, int, int]] = []
    while position < end:
        argument = bytearray(
            _SCAN.pack(
                _SCAN.size, 0, position, end, 0, address, _REGIONS_A_CALL, 0, inverted, mask, any_of, return_mask
            )
        )
        try:
            count = fcntl.ioctl(fd, _PAGEMAP_SCAN, argument)
        except OSError as error:
            raise _translated(error, target) from None
        found.extend(_REGION.iter_unpack(at[: count * _REGION.size]))
        (position,) = struct.unpack_from("=Q", argument, _WALK_END_AT)
    target.check()
    return found


def _address_of(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def read_regions(target: Target, within: Range | None) -> Iterator[Region]:
    """The same as `regions` without PAGEMAP_SCAN, from the file."""
    for entries, address in _entries(target, within):
        yield from classify(entries, address)


def _entries(target: Target, within: Range | None) -> Iterator[tuple[bytes, int]]:
    """The file's entries, 8 bytes a page, mapping by mapping: some of them, and the address of the first one's page."""
    fd = target.pagemap_fd()
    for mapping in target.mappings():
        if mapping.path == "[vsyscall]":  # beyond every process's addresses
            continue
        start, end = mapping.start, mapping.end
        if within is not None:
            start, end = max(start, within[0]), min(end, sum(within))
        while start < end:
            size = min((end - start) // PAGE_SIZE * _ENTRY_BYTES, _READ_BYTES)
            entries = _pread(target, fd, size, start)
            if not entries:
                break
            yield entries, start
            start += len(entries) // _ENTRY_BYTES * PAGE_SIZE
    target.check()


def _pread(target: Target, fd: int, size: int, address: int) -> bytes:
    try:
        return os.pread(fd, size, address // PAGE_SIZE * _ENTRY_BYTES)
    except OSError as error:
        raise _translated(error, target) from None


def _translated(error: OSError, target: Target) -> Exception:
    return ProcessGone(target.pid) if error.errno in GONE or not target.is_alive() else error


def _table() -> bytes:
    """From an entry's top byte to its kind; 0 for what is neither present nor swapped."""
    kinds = []
    for byte in range(256):
        kind = sum(page for bit, page in _ENTRY_BITS if byte & bit)
        kinds.append(kind if byte & 0xC0 else 0)
    return bytes(kinds)


_KIND_OF_TOP_BYTE = _table()
_IS_OWN = bytes(byte & _EXCLUSIVE == _EXCLUSIVE for byte in range(256))
_RUN = re.compile(rb"([^\x00])\1*", re.DOTALL)


def _runs(kinds: bytes, table: bytes | None = None) -> Iterator[tuple[int, int]]:
    """Where equal bytes other than 0 begin and end, after translation by `table`."""
    return (run.span() for run in _RUN.finditer(kinds.translate(table)))


def classify(entries: bytes, address: int) -> Iterator[Region]:
    """Runs of equal kind in pagemap entries, of which the first is that of the page at `address`. Pure."""
    kinds = entries[_TOP_BYTE::_ENTRY_BYTES].translate(_KIND_OF_TOP_BYTE)
    for first, last in _runs(kinds):
        yield Region(address + first * PAGE_SIZE, (last - first) * PAGE_SIZE, _KINDS[kinds[first]])
