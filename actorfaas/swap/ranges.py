"""Arithmetic of address ranges. Pure.

A range is `(start, length)` in bytes, both multiples of the page size: exactly what an iovec holds, so that a list of
them becomes a system call's argument without a loop. A *normal* list is sorted, without overlaps, gaps of zero or empty
ranges; `normalise` makes one. Lists in access order are not normal, and stay as they are.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter

Range = tuple[int, int]
Ranges = Sequence[Range]

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")

_START = itemgetter(0)


def normalise(ranges: Iterable[Range], gap_bytes: int = 0) -> list[Range]:
    """Sorted and merged. Ranges that are at most `gap_bytes` apart become one that includes the gap."""
    merged: list[Range] = []
    end = -1
    for start, length in sorted(ranges):
        if length <= 0:
            continue
        if merged and start <= end + gap_bytes:
            if start + length > end:
                end = start + length
                merged[-1] = (merged[-1][0], end - merged[-1][0])
        else:
            merged.append((start, length))
            end = start + length
    return merged


def total_bytes(ranges: Iterable[Range]) -> int:
    """The sum of the lengths."""
    return sum(length for _, length in ranges)


def page_count(ranges: Iterable[Range]) -> int:
    """How many pages the ranges have in all."""
    return total_bytes(ranges) // PAGE_SIZE


def page_addresses(ranges: Iterable[Range]) -> Iterator[int]:
    """The address of every page, in the order of the ranges."""
    return chain.from_iterable(range(start, start + length, PAGE_SIZE) for start, length in ranges)


def from_pages(addresses: Iterable[int]) -> list[Range]:
    """The normal list that covers the pages at these addresses."""
    return normalise((address, PAGE_SIZE) for address in addresses)


def intersect(left: Ranges, right: Ranges) -> list[Range]:
    """What both cover. Both must be normal; so is the result."""
    found: list[Range] = []
    i = j = 0
    while i < len(left) and j < len(right):
        start = max(left[i][0], right[j][0])
        left_end, right_end = sum(left[i]), sum(right[j])
        end = min(left_end, right_end)
        if start < end:
            found.append((start, end - start))
        if left_end <= right_end:
            i += 1
        else:
            j += 1
    return found


def subtract(left: Ranges, right: Ranges) -> list[Range]:
    """What `left` covers and `right` does not. Both must be normal; so is the result."""
    found: list[Range] = []
    j = 0
    for start, length in left:
        end = start + length
        while j < len(right) and sum(right[j]) <= start:
            j += 1
        k = j
        while k < len(right) and right[k][0] < end:
            if right[k][0] > start:
                found.append((start, right[k][0] - start))
            start = max(start, sum(right[k]))
            k += 1
        if start < end:
            found.append((start, end - start))
    return found


def subtract_in_order(left: Iterable[Range], right: Ranges) -> list[Range]:
    """What `left` covers and `right` does not, in the order of `left`. Only `right` must be normal."""
    return [part for one in left for part in subtract([one], near(right, one))]


def intersect_in_order(left: Iterable[Range], right: Ranges) -> list[Range]:
    """What both cover, in the order of `left`. Only `right` must be normal."""
    return [part for one in left for part in intersect([one], near(right, one))]


def near(ranges: Ranges, one: Range) -> Ranges:
    """The part of a normal list in which everything that `one` overlaps is."""
    first = bisect_right(ranges, one[0], key=_START) - 1
    return ranges[max(0, first) : bisect_left(ranges, sum(one), key=_START)]


def batches(ranges: Ranges, most: int) -> Iterator[Ranges]:
    """The ranges in their order, at most `most` at a time."""
    for first in range(0, len(ranges), most):
        yield ranges[first : first + most]


def pieces(ranges: Iterable[Range], most_bytes: int) -> Iterator[Range]:
    """The ranges in their order, the long ones cut so that none exceeds `most_bytes` (a multiple of the page size)."""
    for start, length in ranges:
        for offset in range(0, length, most_bytes):
            yield start + offset, min(most_bytes, length - offset)


def by_size(ranges: Iterable[Range], most_bytes: int) -> Iterator[list[Range]]:
    """The ranges in their order, in lists of `most_bytes` (the last one may be smaller)."""
    batch: list[Range] = []
    room = most_bytes
    for start, length in ranges:
        while length >= room:
            batch.append((start, room))
            yield batch
            start, length = start + room, length - room
            batch, room = [], most_bytes
        if length:
            batch.append((start, length))
            room -= length
    if batch:
        yield batch
