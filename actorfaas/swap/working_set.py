"""Working sets: which pages a function's calls touch, in which order, and what to read back before or during one.

Pure: scan results go in (from `pagemap`, `maps`), ranges in access order come out (for `madvise`, `populate`). One
record per function version. Zero pages are left out: the kernel makes one without reading anything.

Sources: REAP (Ustiugov et al., ASPLOS 2021, section 5: record and prefetch); FaaSnap (Ao et al., EuroSys 2022, section
4: concurrent paging, groups in access order, merged regions, a loading set without zero pages).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from actorfaas.swap.maps import Mapping, file_ranges, private_ranges
from actorfaas.swap.ranges import (
    PAGE_SIZE,
    Range,
    Ranges,
    intersect,
    intersect_in_order,
    normalise,
    subtract,
    subtract_in_order,
    total_bytes,
)

WIDEST_GAP_PAGES = 512
"""Ranges further apart than this are never merged to make a record smaller."""


class FileRange(NamedTuple):
    """Clean pages of a mapped file. `address` is 0 when the file is not known to be mapped there."""

    address: int
    length_bytes: int
    path: str
    offset_bytes: int


@dataclass(frozen=True, slots=True)
class Group:
    """Pages first touched between two scans: private memory as a normal list, and pages of files."""

    memory: tuple[Range, ...] = ()
    files: tuple[FileRange, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkingSet:
    """The record of one function version.

    `layout` names the address space it was taken in (workers forked from one template share theirs); addresses mean
    nothing in another. `left_out_bytes` did not fit the bounds. Of the private memory (both normal lists), `shared` was
    also mapped by the template or siblings after the call; `scattered` are private copies of files' pages, which
    advice does not read back from swap; `fresh` was nowhere before the call, as when it allocates memory. `spans`:
    the rest in fewer ranges, in the order to read them; () if it is not known which may be joined.
    """

    layout: str
    groups: tuple[Group, ...]
    left_out_bytes: int = 0
    shared: tuple[Range, ...] = ()
    scattered: tuple[Range, ...] = ()
    fresh: tuple[Range, ...] = ()
    spans: tuple[Range, ...] = ()

    @property
    def memory(self) -> list[Range]:
        """All private ranges in access order."""
        return [one for group in self.groups for one in group.memory]

    @property
    def files(self) -> list[FileRange]:
        """All ranges of files in access order."""
        return [one for group in self.groups for one in group.files]

    @property
    def mapped(self) -> list[Range]:
        """Where all its pages are, as a normal list."""
        return normalise((*self.memory, *((one.address, one.length_bytes) for one in self.files if one.address)))

    @property
    def to_read(self) -> tuple[Range, ...]:
        """What advice reads from swap, in this order: private memory without what is scattered."""
        return self.spans or tuple(subtract_in_order(self.memory, self.scattered))

    @property
    def memory_bytes(self) -> int:
        """What comes from swap."""
        return total_bytes(self.memory)

    @property
    def file_bytes(self) -> int:
        """What comes from files."""
        return sum(one.length_bytes for one in self.files)

    @property
    def pages(self) -> int:
        """How many pages in all."""
        return (self.memory_bytes + self.file_bytes) // PAGE_SIZE

    def for_layout(self, layout: str) -> WorkingSet:
        """What of the record holds in an address space: all of it in its own, else the files without addresses."""
        if layout == self.layout:
            return self
        groups = (Group((), tuple(one._replace(address=0) for one in group.files)) for group in self.groups)
        return WorkingSet(layout, tuple(group for group in groups if group.files), self.left_out_bytes)

    def grown(self, more: WorkingSet) -> WorkingSet:
        """The same with what a later call touched besides, of the same address space, as the last group."""
        groups = self.groups + tuple(group for group in more.groups if group.memory or group.files)
        return WorkingSet(
            self.layout,
            groups,
            self.left_out_bytes + more.left_out_bytes,
            tuple(normalise(chain(self.shared, more.shared))),
            tuple(normalise(chain(self.scattered, more.scattered))),
            tuple(normalise(chain(self.fresh, more.fresh))),
            (*self.to_read, *more.to_read),
        )

    def without(self, present: Ranges) -> WorkingSet:
        """What of it is not among the pages in `present` (normal)."""
        groups = []
        for group in self.groups:
            files = (one for file in group.files for one in _left_of(file, present))
            groups.append(Group(tuple(subtract(group.memory, present)), tuple(files)))
        return WorkingSet(
            self.layout,
            tuple(group for group in groups if group.memory or group.files),
            self.left_out_bytes,
            tuple(subtract(self.shared, present)),
            tuple(subtract(self.scattered, present)),
            tuple(subtract(self.fresh, present)),
            tuple(subtract_in_order(self.to_read, present)),
        )

    def common(self, other: WorkingSet) -> WorkingSet:
        """What both have, of the same address space, in this one's order."""
        return self.without(subtract(self.mapped, other.mapped))

    def page_out_order(self, private: Ranges) -> list[Range]:
        """A worker's private ranges (normal) in the order to page them out: the working set as it will be read, then
        the rest. What is written together lies together in the swapfile, and is read by one request of the disk."""
        first = intersect_in_order((*self.to_read, *self.scattered), private)
        return first + subtract(private, normalise(first))


