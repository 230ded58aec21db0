"""Which ranges of a working set to read together. Pure.

Each range that advice is given about becomes a request of the disk by itself, and some hundred of them take longer than
their pages do. Advice about pages that are not in swap costs nothing, though, so that ranges between which no other
page is in swap can be one; nor is it worth two requests to leave out a single page.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from actorfaas.swap.maps import Mapping
from actorfaas.swap.ranges import (
    PAGE_SIZE,
    Range,
    Ranges,
    intersect,
    near,
    normalise,
    subtract,
    total_bytes,
)
from actorfaas.swap.working_set import Group, WorkingSet

MOST_ALONG_BYTES = PAGE_SIZE
"""So much that no call touches is read, rather than asking the disk twice for what lies around it."""

MOST_EARLY_BYTES = 8 * PAGE_SIZE
"""So much that is touched later is read earlier, for the same reason; more would keep a call waiting that runs while
its memory is being read."""

WIDEST_GAP_BYTES = 2 << 20


def joined(
    record: WorkingSet, out: Ranges, mappings: Iterable[Mapping], most_along_bytes: int = MOST_ALONG_BYTES
) -> WorkingSet:
    """The record with `spans`, those of the first group first, with what is read along with them as its last group, and
    with what is `fresh`. `out` (normal): what was in swap before the call."""
    starts = [one.start for one in mappings]
    pages = subtract(normalise(record.memory), record.scattered)
    others, later = subtract(out, pages), pages
    spans: list[Range] = []
    along: list[Range] = []
    for group in record.groups:
        own = intersect(group.memory, later)
        later = subtract(later, own)
        joins = _Joins(starts, ((others, most_along_bytes), (later, MOST_EARLY_BYTES)))
        read = subtract(normalise((*own, *joins.gaps(own))), normalise(spans))
        along += intersect(others, read)
        spans += (one for one in read if intersect([one], near(pages, one)))
        later, others = subtract(later, read), subtract(others, read)
    return replace(
        record,
        groups=(*record.groups, Group(tuple(normalise(along)))) if along else record.groups,
        fresh=tuple(subtract(pages, out)),
        spans=tuple(spans),
    )


@dataclass(frozen=True, slots=True)
class _Joins:
    """Which gaps between ranges are read: those within one mapping (`starts`: where these begin) that have no more in
    them of each of these normal lists than so many bytes."""

    starts: Sequence[int]
    bounds: tuple[tuple[Ranges, int], ...]

    def gaps(self, ranges: Ranges) -> list[Range]:
        """The gaps of a normal list."""
        whole = [(ranges[0][0], sum(ranges[-1]) - ranges[0][0])] if ranges else []
        return [gap for gap in subtract(whole, ranges) if self._is_read(gap)]

    def _is_read(self, gap: Range) -> bool:
        is_within_one = bisect_right(self.starts, gap[0] - PAGE_SIZE) == bisect_right(self.starts, sum(gap))
        return (
            is_within_one
            and gap[1] <= WIDEST_GAP_BYTES
            and all(total_bytes(intersect([gap], near(others, gap))) <= most for others, most in self.bounds)
        )
