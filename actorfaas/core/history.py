"""The history of one execution and its way to the DataLayer: numbered events, one request under way at a time.

Events that come while a request is under way are gathered for the next one. A request that failed is sent again as
it was, with what came since; the DataLayer ignores what it has. A standard execution appends as it goes; an express
one sends everything with its result. When requests are sent again is left to `core.executions`.
"""

from __future__ import annotations

from actorfaas.messages import (
    AppendHistory,
    CreateExecution,
    FinishExecution,
    HistoryEvent,
    Message,
    TaskFailed,
    TaskFinished,
)

NS_PER_MS = 1_000_000

BATCH_BYTES = 8 * 1024 * 1024
"""Payload bytes in one `AppendHistory`; a single larger event goes alone."""

BATCH_EVENTS = 500


class History:
    """Events of one execution that the DataLayer has not confirmed, and what to send it next."""

    __slots__ = (
        "_batch",
        "_create",
        "_created",
        "_end",
        "_execution_id",
        "_in_flight",
        "_pending",
        "_retried",
        "_seq",
        "is_stalled",
        "is_standard",
        "pending_bytes",
    )

    def __init__(self, create: CreateExecution, *, created: bool, last_seq: int = 0) -> None:
        """`created`: the DataLayer has it already (an execution continued after a restart)."""
        self._create = create
        self._created = created
        self._execution_id = create.execution_id
        self._seq = last_seq
        self._pending: list[HistoryEvent] = []
        self._batch = 0
        self._end: tuple[str, str, str, bytes] | None = None
        self._in_flight: Message | None = None
        self._retried = False
        self.is_stalled = False
        self.is_standard = create.durability == "standard"
        self.pending_bytes = 0

    def add(self, at_ms: int, type_: str, state: str = "", attempt: int = 0, payload: bytes = b"") -> None:
        """An event without a worker."""
        self._append(at_ms, type_, state, attempt, "", "", 0, 0, 0, 0, "", "", payload)

    def add_error(self, at_ms: int, type_: str, state: str, error: str, cause: str) -> None:
        """A failure that no worker reported."""
        self._append(at_ms, type_, state, 0, "", "", 0, 0, 0, 0, error, cause, b"")

    def add_result(self, at_ms: int, scheduled_ns: int, gap_ns: int, done: TaskFinished) -> None:
        """A task returned. Its output is journalled here, and not once more when its state is left."""
        self._append(
            at_ms,
            "TaskSucceeded",
            done.state,
            done.attempt,
            done.worker_topic,
            done.start_kind,
            max(0, done.delivered_ns - scheduled_ns),
            done.started_ns - done.delivered_ns,
            done.ended_ns - done.started_ns,
            gap_ns,
            "",
            "",
            done.payload if self.is_standard else b"",
        )

    def add_failure(self, at_ms: int, scheduled_ns: int, failed: TaskFailed, error: str, cause: str) -> None:
        """A task failed; `error` is its name in the States Language."""
        ran = failed.started_ns > 0
        self._append(
            at_ms,
            "TaskTimedOut" if error == "States.Timeout" else "TaskFailed",
            failed.state,
            failed.attempt,
            failed.worker_topic,
            failed.start_kind,
            max(0, failed.delivered_ns - scheduled_ns) if failed.delivered_ns else 0,
            failed.started_ns - failed.delivered_ns if ran else 0,
            failed.ended_ns - failed.started_ns if ran else 0,
            0,
            error,
            cause,
            b"",
        )

    def end(self, status: str, error: str, cause: str, payload: bytes) -> None:
        """The execution has ended; nothing is added any more."""
        self._end = (status, error, cause, payload)
        self.pending_bytes += len(payload)

    def next_request(self) -> Message | None:
        """What to ask the DataLayer now; None when there is nothing, or a request is under way."""
        if self._in_flight is not None:
            return None
        request: Message | None = None
        if not self._created:
            request = self._create
        elif self.is_standard and self._pending and (self._end is None or len(self._pending) > BATCH_EVENTS):
            request = AppendHistory(self._execution_id, tuple(self._pending[: self._take_batch()]))
        elif self._end is not None:
            status, error, cause, payload = self._end
            self._batch = len(self._pending)
            request = FinishExecution(self._execution_id, status, error, cause, tuple(self._pending), payload)
        self._in_flight = request
        self.is_stalled = False
        return request

    def confirmed(self) -> int:
        """The request under way is done; how many payload bytes need no longer be kept."""
        done, self._in_flight = self._in_flight, None
        if isinstance(done, CreateExecution):
            self._created = True
            return 0
        freed = sum(len(event.payload) for event in self._pending[: self._batch])
        del self._pending[: self._batch]
        if isinstance(done, FinishExecution):
            freed += len(done.payload)
        self.pending_bytes -= freed
        return freed

    def failed(self, code: str) -> bool:
        """The request under way was not done. True: try again later; False: it never will be."""
        tried, self._in_flight = self._in_flight, None
        creating = isinstance(tried, CreateExecution)
        if creating and code == "conflict" and self._retried:
            self._created = True  # the first try had arrived after all
            return True
        if code == "not_found" and not self.is_standard and not creating:
            self._created = False  # the DataLayer restarted; it keeps express executions in memory only
            code = ""
        if code in ("conflict", "invalid", "not_found"):
            return False
        self._retried = self._retried or creating
        self.is_stalled = True
        return True

    @property
    def is_finishing(self) -> bool:
        """Whether the request under way is the last one."""
        return isinstance(self._in_flight, FinishExecution)

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, or events of a standard execution wait for one."""
        return self._in_flight is not None or (self.is_standard and bool(self._pending))

    @property
    def is_creating(self) -> bool:
        """Whether the request under way is the first one."""
        return isinstance(self._in_flight, CreateExecution)

    def _take_batch(self) -> int:
        size = 0
        count = 0
        for event in self._pending[:BATCH_EVENTS]:
            size += len(event.payload)
            if count and size > BATCH_BYTES:
                break
            count += 1
        self._batch = count
        return count

    def _append(
        self,
        at_ms: int,
        type_: str,
        state: str,
        attempt: int,
        worker: str,
        start_kind: str,
        queue_ns: int,
        start_ns: int,
        run_ns: int,
        gap_ns: int,
        error: str,
        cause: str,
        payload: bytes,
    ) -> None:
        self._seq += 1
        self.pending_bytes += len(payload)
        self._pending.append(
            HistoryEvent(
                self._seq,
                at_ms,
                type_,
                state,
                attempt,
                worker,
                start_kind,
                queue_ns,
                start_ns,
                run_ns,
                gap_ns,
                error,
                cause,
                payload,
            )
        )
