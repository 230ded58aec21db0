"""The way of one execution's history to the DataLayer: one request under way at a time.

Events that come while a request is under way are gathered for the next one, and the first of them waits a moment for
more: a state of a few microseconds must not cost a commit of its own, and an execution that ends within that moment is
recorded as a whole. A crash within it repeats the states concerned, as it does whenever their results are not on disk
yet. A request that failed is sent again as it was, with what came since; the DataLayer ignores what it has. A
standard execution appends as it goes; an express one sends everything with its result. When requests are sent again is
left to `core.executions`.
"""

from __future__ import annotations

from dataclasses import replace

from actorfaas.core.events import PARTS_OF_SUCCESS, Events
from actorfaas.messages import AppendHistory, CreateExecution, FinishExecution, KvCommit, Message, RecordExecution

BATCH_BYTES = 8 * 1024 * 1024
"""Payload bytes in one `AppendHistory`; a single larger event goes alone, or with what belongs to it."""

BATCH_EVENTS = 500

RECORD_BYTES = 256 * 1024
"""Payload bytes of an execution that is recorded as a whole; a larger one is created, appended to and finished."""

DATA_UNAVAILABLE = "DataUnavailable"
"""The error of a task of an express execution whose changes of data may or may not have been committed."""

_REFUSALS = {"precondition_failed": "VersionConflict", "data_refused": "DataRefused"}
_REFUSALS_ALONE = {**_REFUSALS, "invalid": "DataRefused", "unauthorized": "DataRefused"}
"""What a task's error is when its changes are refused, by code."""


