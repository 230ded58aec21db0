"""What all parts of the LocalQueue share: the tables, the timers, the outbox; and how a request or task ends.

Exactly one answer leaves for every request and task, from here, and with it everything known about it goes.
"""

from __future__ import annotations

from actorfaas.core.queue.records import (
    ENDED,
    Assignment,
    Failure,
    Instruction,
    Peer,
    Reading,
    Request,
    Topic,
    Work,
    Worker,
)
from actorfaas.core.queue.timers import TimerWheel
from actorfaas.messages import (
    InvocationFailed,
    InvocationResult,
    Message,
    Publish,
    TaskFailed,
    TaskFinished,
    TaskResult,
)

_MAY_SUCCEED_LATER = frozenset({"worker_lost", "unavailable", "stopping", "queue_full", "overloaded"})

MESSAGE_LIMIT = 16 * 1024
TRACEBACK_LIMIT = 64 * 1024
"""Characters kept of what a worker says about a failure."""

LOSS_WAIT_NS = 1_000_000_000
"""How long the reason of a worker's end is awaited, and the end of its connection after the reason or `Retire`."""


class Board:
    """The tables of the LocalQueue. `manager` stands for the ExecutionManager, connected or not."""

    __slots__ = (
        "deadlines",
        "losses",
        "lost",
        "manager",
        "outbox",
        "payload_bytes",
        "payload_limit_bytes",
        "publishers",
        "retries",
        "topics",
        "worker_of",
        "workers",
    )

    def __init__(self, manager: Peer, payload_limit_bytes: int) -> None:
        self.manager = manager
        self.outbox: list[tuple[Peer, Instruction]] = []
        self.payload_limit_bytes = payload_limit_bytes
        self.payload_bytes = 0  # of the requests that may have to be delivered (again)
        self.topics: dict[str, Topic] = {}
        self.workers: dict[str, Worker] = {}
        self.worker_of: dict[Peer, Worker] = {}
        self.publishers: dict[Peer, dict[str, Request]] = {}
        self.deadlines: TimerWheel[Work] = TimerWheel()
        self.retries: TimerWheel[Request] = TimerWheel()
        self.losses: TimerWheel[Worker] = TimerWheel()
        self.lost: dict[str, Worker] = {}  # workers whose connection ended while they had work, by topic

    def tell_manager(self, message: Message) -> None:
        """Put a fact for the ExecutionManager into the outbox."""
        self.outbox.append((self.manager, message))

    def answer(self, request: Request, worker: Worker, result: TaskResult, run: tuple[int, int]) -> None:
        """End `request` with its worker's result; `run` is when the handler began and ended."""
        publisher = request.publisher
        self.end(request)
        if publisher is not None:
            started_ns, ended_ns = run
            delivered_ns = request.delivered_ns
            self.outbox.append(
                (
                    publisher,
                    InvocationResult(
                        request.request_id,
                        worker.worker_topic,
                        request.attempt,
                        request.start_kind,
                        delivered_ns - request.accepted_ns,
                        started_ns - delivered_ns,
                        ended_ns - started_ns,
                        request.page_in_ns,
                        request.chunks,
                        started_ns,
                        result.payload,
                    ),
                )
            )

    def fail(self, request: Request, failure: Failure, now: int) -> None:
        """End `request` without a result."""
        publisher = request.publisher
        self.end(request)
        request.topic.failed += 1
        if publisher is None:
            return
        delivered_ns = request.delivered_ns
        began_ns = failure.started_ns or delivered_ns
        self.outbox.append(
            (
                publisher,
                InvocationFailed(
                    request.request_id,
                    request.worker.worker_topic if request.worker else "",
                    request.attempt,
                    request.start_kind,
                    (delivered_ns or now) - request.accepted_ns,
                    began_ns - delivered_ns,
                    (failure.ended_ns or now) - began_ns if delivered_ns else 0,
                    failure.reason,
                    failure.error_type,
                    failure.error_message,
                    failure.traceback,
                    request.attempt == 0 or failure.reason in _MAY_SUCCEED_LATER,
                    0.0,
                    began_ns,
                ),
            )
        )

    def refuse(self, publisher: Peer, published: Publish, reason: str, detail: str, retry_after_s: float) -> None:
        """Answer a request that was never accepted."""
        self.outbox.append(
            (
                publisher,
                InvocationFailed(
                    published.request_id,
                    worker_topic="",
                    attempt=0,
                    start_kind="",
                    queue_ns=0,
                    start_ns=0,
                    run_ns=0,
                    reason=reason,
                    error_type="",
                    error_message=detail,
                    traceback="",
                    retryable=reason in _MAY_SUCCEED_LATER,
                    retry_after_s=retry_after_s,
                ),
            )
        )

    def finish_task(self, task: Assignment, output: bytes, run: tuple[int, int], handed_to: str) -> None:
        """Tell the ExecutionManager that a task (ended by `end` before) returned."""
        self.tell_manager(
            TaskFinished(
                task.worker_topic,
                task.request_id,
                task.execution_id,
                task.state,
                task.attempt,
                handed_to,
                task.start_kind,
                task.delivered_ns,
                run[0],
                run[1],
                len(output),
                b"" if handed_to and not task.report_payload else output,
            )
        )

    def fail_task(self, task: Assignment, failure: Failure, now: int) -> None:
        """End a task without a result."""
        self.end(task)
        self.tell_manager(
            TaskFailed(
                task.worker_topic,
                task.request_id,
                task.execution_id,
                task.state,
                task.attempt,
                task.start_kind,
                task.delivered_ns,
                failure.started_ns or task.delivered_ns,
                failure.ended_ns or (now if task.delivered_ns else 0),
                failure.reason,
                failure.error_type,
                failure.error_message,
                failure.traceback,
            )
        )

    def await_end(self, worker: Worker, now: int) -> None:
        """The end of a worker, or the rest of it, is due: `losses` tells when it has not come in time."""
        self.losses.discard(worker.loss_due_ns, worker)
        worker.loss_due_ns = now + LOSS_WAIT_NS
        self.losses.add(worker.loss_due_ns, worker)

    def end(self, work: Work) -> None:
        """Forget a request or task everywhere but in the hands of its worker."""
        work.enter(ENDED)
        self.deadlines.discard(work.deadline_ns, work)
        if isinstance(work, Request):
            self.drop_payload(work)
            self.hold_back(work, False)
            if work.publisher is not None:
                del self.publishers[work.publisher][work.request_id]
                work.publisher = None
        else:
            work.payload = b""

    def drop_payload(self, request: Request) -> None:
        """It will not be delivered again."""
        self.payload_bytes -= len(request.payload)
        request.payload = b""

    def hold_back(self, request: Request, held_back: bool) -> None:
        """Stop or go on hearing the worker that streams the response to `request`."""
        if request.is_held_back is not held_back and request.worker is not None:
            request.is_held_back = held_back
            self.outbox.append((request.worker.peer, Reading(not held_back)))


def run_within(lease: Work, started_ns: int, ended_ns: int, now: int) -> tuple[int, int]:
    """When the handler began and ended, as the worker says, kept within the time that it had the lease."""
    started_ns = min(max(started_ns, lease.delivered_ns), now)
    return started_ns, min(max(ended_ns, started_ns), now)
