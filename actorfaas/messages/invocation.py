"""Invocation: Frontend (or ExecutionManager) ↔ LocalQueue."""

from __future__ import annotations

from actorfaas.messages.base import Message, message


@message(20)
class Publish(Message):
    """Frontend → LocalQueue: one request for whoever serves `topic`; answered by the messages below.

    `max_attempts` counts deliveries (1: never again); a failed or crashed one waits `retry_delay_ns`, doubling.
    """

    topic: str
    request_id: str
    deadline_ns: int
    max_attempts: int
    retry_delay_ns: int
    stream: bool
    traceparent: str
    payload: bytes


@message(21)
class InvocationResult(Message):
    """LocalQueue → publisher: the handler returned; `payload` is its JSON. Last message of the request.

    `start_kind`: resident, fork, cold; or of an instance that was paged out: prefetched (what it needs had been read),
    concurrent (it is read meanwhile), swapped (every page is a fault), recorded (the same, and recorded). `queue_ns`
    from publish to delivery, of which `page_in_ns` were spent reading; `start_ns` from delivery to the handler's first
    instruction (at `started_ns`; 0: not known), `run_ns` inside the handler. `chunks` were streamed before.
    """

    request_id: str
    worker_topic: str
    attempt: int
    start_kind: str
    queue_ns: int
    start_ns: int
    run_ns: int
    page_in_ns: int
    chunks: int
    started_ns: int
    payload: bytes


@message(22)
class InvocationFailed(Message):
    """LocalQueue → publisher: no result will come. Last message of the request.

    `reason`: handler_error, worker_lost, timeout, queue_full, overloaded, no_topic, cancelled, stopping, unavailable,
    bad_payload, bad_result, memory. `worker_lost` carries in `error_message` how the worker ended.
    """

    request_id: str
    worker_topic: str
    attempt: int
    start_kind: str
    queue_ns: int
    start_ns: int
    run_ns: int
    reason: str
    error_type: str
    error_message: str
    traceback: str
    retryable: bool
    retry_after_s: float
    started_ns: int = 0


@message(23)
class InvocationChunk(Message):
    """LocalQueue → publisher: one piece of a streamed response; `content` as in `TaskChunk`."""

    request_id: str
    content: str
    payload: bytes


@message(24)
class ChunkCredit(Message):
    """Publisher → LocalQueue: the caller took `chunks` pieces, so many more may come."""

    request_id: str
    chunks: int


@message(25)
class CancelRequest(Message):
    """Publisher → LocalQueue: the caller is gone. Dropped if queued; a running handler is left to end, unless
    `kill`, which makes the LocalQueue report its lease as expired to the ExecutionManager."""

    request_id: str
    kill: bool
