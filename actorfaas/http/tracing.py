"""Trace contexts of requests: taken over or begun, sampled, and what becomes of sampled plain calls.

Every request is in a trace, so that what its handler calls is in the same one. Whether a trace is kept is decided where
it begins, and carried along: a sampled `traceparent` is heeded. Of the calls that begin a trace the first ones of every
second are kept and a share of the others; of executions all, because their histories are there anyway. Records wait in
memory and go to the DataLayer in batches, after the replies they are about.
"""

from __future__ import annotations

import time
from collections import deque
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from actorfaas import trace_context
from actorfaas.http.headers import HeaderMap
from actorfaas.http.links import DATA_LAYER, Office
from actorfaas.messages import RecordCalls, TracedCall

if TYPE_CHECKING:
    from actorfaas.config import Settings
    from actorfaas.messages import InvocationFailed, InvocationResult

NS_PER_S = 1_000_000_000

BATCH_CALLS = 500
MOST_WAITING = 10_000
"""Records that wait while the DataLayer is away; the oldest give way."""

FLUSH_PERIOD_S = 0.5

_DIGITS = 48
"""Of the ids of one call: its trace's and its handler's."""


class Kept(NamedTuple):
    """A request that is kept: its span, and whose it is below ("" where the trace begins)."""

    span_id: str
    parent_id: str


class Tracer:
    """One Frontend's."""

    def __init__(self, settings: Settings, random: Random | None = None) -> None:
        self.is_on = settings.tracing
        self.lost = 0
        self._share = settings.trace_share
        self._per_second = settings.trace_per_second
        self._random = random or Random()
        self._ids = ""  # random hexadecimal digits, made for many calls at once
        self._used = 0
        self._second = -1
        self._left = 0
        self._waiting: deque[TracedCall] = deque(maxlen=MOST_WAITING)

    def call(self, headers: HeaderMap, now_ns: int) -> tuple[str, Kept | None]:
        """The context for a plain call's handler, whose parent in it is the handler's own span; and what it is kept as,
        if it is."""
        given = _given(headers) if b"traceparent" in headers else ""
        if given or not self.is_on:
            return self._below(given)
        first = self._used
        if first + _DIGITS > len(self._ids):
            self._make_ids()
            first = 0
        middle = first + 32
        self._used = last = first + _DIGITS
        second = now_ns // NS_PER_S
        if second != self._second:
            self._second, self._left = second, self._per_second
        if self._left > 0:
            self._left -= 1
        elif self._random.random() >= self._share:
            return f"00-{self._ids[first:middle]}-{self._ids[middle:last]}-00", None
        return f"00-{self._ids[first:middle]}-{self._ids[middle:last]}-01", Kept(self._take(16), "")

    def _below(self, given: str) -> tuple[str, Kept | None]:
        """A call whose caller says which trace it belongs to, and whether that is kept."""
        if not self.is_on:
            return given, None
        kept = Kept(self._take(16), trace_context.span_id(given)) if trace_context.is_sampled(given) else None
        return trace_context.child(given, self._take(16)), kept

    def _take(self, digits: int) -> str:
        if self._used + digits > len(self._ids):
            self._make_ids()
        self._used += digits
        return self._ids[self._used - digits : self._used]

    def _make_ids(self) -> None:
        self._ids, self._used = self._random.randbytes(_DIGITS * 64).hex(), 0

    def execution(self, headers: HeaderMap) -> str:
        """The context that an execution is started in: the caller's, or that of a new trace. It is always sampled."""
        given = _given(headers)
        if not self.is_on:
            return given
        if given:
            return f"{given[:53]}01{given[55:]}"
        return trace_context.make(self._take(32), trace_context.NO_PARENT, sampled=True)

    def ended(self, call: TracedCall) -> None:
        """A sampled call was answered: keep a record of it."""
        if len(self._waiting) == MOST_WAITING:
            self.lost += 1
        self._waiting.append(call)

    def flush(self, office: Office) -> None:
        """Send what waits to the DataLayer, if it is there."""
        while self._waiting and office.is_connected(DATA_LAYER):
            count = min(BATCH_CALLS, len(self._waiting))
            office.tell(DATA_LAYER, RecordCalls(tuple(self._waiting.popleft() for _ in range(count))))


def record(
    context: str,
    kept: Kept,
    request_id: str,
    function: str,
    version: int,
    status: int,
    began_ns: int,
    took_ns: int,
    outcome: InvocationResult | InvocationFailed | None,
) -> TracedCall:
    """A call that has just ended. `outcome`: what the LocalQueue said, None if nothing came of it."""
    error = ""
    if status >= 400:
        error = getattr(outcome, "error_type", "") or getattr(outcome, "reason", "") or f"HTTP {status}"
    return TracedCall(
        trace_id=trace_context.trace_id(context),
        span_id=kept.span_id,
        parent_id=kept.parent_id,
        run_id=trace_context.span_id(context),
        request_id=request_id,
        function=function,
        version=version,
        worker_topic=outcome.worker_topic if outcome is not None else "",
        start_kind=outcome.start_kind if outcome is not None else "",
        attempt=outcome.attempt if outcome is not None else 0,
        status=status,
        error=error,
        began_at_us=(time.time_ns() - took_ns) // 1000,
        took_ns=took_ns,
        before_ns=max(0, outcome.started_ns - began_ns) if outcome is not None and outcome.started_ns else 0,
        queue_ns=outcome.queue_ns if outcome is not None else 0,
        page_in_ns=getattr(outcome, "page_in_ns", 0),
        start_ns=outcome.start_ns if outcome is not None else 0,
        run_ns=outcome.run_ns if outcome is not None else 0,
    )


def response_header(context: str, span_id: str) -> bytes:
    """`traceresponse`, as the draft of Trace Context Level 2 has it: trace and span of a request that is kept."""
    return trace_context.child(context[:55], span_id).encode("ascii")


def _given(headers: HeaderMap) -> str:
    """The caller's context, "" when there is none, or it is malformed."""
    traceparent = headers.get(b"traceparent")
    if traceparent is None:
        return ""
    return trace_context.parse(traceparent.decode("latin-1"), headers.get(b"tracestate", b"").decode("latin-1"))
