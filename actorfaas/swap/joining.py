"""Which ranges of a working set to read together. Pure.

Each range that advice is given about becomes a request of the disk by itself, and some hundred of them take longer than
their pages do. Advice about pages that are not in swap costs nothing, though, so that ranges between which no other
page is in swap can be one; nor is it worth two requests to leave out a single page.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from actorfaas.swap.maps import Mapping
from actorfaas.swap.ranges import (
    PAGE_SIZE,
    Range,
    Ranges,
    intersect,
    near,
    normalise,
    subtract,
    subtract_in_order,
    total_bytes,
)
from actorfaas.swap.working_set import Group, WorkingSet

MOST_ALONG_BYTES = PAGE_SIZE
"""So much that no call touches is read, rather than asking the disk twice for what lies around it."""

WIDEST_GAP_BYTES = 2 << 20


def joined(
    record: WorkingSet, out: Ranges, mappings: Iterable[Mapping], most_along_bytes: int = MOST_ALONG_BYTES
) -> WorkingSet:
    """The record with `spans`, each where the first page in it is, with what is read along with them as its last group,
    and with what is `fresh`. `out` (normal): what was in swap before the call."""
    wanted = subtract_in_order(record.memory, record.scattered)
    pages = normalise(wanted)
    gaps, along = _closed(pages, subtract(out, pages), [one.start for one in mappings], most_along_bytes)
    whole = normalise((*pages, *gaps))
    return replace(
        record,
        groups=(*record.groups, Group(tuple(along))) if along else record.groups,
        fresh=tuple(subtract(pages, out)),
        spans=tuple(dict.fromkeys(near(whole, one)[0] for one in wanted)),
    )


def _closed(pages: Ranges, others: Ranges, starts: Sequence[int], most_along_bytes: int) -> tuple[Ranges, Ranges]:
    """The gaps between normal ranges over which these can be joined, and what of `others` is read along then."""
    gaps: list[Range] = []
    along: list[Range] = []
    for gap in subtract([(pages[0][0], sum(pages[-1]) - pages[0][0])], pages) if pages else ():
        between = intersect([gap], near(others, gap))
        is_within_one = bisect_right(starts, gap[0] - PAGE_SIZE) == bisect_right(starts, sum(gap))
        if is_within_one and gap[1] <= WIDEST_GAP_BYTES and total_bytes(between) <= most_along_bytes:
            gaps.append(gap)
            along += between
    return gaps, along
