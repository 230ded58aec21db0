"""Traces: Frontend → DataLayer. What ran as an execution is told by its history; calls that did not are kept here."""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct
from actorfaas.messages.executions import ExecutionState


@struct
class TracedCall:
    """One plain call of a sampled trace. `span_id`: the call; `parent_id`: whoever made it, "" where the trace begins;
    `run_id`: the handler, below which what it calls in turn is. The durations as in `InvocationResult`, and
    `before_ns` from the request's head to the handler's first instruction; `error`: what failed it, "" if nothing."""

    trace_id: str
    span_id: str
    parent_id: str
    run_id: str
    request_id: str
    function: str
    version: int
    worker_topic: str
    start_kind: str
    attempt: int
    status: int
    error: str
    began_at_us: int
    took_ns: int
    before_ns: int
    queue_ns: int
    page_in_ns: int
    start_ns: int
    run_ns: int


@message(190)
class RecordCalls(Message):
    """Frontend → DataLayer: calls that were answered."""

    calls: tuple[TracedCall, ...]


@struct
class TracedExecution:
    """An execution and the context that it was started in; its events without payloads."""

    traceparent: str
    state: ExecutionState


@message(191)
class GetTrace(Message):
    """Anyone → DataLayer (ask → Trace): all of one trace that is kept."""

    trace_id: str


@message(192)
class Trace(Message):
    """Reply to `GetTrace` and `ReadTraces`: calls and executions of one trace or of many, in the order in which they
    began. At most `storage.traced_calls.PAGE_CALLS` and `PAGE_EXECUTIONS`."""

    calls: tuple[TracedCall, ...]
    executions: tuple[TracedExecution, ...]


@message(193)
class ReadTraces(Message):
    """Anyone → DataLayer (ask → Trace): the newest calls and executions, `limit` of each, that are of a trace.

    `name`: only calls of this function and executions of this name ("": all). `since_at_ms`: only what began then or
    later.
    """

    name: str
    since_at_ms: int
    limit: int


@message(194)
class ReadEnded(Message):
    """Exporter → DataLayer (ask → Ended): calls and executions of traces that ended after those with these numbers.
    -1: none, only up to where there are some."""

    after_call: int
    after_execution: int


@message(195)
class Ended(Message):
    """Reply to `ReadEnded`: the oldest of them, in the order in which they ended, and the numbers of the last ones.
    `missed`: how many could not be kept until they were asked for."""

    calls: tuple[TracedCall, ...]
    executions: tuple[TracedExecution, ...]
    last_call: int
    last_execution: int
    missed: int


@message(196)
class SpansExported(Message):
    """Exporter → Frontend: how many spans the collector has taken since the Exporter began, how many it has not, and
    how many calls and executions could not be kept until it was their turn."""

    taken: int
    dropped: int
    missed: int
