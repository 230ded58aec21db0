"""What if: observed traces run once more, in simulated time, with other numbers of workers or faster functions.

The model. Each call and execution begins when it was observed to begin (open arrivals). What was seen to begin after
something else had ended begins after it again, as much later as it did. A task or call waits for one of its function's
workers, first come first served, holds it for as long as starting and its handler take, and gives it back. What a
handler does besides the calls it makes takes as long as observed, divided by how many times faster the function is to
be. All else (hand-offs, HTTP, waits) takes as long as observed.

What it leaves out. Workers do not compete for processors or memory; calls that were not kept in traces are not there,
and clients that wait for an answer before they call again do not call sooner. So the same replay without a change is
made, too: how far it is from what was measured says how much to believe.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from actorfaas.flow.critical import TOLERANCE_NS
from actorfaas.flow.spans import PAGE_IN, PARTS, QUEUE, RUN, START, Span
from actorfaas.flow.tree import Forest

BEGINS_WITH_NS = 2_000_000
"""An iteration that begins so shortly after its Map state waited for no other one."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is different: how many workers functions have, and how many times faster they are."""

    workers: Mapping[str, int] = field(default_factory=dict)
    faster: Mapping[str, float] = field(default_factory=dict)


class _Event:
    """Something that will have happened; processes wait for it."""

    __slots__ = ("is_over", "waiting")

    def __init__(self) -> None:
        self.is_over = False
        self.waiting: list[_Process] = []


_Process = Generator["int | str | _Event", None, None]
"""Yields what it waits for: a time in ns, a worker of a function, or an event."""


class _Clock:
    """Simulated time, and workers by function."""

    def __init__(self, workers: Mapping[str, int]) -> None:
        self.now_ns = 0
        self._free = dict(workers)  # a function that is not named has as many as it wants
        self._queues: dict[str, deque[_Process]] = defaultdict(deque)
        self._due: list[tuple[int, int, _Process]] = []
        self._count = 0

    def start(self, process: _Process, at_ns: int) -> None:
        self._count += 1
        heapq.heappush(self._due, (at_ns, self._count, process))

    def give_back(self, function: str) -> None:
        if self._queues[function]:
            self.start(self._queues[function].popleft(), self.now_ns)
        elif function in self._free:
            self._free[function] += 1

    def happened(self, event: _Event) -> None:
        event.is_over = True
        for process in event.waiting:
            self.start(process, self.now_ns)

    def run(self) -> None:
        while self._due:
            self.now_ns, _, process = heapq.heappop(self._due)
            self._go_on(process)

    def _go_on(self, process: _Process) -> None:
        for wanted in process:
            if isinstance(wanted, int):
                if wanted > 0:
                    return self.start(process, self.now_ns + wanted)
            elif isinstance(wanted, str):
                if self._free.get(wanted, 1) <= 0:
                    return self._queues[wanted].append(process)
                if wanted in self._free:
                    self._free[wanted] -= 1
            elif not wanted.is_over:
                return wanted.waiting.append(process)
        return None


class _Replay:
    def __init__(self, forest: Forest, workers: Mapping[str, int], change: Change) -> None:
        self._forest = forest
        self._faster = change.faster
        self._clock = _Clock({**workers, **change.workers})
        self.took_ns: dict[str, int] = {}  # by span

    def run(self) -> None:
        for root in self._forest.roots:
            self._clock.start(self._live(root, _Event()), root.began_ns)
        self._clock.run()

    def _live(self, span: Span, over: _Event) -> _Process:
        """A call, execution or state."""
        began_ns = self._clock.now_ns
        below = self._forest.below(span)
        if below and all(one.kind in PARTS for one in below):
            yield from self._task(span, below)
        else:
            yield from self._inside(span, below, 1.0)
        self.took_ns[span.span_id] = self._clock.now_ns - began_ns
        self._clock.happened(over)

    def _task(self, span: Span, parts: Sequence[Span]) -> _Process:
        """The parts of a call or of a state's attempts, one after the other."""
        now_ns = span.began_ns
        holds = ""
        for part in parts:
            yield max(0, part.began_ns - now_ns)
            now_ns = part.ended_ns
            if part.kind == QUEUE:
                continue
            if not holds and part.kind in (PAGE_IN, START, RUN):
                holds = part.name
                yield holds
            if part.kind == RUN:
                yield from self._inside(part, self._forest.below(part), self._faster.get(part.name, 1.0))
                self._clock.give_back(holds)
                holds = ""
            else:
                yield part.took_ns
        if holds:
            self._clock.give_back(holds)
        yield max(0, span.ended_ns - now_ns)

    def _inside(self, span: Span, below: Sequence[Span], faster: float) -> _Process:
        """What is below a span, each as much after what it waited for as it was; then what came after the last one."""
        overs: list[_Event] = []
        for child, before in zip(below, _befores(span, below), strict=True):
            over = _Event()
            since_ns = span.began_ns if before < 0 else below[before].ended_ns
            lead_ns = int(max(0, child.began_ns - since_ns) / faster)
            waits_for = None if before < 0 else overs[before]
            self._clock.start(self._later(child, waits_for, lead_ns, over), self._clock.now_ns)
            overs.append(over)
        for over in overs:
            yield over
        last_ns = max((child.ended_ns for child in below), default=span.began_ns)
        yield int(max(0, span.ended_ns - last_ns) / faster)

    def _later(self, child: Span, waits_for: _Event | None, lead_ns: int, over: _Event) -> _Process:
        if waits_for is not None:
            yield waits_for
        yield lead_ns
        yield from self._live(child, over)


def _befores(span: Span, below: Sequence[Span]) -> Iterator[int]:
    """Of each child the position of what it waited for: what had ended last when it began, of its own branch if there
    is any; -1: nothing. Children come in the order in which they began."""
    under_way: list[tuple[int, int]] = []  # when it ends, and its position
    last, last_of = -1, dict[str, int]()
    for position, child in enumerate(below):
        while under_way and under_way[0][0] <= child.began_ns + TOLERANCE_NS:
            _, over = heapq.heappop(under_way)
            last = _later(below, last, over)
            branch = below[over].told.get("index", "")
            last_of[branch] = _later(below, last_of.get(branch, -1), over)
        heapq.heappush(under_way, (child.ended_ns, position))
        branch = child.told.get("index", "")
        if branch in last_of:
            yield last_of[branch]
        elif branch and child.began_ns - span.began_ns <= BEGINS_WITH_NS:
            yield -1
        else:
            yield last


def _later(below: Sequence[Span], one: int, other: int) -> int:
    """Which of two positions ended later; `one` may be -1, none."""
    return other if one < 0 or below[other].ended_ns > below[one].ended_ns else one


def replay(forest: Forest, workers: Mapping[str, int], change: Change | None = None) -> dict[str, int]:
    """How long each call, execution and state (by span id) takes with so many workers, and with a change. A function
    that is not among `workers` never waits."""
    made = _Replay(forest, workers, change or Change())
    made.run()
    return made.took_ns
