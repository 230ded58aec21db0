"""A worker looks after its own memory: gives back what it does not use, pages itself out, reads itself back in.

For nodes whose Swapper may not reach into other processes: advising one's own memory needs no privilege (madvise(2)).
Imported at the first order, so that it costs workers without such orders nothing. Advice only ever concerns where
pages are kept: threads that user code left running see no change but time.
"""

from __future__ import annotations

import ctypes
import gc
import os
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress

from actorfaas.messages import Tended
from actorfaas.worker import heap, process

_WILLNEED, _PAGEOUT, _POPULATE_READ = 3, 21, 22  # populate: Linux 5.14; without it the call maps the pages itself
_PAGE = os.sysconf("SC_PAGE_SIZE")
_ENTRY_BYTES = 8
_ENTRIES_A_READ = 8192
_PRESENT, _EXCLUSIVE = 1 << 63, 1 << 56  # pagemap: in memory; mapped by this process alone
_OWN = _PRESENT | _EXCLUSIVE
_WORTH_BYTES = 512 << 10

Range = tuple[int, int]
"""First address and length in bytes."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Tending:
    """What one worker knows of its memory: which pages its calls have touched since it was last out."""

    def __init__(self) -> None:
        self._was_out = False
        self._tidy_bytes = -_WORTH_BYTES
        self._working_set: list[Range] = []

    def tend(self, action: str) -> Tended:
        """Carry out one order. Never raises: what cannot be done is told as 0 bytes."""
        begin_ns = time.monotonic_ns()
        size_bytes = 0
        with suppress(OSError, MemoryError):
            match action:
                case "trim":
                    size_bytes = self._trim()
                case "page_out":
                    size_bytes = self._page_out()
                case "page_in":
                    size_bytes = self._page_in()
        return Tended(action, size_bytes, time.monotonic_ns() - begin_ns)

    def _page_out(self) -> int:
        """Trim, then advise all that is this process's alone to be paged out; how much that was."""
        self._trim()
        ranges = private_ranges()
        own = own_pages(ranges)
        if self._was_out:  # before, all that was ever loaded is present
            self._working_set = own
        self._was_out = True
        for one in ranges:
            _advise(one, _PAGEOUT)
        return _size(own)

    def _trim(self) -> int:
        """Collect garbage and give free memory back, unless little came since it was done last; the anonymous memory
        that remains. What is frozen stays untouched.

        It touches pages that calls do not. Of a worker that is back with its calls' pages only, each of them is read
        from swap by itself, which costs more than to write some garbage.
        """
        if _anonymous_bytes() >= self._tidy_bytes + _WORTH_BYTES:
            gc.collect()
            if not heap.empty_end():
                process.give_back_free_memory()
            self._tidy_bytes = _anonymous_bytes()
        return self._tidy_bytes

    def _page_in(self) -> int:
        """Read back and map what calls have touched; how much that was. Without a record: nothing, they fault."""
        for one in self._working_set:  # first all are asked for, so that the disk is kept busy
            _advise(one, _WILLNEED)
        for one in self._working_set:
            _advise(one, _POPULATE_READ)
        return _size(self._working_set)


def private_ranges() -> list[Range]:
    """The heap, stacks and other private memory of this process that belongs to no file (proc_pid_maps(5))."""
    found = []
    with open("/proc/self/maps") as file:
        for line in file:
            addresses, rights, _, _, inode, *name = line.split(maxsplit=5)
            if rights == "rw-p" and inode == "0" and not (name and name[0].startswith("[v")):
                first, _, end = addresses.partition("-")
                found.append((int(first, 16), int(end, 16) - int(first, 16)))
    return found


def own_pages(ranges: list[Range]) -> list[Range]:
    """Those parts of `ranges` that are in memory and mapped by nobody else, such as a template (pagemap.rst)."""
    found: list[Range] = []
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        for first, length in ranges:
            for address, entries in _entries(file.fileno(), first, length):
                _add_own(found, address, entries)
    return found


def _entries(pagemap: int, first: int, length: int) -> Iterator[tuple[int, array[int]]]:
    """The pagemap's entries of a range, piece by piece, with the address of each piece."""
    page, end = first // _PAGE, (first + length) // _PAGE
    while page < end:
        wanted = min(end - page, _ENTRIES_A_READ)
        data = os.pread(pagemap, wanted * _ENTRY_BYTES, page * _ENTRY_BYTES)
        if not data:
            return
        yield page * _PAGE, array("Q", data)
        page += len(data) // _ENTRY_BYTES


def _add_own(found: list[Range], address: int, entries: array[int]) -> None:
    for entry in entries:
        if entry & _OWN == _OWN:
            if found and found[-1][0] + found[-1][1] == address:
                found[-1] = (found[-1][0], found[-1][1] + _PAGE)
            else:
                found.append((address, _PAGE))
        address += _PAGE


def _anonymous_bytes() -> int:
    """Memory that belongs to no file, wherever it is (proc_pid_status(5))."""
    with open("/proc/self/status", "rb") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith((b"RssAnon:", b"VmSwap:"))) * 1024


def _advise(one: Range, advice: int) -> None:
    """Best effort: a range may be locked, or unmapped by another thread meanwhile."""
    _libc.madvise(*one, advice)


def _size(ranges: list[Range]) -> int:
    return sum(length for _, length in ranges)