class History(Events):
    """The events, and what to send the DataLayer next."""

    __slots__ = (
        "_batch",
        "_create",
        "_create_at_once",
        "_created",
        "_delay_ns",
        "_end",
        "_execution_id",
        "_in_flight",
        "_is_hurried",
        "_retried",
        "due_ns",
        "is_stalled",
    )

    def __init__(
        self,
        create: CreateExecution,
        *,
        created: bool,
        last_seq: int = 0,
        delay_ns: int = 0,
        create_at_once: bool = False,
    ) -> None:
        """`created`: the DataLayer has it already (an execution continued after a restart). `delay_ns`: how long the
        first event of a batch waits for others; `due_ns` says until when, 0 while none waits."""
        super().__init__(is_standard=create.durability == "standard", last_seq=last_seq)
        self._create = create
        self._created = created
        self._create_at_once = create_at_once
        self._delay_ns = delay_ns
        self.due_ns = 0
        self._execution_id = create.execution_id
        self._batch = 0
        self._end: tuple[str, str, str, bytes] | None = None
        self._in_flight: Message | None = None
        self._retried = False
        self._is_hurried = False
        self.is_stalled = False

    def end(self, status: str, error: str, cause: str, payload: bytes) -> None:
        """The execution has ended; nothing is added any more."""
        self._end = (status, error, cause, payload)
        self.pending_bytes += len(payload)

    def hurry(self) -> None:
        """Somebody waits for what has happened so far to be on disk."""
        self._is_hurried = True

    def next_request(self, now_ns: int) -> Message | None:
        """What to ask the DataLayer now; None when there is nothing, a request is under way, or events may wait."""
        if self._in_flight is not None or self._may_wait(now_ns):
            return None
        request: Message | None = None
        if self._writes and not self.is_standard:
            request = KvCommit(self._create.app, False, self._writes)
        elif not self._created:
            request = self._whole() or self._create
        elif self.is_standard and self._pending and (self._end is None or self._goes_in_parts()):
            request = self._append_request()
        elif self._end is not None:
            request = self._finish()
        self._in_flight = request
        self._is_hurried = self._is_hurried and isinstance(request, CreateExecution)
        self.is_stalled = False
        self.due_ns = 0
        return request

    def _may_wait(self, now_ns: int) -> bool:
        """Whether what there is to send can wait for what comes next; sets when it no longer can."""
        nothing = self._created and not (self.is_standard and self._pending)
        urgent = self._end is not None or self._writes or self._is_hurried
        urgent = urgent or (self._create_at_once and not self._created)
        if self._delay_ns == 0 or nothing or urgent or self.pending_bytes > RECORD_BYTES:
            return False
        if self.due_ns == 0:
            self.due_ns = now_ns + self._delay_ns
        return now_ns < self.due_ns

    def _whole(self) -> RecordExecution | None:
        """The whole of an execution that ended before anything was sent; None if it must go in parts."""
        size = self.pending_bytes + len(self._create.payload)
        if self._end is None or size > RECORD_BYTES or len(self._pending) > BATCH_EVENTS:
            return None
        return RecordExecution(self._create, self._finish())

    def _append_request(self) -> AppendHistory:
        events = tuple(self._pending[: self._take_batch()])
        if self._writes and events[-1].seq == self._writes_seq:
            return AppendHistory(self._execution_id, events, self._create.app, self._writes)
        return AppendHistory(self._execution_id, events)

    def _finish(self) -> FinishExecution:
        assert self._end is not None  # asked for only at the end
        status, error, cause, payload = self._end
        self._batch = len(self._pending)
        return FinishExecution(self._execution_id, status, error, cause, tuple(self._pending), payload)

    def confirmed(self) -> int:
        """The request under way is done; how many payload bytes need no longer be kept."""
        done, self._in_flight = self._in_flight, None
        if isinstance(done, CreateExecution):
            self._created = True
            return 0
        if isinstance(done, KvCommit):
            return self._forget_writes()
        freed = self._forget_writes() if isinstance(done, AppendHistory) and done.payload else 0
        freed += sum(len(event.payload) for event in self._pending[: self._batch])
        del self._pending[: self._batch]
        if isinstance(done, RecordExecution):
            self._created = True
            done = done.finish
        if isinstance(done, FinishExecution):
            freed += len(done.payload)
            self._end = None
        self.pending_bytes -= freed
        return freed

    @property
    def has_writes(self) -> bool:
        """Whether changes of functions' data are to be committed."""
        return bool(self._writes)

    def _forget_writes(self) -> int:
        freed, self._writes = len(self._writes), b""
        return freed

    def refused_as(self, code: str) -> str:
        """The error of the task whose changes the request under way holds, if its refusal means that they will never be
        made (or, of an express execution, that nobody knows); else ""."""
        tried = self._in_flight
        if isinstance(tried, KvCommit):
            return _REFUSALS_ALONE.get(code, DATA_UNAVAILABLE)
        return _REFUSALS.get(code, "") if isinstance(tried, AppendHistory) and tried.payload else ""

    def refuse_writes(self, error: str, cause: str) -> int:
        """The changes will not be made: their task has failed instead, in the same place of the history. How many
        payload bytes need no longer be kept."""
        self._in_flight = None
        position = next(i for i, event in enumerate(self._pending) if event.seq == self._writes_seq)
        event = self._pending[position]
        failed = replace(event, type="TaskFailed", error_type=error, error_message=cause, payload=b"")
        self._pending[position] = failed
        freed = len(event.payload) + self._forget_writes()
        self.pending_bytes -= freed
        return freed

    def give_up_writes(self) -> int:
        """The execution ends before the changes of its task were committed. Those under way may still be. How many
        payload bytes need no longer be kept."""
        under_way = self._in_flight
        is_sent = isinstance(under_way, KvCommit) or (isinstance(under_way, AppendHistory) and under_way.payload)
        if not self._writes or is_sent:
            return 0
        freed = self.refuse_writes("DataRefused", "the execution ended before what the task changed was committed")
        self._in_flight = under_way
        return freed

    def failed(self, code: str) -> bool:
        """The request under way was not done. True: try again later; False: it never will be."""
        tried, self._in_flight = self._in_flight, None
        creating = isinstance(tried, CreateExecution | RecordExecution)
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
        return isinstance(self._in_flight, FinishExecution | RecordExecution)

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, or events of a standard execution wait for one."""
        return self._in_flight is not None or (self.is_standard and bool(self._pending))

    @property
    def is_creating(self) -> bool:
        """Whether the request under way is the first one."""
        return isinstance(self._in_flight, CreateExecution)

    def _goes_in_parts(self) -> bool:
        """Whether not everything can be sent with the end."""
        if self._writes:
            return True
        size = sum(len(event.payload) for event in self._pending)
        return len(self._pending) > BATCH_EVENTS or (size > BATCH_BYTES and len(self._pending) > 1)

    def _take_batch(self) -> int:
        size = 0
        count = 0
        for event in self._pending[:BATCH_EVENTS]:
            size += len(event.payload)
            if count and size > BATCH_BYTES:
                break
            count += 1
            if self._writes and event.seq == self._writes_seq:
                break
        self._batch = self._whole_successes(count)
        return self._batch

    def _whole_successes(self, count: int) -> int:
        """How many events to send of about so many, so that no success is sent apart from what belongs to it."""
        whole = count
        while whole and self._pending[whole - 1].type in PARTS_OF_SUCCESS:
            whole -= 1
        if whole:
            return whole
        while 0 < count < len(self._pending) and self._pending[count - 1].type in PARTS_OF_SUCCESS:
            count += 1
        return count
