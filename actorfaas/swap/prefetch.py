"""What to read back, in which steps, and when a record no longer fits its function. Pure.

`reap` reads the whole working set before the call; `faasnap` starts the call and reads group after group ahead of it.
Both read the same pages in the same order, so that only the overlap differs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from actorfaas.swap.ranges import Range
from actorfaas.swap.working_set import FileRange, Group, WorkingSet

PrefetchStrategy = Literal["reap", "faasnap"]

BATCH_BYTES = 8 << 20
"""About 8 ms of sequential reading: how far reading may run ahead before what was read is mapped."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Ranges to read (MADV_WILLNEED) together and then to map. `before_call`: the call waits for it."""

    memory: tuple[Range, ...]
    files: tuple[FileRange, ...]
    before_call: bool


def batches(working_set: WorkingSet, strategy: PrefetchStrategy, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
    """The steps of a prefetch in order, at most `batch_bytes` (a multiple of the page size) each.

    Long ranges are cut. A batch of `faasnap` holds pages of one group only; `reap` fills its batches.
    """
    if strategy == "faasnap":
        for group in working_set.groups:
            yield from _filled(_pieces(group, batch_bytes), batch_bytes, before_call=False)
    else:
        everything = (piece for group in working_set.groups for piece in _pieces(group, batch_bytes))
        yield from _filled(everything, batch_bytes, before_call=True)


def _pieces(group: Group, most_bytes: int) -> Iterator[Range | FileRange]:
    for start, length in group.memory:
        for at in range(0, length, most_bytes):
            yield start + at, min(most_bytes, length - at)
    for one in group.files:
        for at in range(0, one.length_bytes, most_bytes):
            address = one.address + at if one.address else 0
            yield FileRange(address, min(most_bytes, one.length_bytes - at), one.path, one.offset_bytes + at)


def _filled(pieces: Iterator[Range | FileRange], batch_bytes: int, *, before_call: bool) -> Iterator[Batch]:
    memory: list[Range] = []
    files: list[FileRange] = []
    room = batch_bytes
    for piece in pieces:
        if piece[1] > room:
            yield Batch(tuple(memory), tuple(files), before_call)
            memory, files, room = [], [], batch_bytes
        room -= piece[1]
        if isinstance(piece, FileRange):
            files.append(piece)
        else:
            memory.append(piece)
    if memory or files:
        yield Batch(tuple(memory), tuple(files), before_call)


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
