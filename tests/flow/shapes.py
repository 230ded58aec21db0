"""Traces by their shape: spans made by hand, times in ms."""

from __future__ import annotations

from actorfaas.flow.spans import EXECUTION, QUEUE, REQUEST, RUN, STATE, Span
from tests.flow.kit import MS, TRACE

Times = tuple[float, float]


class Traced:
    """Spans that are added below one another."""

    def __init__(self, trace_id: str = TRACE) -> None:
        self.spans: list[Span] = []
        self._trace_id = trace_id

    def add(self, kind: str, name: str, times: Times, above: Span | None = None, error: str = "", **told: str) -> Span:
        """One span from `times[0]` to `times[1]`."""
        span_id = f"{self._trace_id[:4]}{len(self.spans):012x}"
        parent_id = "" if above is None else above.span_id
        began_ns, ended_ns = (round(ms * MS) for ms in times)
        span = Span(self._trace_id, span_id, parent_id, kind, name, began_ns, ended_ns, error, told)
        self.spans.append(span)
        return span

    def execution(self, name: str, times: Times, above: Span | None = None) -> Span:
        """A workflow's run."""
        return self.add(EXECUTION, name, times, above, status="succeeded")

    def request(self, function: str, times: Times, above: Span | None = None, run: Times | None = None) -> Span:
        """A call and its handler; returns the handler's span."""
        request = self.add(REQUEST, function, times, above)
        return self.add(RUN, function, run or times, request)

    def state(self, name: str, queue: Times, run: Times, above: Span, function: str = "", **told: str) -> Span:
        """A state that waited and then ran; returns the handler's span."""
        function = function or name
        state = self.add(STATE, name, (queue[0], run[1]), above, function=function, **told)
        if queue[0] < queue[1]:
            self.add(QUEUE, function, queue, state)
        return self.add(RUN, function, run, state)


def mapped(items: int, workers: int, run_ms: float, began_ms: float = 0.0, trace_id: str = TRACE) -> Traced:
    """`flow`: `first` (10 ms), `work` for each item by so many workers, `last` (10 ms)."""
    traced = Traced(trace_id)
    turns = -(-items // workers)
    ends_ms = began_ms + 20 + turns * run_ms
    flow = traced.execution("flow", (began_ms, ends_ms))
    traced.state("first", (began_ms, began_ms), (began_ms, began_ms + 10), flow)
    each = traced.add(STATE, "each", (began_ms + 10, ends_ms - 10), flow)
    for item in range(items):
        start_ms = began_ms + 10 + item // workers * run_ms
        traced.state("work", (began_ms + 10, start_ms), (start_ms, start_ms + run_ms), each, index=str(item))
    traced.state("last", (ends_ms - 10, ends_ms - 10), (ends_ms - 10, ends_ms), flow)
    return traced
