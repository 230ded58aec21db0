"""Working sets as bytes: a versioned msgpack record, small because places are stored in pages, as steps. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack

from actorfaas.swap.ranges import PAGE_SIZE, Range, Ranges
from actorfaas.swap.working_set import FileRange, Group, WorkingSet

VERSION = 3
MOST_BYTES = 4 << 20
"""Longer records are refused: 16,384 ranges take about 100 KB."""


def to_bytes(working_set: WorkingSet) -> bytes:
    """[version, page size, layout, bytes left out, paths, groups, shared, scattered, fresh, spans]; a group is
    [memory, files].

    All are flat lists. Memory (on from the group before), shared, scattered, fresh, spans: pages from the end of the
    range before, which may be negative, and length in pages. Files: index of the path, then address, offset and length
    in pages.
    """
    paths: dict[str, int] = {}
    groups = []
    end = 0
    for group in working_set.groups:
        memory, end = _steps(group.memory, end)
        files = []
        for one in group.files:
            places = (one.address, one.offset_bytes, one.length_bytes)
            files += [paths.setdefault(one.path, len(paths)), *(place // PAGE_SIZE for place in places)]
        groups.append([memory, files])
    flat = (working_set.shared, working_set.scattered, working_set.fresh, working_set.spans)
    parts = [_steps(ranges, 0)[0] for ranges in flat]
    record = [VERSION, PAGE_SIZE, working_set.layout, working_set.left_out_bytes, list(paths), groups, *parts]
    packed: bytes = msgpack.packb(record)
    return packed


def from_bytes(record: bytes) -> WorkingSet:
    """The working set. Raises ValueError: no record, of another version, or of a machine with other pages."""
    if len(record) > MOST_BYTES:
        raise ValueError(f"a working-set record of {len(record)} bytes exceeds {MOST_BYTES}")
    try:
        version, page_size, *rest = msgpack.unpackb(record)
        if (version, page_size) != (VERSION, PAGE_SIZE):
            raise ValueError(f"working-set record of version {version!r}, page size {page_size!r}")
        layout, left_out_bytes, paths, groups, *parts = rest
        shared, scattered, fresh, spans = (_ranges(part, 0)[0] for part in parts)
        if not isinstance(layout, str) or not all(isinstance(path, str) for path in paths):
            raise ValueError("working-set record with names that are no text")
        left_out_bytes = _natural(left_out_bytes)
        return WorkingSet(layout, tuple(_groups(groups, paths)), left_out_bytes, shared, scattered, fresh, spans)
    except (TypeError, IndexError, msgpack.UnpackException) as error:
        raise ValueError(f"not a working-set record: {error}") from error


def _groups(groups: list[Any], paths: list[str]) -> Iterator[Group]:  # Any: not checked yet
    end = 0
    for memory, files in groups:
        ranges, end = _ranges(memory, end)
        yield Group(ranges, tuple(_file(row, paths) for row in _rows(files, 4)))


def _steps(ranges: Ranges, end: int) -> tuple[list[int], int]:
    """Ranges as steps from `end`, and where they end."""
    steps = []
    for start, length in ranges:
        steps += [(start - end) // PAGE_SIZE, length // PAGE_SIZE]
        end = start + length
    return steps, end


def _ranges(steps: list[Any], end: int) -> tuple[tuple[Range, ...], int]:  # Any: not checked yet
    """The same the other way round."""
    ranges: list[Range] = []
    for step, pages in _rows(steps, 2):
        start = end + step * PAGE_SIZE
        end = _natural(start) + _positive(pages) * PAGE_SIZE
        ranges.append((start, end - start))
    return tuple(ranges), end


def _file(row: list[int], paths: list[str]) -> FileRange:
    path, address, offset, pages = row
    return FileRange(
        _natural(address) * PAGE_SIZE, _positive(pages) * PAGE_SIZE, paths[_natural(path)], _natural(offset) * PAGE_SIZE
    )


def _rows(flat: list[Any], width: int) -> Iterator[list[int]]:  # Any: not checked yet
    if len(flat) % width or not all(type(one) is int for one in flat):
        raise ValueError("working-set record with rows of the wrong shape")
    for first in range(0, len(flat), width):
        yield flat[first : first + width]


def _natural(number: int) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"working-set record with {number!r} where a size or place belongs")
    return number


def _positive(number: int) -> int:
    if number <= 0:
        raise ValueError("working-set record with an empty range")
    return number
