"""The spans of an execution, from its history.

Events have their time in whole milliseconds, tasks their parts in nanoseconds, and each task the time since the end of
the one before: so tasks are placed one after the other by these, and only the first one, and what a clock must tell, by
the events' times. Histories name branches by numbers: below which Parallel or Map state one is, follows from the order
in which they begin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from actorfaas import trace_context
from actorfaas.core.spans import span_of
from actorfaas.flow.spans import EXECUTION, PREFETCH, STATE, Parts, Span, part_spans, read
from actorfaas.ids import worker_function
from actorfaas.messages import HistoryEvent, TracedExecution

NS_PER_MS = 1_000_000

LATE_NS = 50 * NS_PER_MS
"""A task that ended so long before its event says is not where its predecessor says it is."""

_ENDS = ("Succeeded", "Failed", "TimedOut", "Aborted")


@dataclass(slots=True)
class _Attempt:
    """A task that ended. `error`: what failed it, "" if nothing."""

    function: str
    parts: Parts
    span_id: str
    error: str


@dataclass(slots=True)
class _Visit:
    """A state that was entered and is not left yet. Of one with branches: the first number, where it is known, the
    items that have begun and whose branch is not seen yet, and the indices and numbers of the branches seen."""

    span_id: str
    name: str
    began_ns: int
    told: dict[str, str] = field(default_factory=dict)
    attempts: list[_Attempt] = field(default_factory=list)
    error: str = ""
    has_branches: bool = False
    first_branch: int = 0
    begun: list[int] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    branches: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Lane:
    """A branch. `above`: the visit it is below; `last_ns`: when its last state was over, `task_ns`: its last task, 0 if
    there was none yet."""

    index: int
    above: _Visit | None
    last_ns: int
    task_ns: int
    visit: _Visit | None = None


class _Reader:
    """Goes through one history."""

    def __init__(self, traced: TracedExecution) -> None:
        state = traced.state
        self._trace_id = trace_context.trace_id(traced.traceparent)
        self._id = state.execution_id
        self._began_ns = state.events[0].at_ms * NS_PER_MS if state.events else 0
        self._lanes = {0: _Lane(-1, None, self._began_ns, 0)}
        self._parents: list[_Lane] = []  # lanes whose state has branches, and some whose state had
        self._opened = 0  # branches, as far as is known
        self.spans: list[Span] = []
        self.root = span_of(self._id)

    def read(self, event: HistoryEvent) -> None:
        """One more event."""
        if not event.state:
            return
        lane = self._lanes.get(event.branch) or self._open(event)
        if event.type.endswith("StateEntered"):
            began_ns = max(lane.last_ns, event.at_ms * NS_PER_MS)
            lane.visit = _Visit(span_of(f"{self._id}/{event.seq}"), event.state, began_ns)
            if lane.index >= 0:
                lane.visit.told["index"] = str(lane.index)
        elif lane.visit is not None and lane.visit.name == event.state:
            self._within(lane, lane.visit, event)

    def _within(self, lane: _Lane, visit: _Visit, event: HistoryEvent) -> None:
        match event.type:
            case "ParallelStateStarted" | "MapStateStarted" | "MapRunStarted":
                visit.has_branches = True
                visit.first_branch = self._opened + 1 if event.type == "ParallelStateStarted" else 0
                self._parents.append(lane)
            case "MapIterationStarted":
                self._opened += 1
                visit.begun.append(event.index)
                visit.seen.add(event.index)
            case "MapIterationSucceeded" | "MapIterationFailed" | "MapIterationAborted":
                self._join(lane, visit, (event.index,))
            case "TaskSubmitted" if event.worker_topic:
                self._attempt(lane, visit, event, "")
            case "TaskSucceeded" | "TaskFailed" | "TaskTimedOut":
                self._task(lane, visit, event)
            case "ActivitySucceeded" | "ActivityFailed" | "ActivityTimedOut":
                self._task(lane, visit, event)
            case other if other.endswith(("StateExited", *_ENDS)):
                self._leave(lane, visit, event)

    # --- branches ------------------------------------------------------------------------------------------------

    def _open(self, event: HistoryEvent) -> _Lane:
        """A branch is heard of for the first time. What follows in it began when the last task before it had ended."""
        parent = self._that_opened(event.branch, event.index)
        self._opened = max(self._opened, event.branch)
        above = parent.visit
        lane = _Lane(event.index, above, max(parent.last_ns, above.began_ns if above else 0), parent.task_ns)
        self._lanes[event.branch] = lane
        if above is not None:
            above.seen.add(event.index)
            above.branches[event.index] = event.branch
        return lane

    def _that_opened(self, branch: int, index: int) -> _Lane:
        """Whose state a branch is below. Those of a Parallel state have numbers in a row; the others begin in order."""
        self._parents = [lane for lane in self._parents if lane.visit and lane.visit.has_branches]
        waiting = [(lane, lane.visit) for lane in self._parents if lane.visit]
        for lane, visit in waiting:
            if visit.first_branch and branch - visit.first_branch == index and index not in visit.seen:
                return lane
        for lane, visit in waiting:
            if index in visit.begun:
                visit.begun.remove(index)
                return lane
        return next((lane for lane, visit in waiting if index not in visit.seen), self._lanes[0])

    def _join(self, lane: _Lane, visit: _Visit, indices: Iterable[int]) -> None:
        """Branches that may have come to their end: what follows waited for those that have."""
        below = [self._lanes[visit.branches[index]] for index in indices if index in visit.branches]
        lane.task_ns = max([lane.task_ns, *(one.task_ns for one in below if one.visit is None)])

    # --- tasks and states ------------------------------------------------------------------------------------------

    def _task(self, lane: _Lane, visit: _Visit, event: HistoryEvent) -> None:
        """An attempt at a state's task ended: one that a worker had, or one that is answered apart."""
        has_failed = not event.type.endswith("Succeeded")
        visit.error = (event.error_type or event.type) if has_failed else ""
        if event.worker_topic:
            ended_ns = self._attempt(lane, visit, event, visit.error)
        else:
            ended_ns = max(lane.last_ns, visit.began_ns, event.at_ms * NS_PER_MS)
            since_ns = visit.attempts[-1].parts.ended_ns if visit.attempts else visit.began_ns
            parts = Parts(ended_ns, 0, 0, 0, 0, max(0, ended_ns - since_ns))
            visit.attempts.append(_Attempt(event.state, parts, event.span_id, visit.error))
            lane.last_ns = ended_ns
        if not has_failed:
            self._emit(lane, visit, ended_ns)

    def _attempt(self, lane: _Lane, visit: _Visit, event: HistoryEvent, error: str) -> int:
        """A worker's handler ended, and when."""
        inside_ns = event.queue_ns + event.start_ns + event.run_ns
        ended_ns = self._ended_ns(lane, visit, event)
        hand_off_ns = 0
        if event.gap_ns and not visit.attempts:  # as far back as nothing else, a Wait state, was under way
            between_ns = event.gap_ns - event.queue_ns - event.start_ns
            hand_off_ns = max(0, min(between_ns, ended_ns - inside_ns - lane.last_ns))
        parts = Parts.of(
            event.start_kind,
            ended_ns,
            queue_ns=event.queue_ns,
            start_ns=event.start_ns,
            run_ns=event.run_ns,
            hand_off_ns=hand_off_ns,
            page_in_ns=event.page_in_wait_ns,
            read_bytes=event.page_in_bytes,
        )
        function = worker_function(event.worker_topic)
        visit.attempts.append(_Attempt(function, parts, event.span_id, error))
        self._prefetch(lane, function, ended_ns - event.run_ns, event)
        told = {"function": function, "worker": event.worker_topic, "start_kind": event.start_kind}
        visit.told |= told | ({"attempt": str(event.attempt)} if event.attempt > 1 else {})
        lane.last_ns = max(lane.last_ns, ended_ns)
        if not error:
            lane.task_ns = ended_ns
        return ended_ns

    def _prefetch(self, lane: _Lane, function: str, started_ns: int, event: HistoryEvent) -> None:
        """The worker's memory had been read back when its state came; what was before the execution is not of it."""
        over_ns = started_ns - event.page_in_lead_ns
        began_ns = over_ns - event.page_in_ns
        if not event.page_in_ns or event.page_in_wait_ns or began_ns < self._began_ns:
            return
        above_id = self.root if lane.above is None else lane.above.span_id
        told = read(event.page_in_bytes) | ({"index": str(lane.index)} if lane.index >= 0 else {})
        span_id = span_of(f"{self._id}/{event.seq}/{PREFETCH}")
        self.spans.append(Span(self._trace_id, span_id, above_id, PREFETCH, function, began_ns, over_ns, told=told))

    @staticmethod
    def _ended_ns(lane: _Lane, visit: _Visit, event: HistoryEvent) -> int:
        """When the handler ended: so long after the task before it, unless the clock of the event contradicts."""
        told_ns = (event.at_ms + 1) * NS_PER_MS
        ended_ns = 0
        if event.gap_ns and lane.task_ns:
            ended_ns = lane.task_ns + event.gap_ns + event.run_ns
        elif not lane.task_ns and not visit.attempts:
            ended_ns = lane.last_ns + event.queue_ns + event.start_ns + event.run_ns
        return ended_ns if told_ns - LATE_NS <= ended_ns <= told_ns else max(lane.last_ns, event.at_ms * NS_PER_MS)

    def _leave(self, lane: _Lane, visit: _Visit, event: HistoryEvent) -> None:
        ended_ns = max(event.at_ms * NS_PER_MS, visit.began_ns)
        if visit.has_branches:
            below = [self._lanes[one] for one in visit.branches.values()]
            lane.last_ns = max([lane.last_ns, *(one.last_ns for one in below)])
            self._join(lane, visit, visit.branches)
            ended_ns = max(ended_ns, lane.last_ns) if event.error_type else lane.last_ns
        elif event.type.startswith("WaitState"):
            lane.last_ns = ended_ns
        elif not visit.attempts and event.type.endswith("StateExited"):
            lane.visit = None  # it took no time: a Choice, a Pass
            return
        if event.type.endswith(_ENDS[1:]):
            visit.error = visit.error or event.error_type or event.type
        self._emit(lane, visit, ended_ns)

    def _emit(self, lane: _Lane, visit: _Visit, ended_ns: int) -> None:
        """The state is left: its span, and those of its task's attempts."""
        lane.visit = None
        span = Span(
            self._trace_id,
            visit.span_id,
            self.root if lane.above is None else lane.above.span_id,
            STATE,
            visit.name,
            visit.attempts[0].parts.began_ns if visit.attempts else visit.began_ns,
            ended_ns,
            visit.error,
            visit.told,
        )
        self.spans.append(span)
        for attempt in visit.attempts:
            above = replace(span, error=attempt.error)
            self.spans += part_spans(above, attempt.function, attempt.parts, attempt.span_id)

    def finish(self, ended_ns: int) -> None:
        """The history ends here: the execution ended, or it still runs."""
        for branch in sorted(self._lanes, reverse=True):
            lane = self._lanes[branch]
            if lane.visit is not None:
                lane.visit.error = lane.visit.error or "not ended"
                self._emit(lane, lane.visit, max(ended_ns, lane.visit.began_ns))


def of_execution(traced: TracedExecution) -> list[Span]:
    """The spans of an execution; of one that runs, up to its last event."""
    state = traced.state
    reader = _Reader(traced)
    for event in state.events:
        reader.read(event)
    began_ns = (state.events[0].at_ms if state.events else state.started_at_ms) * NS_PER_MS
    last_ms = max((event.at_ms for event in state.events), default=state.started_at_ms)
    reader.finish(last_ms * NS_PER_MS)
    spans = reader.spans
    error = "" if state.status in ("succeeded", "running") else state.error_type or state.status
    root = Span(
        trace_context.trace_id(traced.traceparent),
        reader.root,
        trace_context.span_id(traced.traceparent),
        EXECUTION,
        state.name,
        began_ns,
        max([last_ms * NS_PER_MS, *(span.ended_ns for span in spans)]),
        error,
        {"execution_id": state.execution_id, "status": state.status},
    )
    return [root, *spans]
