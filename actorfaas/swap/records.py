"""Which working sets are known, which fit a worker's address space, and when one is to be recorded (again). Pure.

Where records are kept for good, and how a page-in uses one, is decided elsewhere.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from actorfaas.swap.prefetch import Drift
from actorfaas.swap.working_set import WorkingSet

MOST_FUNCTIONS = 512
"""Function versions remembered; of those beyond, the longest unused are forgotten (and can be loaded again)."""

MOST_GROWTHS = 8
"""How often a record takes in what it missed: calls that touch other pages each time would make it grow for ever."""
MOST_LOOKS = 8
"""After how many calls without growth a record is taken to be complete, so that page-ins need not look any more."""


@dataclass(slots=True)
class _Known:
    record: WorkingSet | None
    is_half: bool = False
    drift: Drift = field(default_factory=Drift)
    again: bool = False
    is_loaded: bool = False
    growths: int = 0
    looks: int = 0


class Records:
    """One record for each function version."""

    def __init__(self, most_functions: int = MOST_FUNCTIONS) -> None:
        self._most_functions = most_functions
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def is_known(self, function_topic: str) -> bool:
        """Whether it was loaded, or found to have none."""
        known = self._known.get(function_topic)
        return known is not None and known.is_loaded

    def loaded(self, function_topic: str, record: WorkingSet | None) -> None:
        """What was kept of a function from before; nothing that was recorded meanwhile is overwritten."""
        known = self._use(function_topic)
        known.record = known.record or record
        known.is_loaded = True

    def half(self, function_topic: str, layout: str) -> WorkingSet | None:
        """What the first of two recordings found, if it was in this address space.

        A call does some things that the next one will not, such as to collect garbage, for which it touches all there
        is. So a record is what two calls touched.
        """
        known = self._use(function_topic)
        return known.record if known.is_half and known.record and known.record.layout == layout else None

    def recorded(self, function_topic: str, record: WorkingSet, before: WorkingSet | None = None) -> WorkingSet | None:
        """A call was recorded; of what it touched, `record` has what is in `before`, which was the `half` at its end.

        The complete record, if this call has made it complete. A workflow's branches may always run at once, so that
        their recordings end together: what has become the half of one since then, `record` is compared with here, and
        one that has become complete since then stays.
        """
        known = self._use(function_topic)
        if not self.is_wanted(function_topic, record.layout):
            return None
        half = self.half(function_topic, record.layout)
        if half is not None and half is not before:
            record = record.common(half)
        known.is_half = half is None
        known.record, known.again, known.is_loaded = record, False, True
        known.growths = known.looks = 0
        return None if known.is_half else record

    def is_to_look(self, function_topic: str) -> bool:
        """Whether the next call after a page-in should show what the record misses."""
        known = self._use(function_topic)
        return known.growths < MOST_GROWTHS and known.looks < MOST_LOOKS

    def look(self, function_topic: str) -> bool:
        """The same, before such a call."""
        is_to_look = self.is_to_look(function_topic)
        self._use(function_topic).looks += 1
        return is_to_look

    def may_grow(self, function_topic: str, layout: str, major_faults: int) -> WorkingSet | None:
        """The record, if a call with so many faults may have touched what it misses.

        One fault is enough: what one of two recorded calls found in memory already, every call would fault for.
        """
        known = self._use(function_topic)
        fits = not self.is_wanted(function_topic, layout)
        return known.record if fits and major_faults > 0 and known.growths < MOST_GROWTHS else None

    def grow(self, function_topic: str, record: WorkingSet, grown: WorkingSet) -> bool:
        """A call touched what `grown` has besides `record`. False: that is nothing, or so much that another call will
        not touch it again, or another record is in use now."""
        known = self._use(function_topic)
        if known.record is not record or not record.pages < grown.pages <= 2 * record.pages:
            return False
        known.record = grown
        known.growths += 1
        known.looks = 0
        return True

    def fitting(self, function_topic: str, layout: str) -> WorkingSet | None:
        """What of the record holds in this address space; None if there is nothing to be read ahead."""
        record = self._use(function_topic).record
        fitting = record.for_layout(layout) if record else None
        return fitting if fitting and fitting.groups else None

    def is_wanted(self, function_topic: str, layout: str) -> bool:
        """Whether the next call is to be recorded: there is no record, or half of one, it is of another address space,
        or outdated."""
        known = self._use(function_topic)
        return known.record is None or known.record.layout != layout or known.is_half or known.again

    def called(self, function_topic: str, major_faults: int) -> None:
        """A call ended whose working set had been read."""
        known = self._use(function_topic)
        if known.record is not None and known.drift.called(major_faults, known.record.pages):
            known.again = True

    def size_bytes(self, function_topic: str) -> int:
        """How large the record is; 0 without one, or as long as it is not complete."""
        known = self._known.get(function_topic)
        record = known.record if known and not known.is_half else None
        return record.memory_bytes + record.file_bytes if record else 0

    def _use(self, function_topic: str) -> _Known:
        known = self._known.get(function_topic)
        if known is None:
            known = self._known[function_topic] = _Known(None)
            self._forget_old()
        self._known.move_to_end(function_topic)
        return known

    def _forget_old(self) -> None:
        while len(self._known) > self._most_functions:
            self._known.popitem(last=False)
