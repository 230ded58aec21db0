"""What to read back, in which steps, and when a record no longer fits its function. Pure.

A page-in is planned once for each record: at the call, when every tenth of a millisecond counts, nothing is left but
system calls. `reap` carries the plan out before the call; `faasnap` starts the call and carries it out ahead of it, in
the order in which pages were first touched. Both read the same pages, so that only the overlap differs.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from actorfaas.swap.ranges import (
    Range,
    Ranges,
    by_size,
    intersect_in_order,
    normalise,
    subtract,
    subtract_in_order,
    total_bytes,
)
from actorfaas.swap.working_set import FileRange, WorkingSet

STEP_BYTES = 2 << 20
"""How far reading runs ahead of mapping what was read. What one piece of advice covers, the kernel asks the disk for in
as few requests as its places in swap allow, so that smaller steps read more slowly."""

SCATTERED_PARTS = 4
"""How many pages that must be read one by one are read at once: each waits for the disk by itself."""

MOST_PLANS = 256


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages to be mapped from outside. `own`: those that no other process maps, `shared`: the rest, in access order."""

    own: tuple[Range, ...]
    shared: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """Ranges to read in one go (MADV_WILLNEED), and which of their pages to map then."""

    ranges: tuple[Range, ...]
    pages: Pages


@dataclass(frozen=True, slots=True)
class Plan:
    """A page-in: steps in access order; `scattered` pages, which advice does not read, in parts of about the same size;
    `fresh` memory, which is mapped for writing; files that are mapped at unknown places, to be read only."""

    steps: tuple[Step, ...]
    scattered: tuple[Pages, ...]
    fresh: tuple[Range, ...]
    files: tuple[FileRange, ...]
    length_bytes: int


def plan(record: WorkingSet, step_bytes: int = STEP_BYTES) -> Plan:
    """A page-in of everything in the record, in steps of at most `step_bytes` (a multiple of the page size)."""
    files = [(one.address, one.length_bytes) for one in record.files if one.address]
    to_map = subtract(record.mapped, normalise((*record.scattered, *record.fresh)))
    return Plan(
        tuple(
            Step(tuple(ranges), _pages(intersect_in_order(ranges, to_map), record.shared))
            for ranges in by_size((*record.to_read, *files), step_bytes)
        ),
        tuple(_pages(part, record.shared) for part in _parts(record.scattered, SCATTERED_PARTS)),
        record.fresh,
        tuple(one for one in record.files if not one.address),
        record.memory_bytes + record.file_bytes - total_bytes(record.fresh),
    )


def _pages(ranges: Ranges, shared: Ranges) -> Pages:
    own = subtract_in_order(ranges, shared)
    return Pages(tuple(own), tuple(subtract_in_order(ranges, normalise(own))))


def _parts(ranges: Ranges, most: int) -> list[Ranges]:
    """The ranges in at most `most` lists of about as many ranges."""
    step = -(-len(ranges) // most)
    return [ranges[first : first + step] for first in range(0, len(ranges), step or 1)]


class Plans:
    """The plans of the records in use, each made once."""

    def __init__(self) -> None:
        self._made: OrderedDict[int, tuple[WorkingSet, Plan]] = OrderedDict()

    def of(self, record: WorkingSet) -> Plan:
        """The plan of this very record."""
        made = self._made.get(id(record))  # held with its record, so that nobody else has this id
        if made is None:
            made = self._made[id(record)] = (record, plan(record))
            while len(self._made) > MOST_PLANS:
                self._made.popitem(last=False)
        self._made.move_to_end(id(record))
        return made[1]


@dataclass(frozen=True, slots=True)
class DriftRules:
    """When faults after a prefetch mean that the record is out of date.

    A call drifts when it took more than `most_faults` major faults and more than `most_share` of the record's pages.
    When more than half of `window_calls` drift, the record is made again. A function whose calls touch different
    pages each time would be recorded for ever: each time in a row, `window_calls` more calls are let pass, doubling
    up to `most_skipped_calls`.
    """

    window_calls: int = 8
    most_faults: int = 32
    most_share: float = 0.1
    most_skipped_calls: int = 1024


class Drift:
    """What the calls after a prefetch say about one function version's record."""

    def __init__(self, rules: DriftRules | None = None) -> None:
        self._rules = rules or DriftRules()
        self._window: deque[bool] = deque(maxlen=self._rules.window_calls)
        self._skip = 0
        self._next_skip = 0

    def called(self, major_faults: int, recorded_pages: int) -> bool:
        """A call ended that had its working set prefetched. True: record again, with the next call."""
        if self._skip:
            self._skip -= 1
            return False
        rules = self._rules
        self._window.append(major_faults > max(rules.most_faults, rules.most_share * recorded_pages))
        if len(self._window) < rules.window_calls:
            return False
        if 2 * sum(self._window) <= rules.window_calls:
            self._next_skip = 0
            return False
        self._window.clear()
        self._skip = self._next_skip
        self._next_skip = min(max(rules.window_calls, 2 * self._next_skip), rules.most_skipped_calls)
        return True
