"""One call's working set, found out from outside while it runs: which pages are present at each of several scans.

Blocking, for a fraction of a millisecond to some (see `pagemap`). When to scan is the caller's rhythm.
"""

from __future__ import annotations

from actorfaas.swap import pagemap
from actorfaas.swap.joining import joined
from actorfaas.swap.pagemap import Page
from actorfaas.swap.ranges import Range, Ranges
from actorfaas.swap.target import Target
from actorfaas.swap.working_set import Bounds, Recording, WorkingSet

MOST_SCANS = 48


class Recorder:
    """Scans of one process since it was paged out."""

    def __init__(self, target: Target, layout: str, before: Ranges, out: Ranges | None = None) -> None:
        """Both normal: `before` are the pages that were there when the call began, `out` those that were in swap."""
        self._target = target
        self.layout = layout
        self._before = before
        self._out = out
        self._scans: list[tuple[list[Range], list[Range], list[Range]]] = []

    def scan(self) -> None:
        """Look once; nothing after `MOST_SCANS`, so that a long call costs no more. Raises ProcessGone."""
        if len(self._scans) < MOST_SCANS:
            self._look()

    def finish(self, bounds: Bounds | None = None, *, before: WorkingSet | None = None) -> WorkingSet:
        """Look a last time; all that was touched, in order of the scans that found it, and was touched `before` as
        well, if that is known. Raises ProcessGone.

        The map is read now: it has what was loaded during the call.
        """
        self._look()
        mappings = self._target.mappings()
        recording = Recording(mappings, self._before)
        for present, files, zeros in self._scans:
            recording.scan(present, files=files, zero=zeros)
        record = recording.finish(self.layout, bounds, own=pagemap.own(self._target))
        if before is not None:
            record = record.common(before)
        return record if self._out is None else joined(record, self._out, mappings)

    def _look(self) -> None:
        present: list[Range] = []
        files: list[Range] = []
        zeros: list[Range] = []
        for region in pagemap.regions(self._target):
            if not region.kind & Page.PRESENT:
                continue
            span = region.start, region.length
            present.append(span)
            if region.kind & Page.ZERO:
                zeros.append(span)
            elif region.kind & Page.FILE:
                files.append(span)
        self._scans.append((present, files, zeros))