def _left_of(file: FileRange, present: Ranges) -> Iterator[FileRange]:
    """The parts of a range that are not present where it is mapped."""
    if not file.address:
        yield file
        return
    for start, length in subtract([(file.address, file.length_bytes)], present):
        yield FileRange(start, length, file.path, file.offset_bytes + start - file.address)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Shape and size of a record.

    Ranges up to `gap_pages` apart are merged (FaaSnap merges below 32; on a local swapfile that was slower, hence 0).
    Beyond `most_ranges` wider gaps are merged too; what still does not fit is left out, the last touched first.
    """

    gap_pages: int = 0
    most_bytes: int = 512 << 20
    most_ranges: int = 16_384
    most_groups: int = 32


class Recording:
    """Scans made during one call, after everything had been paged out.

    `mappings` are the worker's. Pages in `before` (normal) were present at the start and say nothing about the call.
    """

    def __init__(self, mappings: Iterable[Mapping], before: Ranges = ()) -> None:
        self._mappings = sorted(mappings, key=lambda one: one.start)
        self._starts = [one.start for one in self._mappings]
        self._seen = list(before)
        self._zero: list[Range] = []
        self._groups: list[tuple[list[Range], list[Range]]] = []

    def scan(self, present: Iterable[Range], *, files: Iterable[Range] = (), zero: Iterable[Range] = ()) -> None:
        """Pages that are present now, those of them that files back, and those that are the page of zeros.

        What no scan had before becomes the next group. A page of zeros is taken when a later scan finds it written.
        """
        zeros = normalise(zero)
        fresh = subtract(subtract(normalise(present), zeros), self._seen)
        self._zero = normalise(chain(self._zero, zeros))
        if fresh:
            backed = [part for part in intersect(fresh, normalise(files)) if self._is_known_file(part)]
            self._groups.append((subtract(fresh, backed), backed))
            self._seen = normalise(chain(self._seen, fresh))

    def finish(
        self, layout: str, bounds: Bounds | None = None, *, own: Ranges = (), out: Ranges | None = None
    ) -> WorkingSet:
        """The record of all scans. Both normal: `own` are the pages that no other process maps, `out` those that were
        in swap before the call, if that is known."""
        bounds = bounds or Bounds()
        gap_pages = bounds.gap_pages
        groups = self._merged(gap_pages)
        while gap_pages < WIDEST_GAP_PAGES and _range_count(groups) > bounds.most_ranges:
            gap_pages = max(1, 2 * gap_pages)
            groups = self._merged(gap_pages)
        if len(groups) > bounds.most_groups:
            last = groups[bounds.most_groups - 1 :]
            memory = normalise(chain.from_iterable(group.memory for group in last))
            joined = Group(tuple(memory), tuple(chain.from_iterable(group.files for group in last)))
            groups = [*groups[: bounds.most_groups - 1], joined]
        groups, left_out_bytes = _cut(groups, bounds)
        memory = normalise(chain.from_iterable(group.memory for group in groups))
        copies = normalise(one.range for one in self._mappings if one.is_file and one.is_private)
        return WorkingSet(
            layout,
            tuple(groups),
            left_out_bytes,
            shared=tuple(subtract(memory, own)),
            scattered=tuple(intersect(memory, copies)),
        )

    def _is_known_file(self, part: Range) -> bool:
        mapping = self._mapping_at(part[0])
        return mapping is not None and mapping.is_file and sum(part) <= self._end_of_files(mapping)

    def _end_of_files(self, mapping: Mapping) -> int:
        """Where the run of file mappings without holes, of which `mapping` is one, ends."""
        index = bisect_right(self._starts, mapping.start)
        end = mapping.end
        while index < len(self._mappings) and self._mappings[index].start == end and self._mappings[index].is_file:
            end = self._mappings[index].end
            index += 1
        return end

    def _mapping_at(self, address: int) -> Mapping | None:
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._mappings[index].end:
            return None
        return self._mappings[index]

    def _merged(self, gap_pages: int) -> list[Group]:
        touched_memory = normalise(chain.from_iterable(memory for memory, _ in self._groups))
        touched_files = normalise(chain.from_iterable(files for _, files in self._groups))
        in_memory = subtract(private_ranges(self._mappings), normalise(chain(touched_files, self._zero)))
        in_files = subtract(file_ranges(self._mappings), normalise(chain(touched_memory, self._zero)))
        taken: list[Range] = []
        groups = []
        for memory, files in self._groups:
            wide_memory = _widened(memory, gap_pages, in_memory, taken)
            taken = normalise(chain(taken, wide_memory))
            wide_files = _widened(files, gap_pages, in_files, taken)
            taken = normalise(chain(taken, wide_files))
            if wide_memory or wide_files:
                groups.append(Group(tuple(wide_memory), tuple(self._located(wide_files))))
        return groups

    def _located(self, ranges: Ranges) -> Iterator[FileRange]:
        """Addresses as places in files; a range over several mappings becomes several."""
        for start, length in ranges:
            end = start + length
            while start < end:
                mapping = self._mapping_at(start)
                if mapping is None:  # cannot be: only pages inside file mappings are kept
                    break
                stop = min(end, mapping.end)
                yield FileRange(start, stop - start, mapping.path, mapping.offset_bytes + start - mapping.start)
                start = stop


def _widened(ranges: Ranges, gap_pages: int, within: Ranges, taken: Ranges) -> list[Range]:
    """Normal ranges without `taken`, with the gaps up to `gap_pages` filled as far as `within` reaches."""
    kept = subtract(ranges, taken)
    if not gap_pages or not kept:
        return kept
    gaps = subtract(normalise(kept, gap_pages * PAGE_SIZE), kept)
    return normalise(chain(kept, subtract(intersect(gaps, within), taken)))


def _range_count(groups: Sequence[Group]) -> int:
    return sum(len(group.memory) + len(group.files) for group in groups)


def _cut(groups: Sequence[Group], bounds: Bounds) -> tuple[list[Group], int]:
    """The groups within the bounds, first touched first, and how many bytes are left out."""
    room_bytes = bounds.most_bytes // PAGE_SIZE * PAGE_SIZE
    room_ranges = bounds.most_ranges
    left_out_bytes = 0
    kept = []
    for group in groups:
        memory: list[Range] = []
        files: list[FileRange] = []
        for start, length in group.memory:
            take = min(length, room_bytes) if room_ranges else 0
            left_out_bytes += length - take
            if take:
                memory.append((start, take))
                room_bytes, room_ranges = room_bytes - take, room_ranges - 1
        for one in group.files:
            take = min(one.length_bytes, room_bytes) if room_ranges else 0
            left_out_bytes += one.length_bytes - take
            if take:
                files.append(one._replace(length_bytes=take))
                room_bytes, room_ranges = room_bytes - take, room_ranges - 1
        if memory or files:
            kept.append(Group(tuple(memory), tuple(files)))
    return kept, left_out_bytes
