"""Executions: Frontend ↔ ExecutionManager ↔ DataLayer."""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct


@message(120)
class StartExecution(Message):
    """Frontend → ExecutionManager (ask → ExecutionAccepted or Refused).

    `durability` standard: with `wait_for_commit` the answer comes once the execution would survive a crash (what a
    202 promises); without, at once, and only the result waits for the disk. express: nothing is written before the
    result. `name` may be a function or a workflow. The result is awaited at the DataLayer (`WaitExecution`).
    """

    execution_id: str
    name: str
    durability: str
    strategy: str
    wait_for_commit: bool
    timeout_s: float
    traceparent: str
    payload: bytes


@message(121)
class ExecutionAccepted(Message):
    """Reply to `StartExecution`."""

    execution_id: str
    version: int


@message(122)
class CancelExecution(Message):
    """Frontend → ExecutionManager (ask → Done or Refused "not_found"/"conflict" when it has ended)."""

    execution_id: str
    reason: str


@struct
class HistoryEvent:
    """One line of an execution's history, numbered from 1.

    `type` uses Step Functions' event type names (ExecutionStarted, TaskStateEntered, TaskSucceeded, ...). For task
    outcomes `worker_topic`, `start_kind` and the durations say who ran it and where the time went; `gap_ns` is the
    time from the end of the previous state's handler to the start of this one's. `branch`: the branch of a Parallel
    state, or the iteration of a Map state, that it is about, numbered as they begin; 0: the execution's own. `index`:
    which branch of the state, or which item, that is, from 0; of MapStateStarted how many items there are; else -1.
    Of ExecutionRedriven `attempt` is which redrive it is, from 1.
    `memory_mb`: what the function of a task declares; `span_id`: the task in its trace. Of a task whose worker was
    paged out and read back before: how long that took (`page_in_ns`), how much was read (`page_in_bytes`), and how long
    it was over when the handler started (`page_in_lead_ns`).
    """

    seq: int
    at_ms: int
    type: str
    state: str
    attempt: int
    worker_topic: str
    start_kind: str
    queue_ns: int
    start_ns: int
    run_ns: int
    gap_ns: int
    error_type: str
    error_message: str
    payload: bytes
    branch: int = 0
    index: int = -1
    memory_mb: int = 0
    span_id: str = ""
    page_in_ns: int = 0
    page_in_lead_ns: int = 0
    page_in_bytes: int = 0

    @property
    def page_in_wait_ns(self) -> int:
        """How much of `queue_ns` was waiting for the memory; 0 where it was read back before the state's turn."""
        over_ns = self.queue_ns + self.start_ns - self.page_in_lead_ns
        return max(0, min(self.page_in_ns, over_ns, self.queue_ns))


@message(123)
class CreateExecution(Message):
    """ExecutionManager → DataLayer (ask → Done once committed, or Refused "conflict" if the id exists)."""

    execution_id: str
    name: str
    app: str
    version: int
    kind: str
    durability: str
    deadline_at_ms: int
    traceparent: str
    payload: bytes


@message(124)
class AppendHistory(Message):
    """ExecutionManager → DataLayer (ask → Done once committed): idempotent by (`execution_id`, `seq`).

    `payload`: the changes of functions' data (a `KvBatch`, for a worker of `app`) of the task whose success is the last
    event. They are made in the same transaction, once: where that event is there already, they have been. Refused
    "precondition_failed" where one expected another version, "data_refused" where they cannot be made: nothing of the
    request is then kept.
    """

    execution_id: str
    events: tuple[HistoryEvent, ...]
    app: str = ""
    payload: bytes = b""


@message(125)
class FinishExecution(Message):
    """ExecutionManager → DataLayer (ask → Done once committed): the one result; waiters are answered then.

    `status`: succeeded, failed, timed_out, cancelled. First write wins; a repeat is answered Done and ignored.
    """

    execution_id: str
    status: str
    error_type: str
    error_message: str
    events: tuple[HistoryEvent, ...]
    payload: bytes


@message(135)
class RecordExecution(Message):
    """ExecutionManager → DataLayer (ask → Done once committed): both of the above in one transaction, for an execution
    that ended before it was created there. What is there already stays as it is."""

    create: CreateExecution
    finish: FinishExecution


@message(126)
class WaitExecution(Message):
    """Frontend → DataLayer (ask → ExecutionState): answered when the execution ends, or with its present state at
    `deadline_ns`. May be asked before `CreateExecution` arrived; `must_exist` refuses an unknown id at once.
    Without `event_payloads` the events come with empty ones: the output is all that is wanted. `limit`: how many events
    are needed (0: all); there may be more."""

    execution_id: str
    deadline_ns: int
    must_exist: bool
    event_payloads: bool = True
    limit: int = 0


@message(127)
class GetExecution(Message):
    """Anyone → DataLayer (ask → ExecutionState or Refused "not_found"). `event_payloads` as in `WaitExecution`; of the
    events those after number `after_seq`, at most `limit` (0: all)."""

    execution_id: str
    event_payloads: bool = True
    after_seq: int = 0
    limit: int = 0


@struct
class OpenVisit:
    """A visit to a state that had not ended at some place of a history."""

    branch: int
    state: str


@message(247)
class SummariseHistory(Message):
    """Frontend → DataLayer (ask → HistorySummary or Refused "not_found"): what a page of a history, which ends with
    event `last_seq`, cannot tell. `open_visits`: those that it leaves open."""

    execution_id: str
    last_seq: int
    open_visits: tuple[OpenVisit, ...]


@message(248)
class HistorySummary(Message):
    """Reply to `SummariseHistory`, of the whole history: what its tasks are billed (`billed_mb_ms`: megabytes times
    milliseconds) and the events of map runs; `closing`: the later events of the visits that were asked for."""

    billed_ms: int
    billed_mb_ms: int
    map_runs: tuple[HistoryEvent, ...]
    closing: tuple[HistoryEvent, ...]


@message(138)
class GetExecutionInput(Message):
    """Anyone → DataLayer (ask → ExecutionInput or Refused "not_found")."""

    execution_id: str


@message(139)
class ExecutionInput(Message):
    """Reply to `GetExecutionInput`: what the execution was started with, JSON."""

    payload: bytes


@message(128)
class ExecutionState(Message):
    """Reply to `WaitExecution` and `GetExecution`. `status` also: running. `payload`: the output, once succeeded.

    Of the events' payloads the first 8 MiB are here; the payloads of later events are then empty.
    """

    execution_id: str
    name: str
    app: str
    version: int
    kind: str
    durability: str
    status: str
    error_type: str
    error_message: str
    started_at_ms: int
    ended_at_ms: int
    redrive_count: int
    redriven_at_ms: int
    execution_name: str
    events: tuple[HistoryEvent, ...]
    payload: bytes


@struct
class ExecutionSummary:
    """One line of a listing."""

    execution_id: str
    name: str
    version: int
    kind: str
    status: str
    started_at_ms: int
    ended_at_ms: int
    execution_name: str = ""


@message(129)
class ListExecutions(Message):
    """Frontend → DataLayer (ask → Executions), newest first. `cursor`: `next_cursor` of the page before. `name`: of the
    function or workflow; `execution_name`: how the name begins that the execution was given. Started at
    `started_from_ms` or later, and before `started_before_ms`; 0: at any time."""

    name: str
    status: str
    limit: int
    cursor: str
    execution_name: str = ""
    started_from_ms: int = 0
    started_before_ms: int = 0


@message(130)
class Executions(Message):
    """Reply to `ListExecutions`. There is more where `next_cursor` is not "", also if fewer came than were wanted."""

    executions: tuple[ExecutionSummary, ...]
    next_cursor: str


@message(131)
class ListUnfinished(Message):
    """ExecutionManager → DataLayer at start (ask → Unfinished): standard executions to continue, oldest first.

    `cursor`: `next_cursor` of the page before; ask again until that is "".
    """

    cursor: str = ""


@struct
class UnfinishedExecution:
    """Enough to continue an execution: its start and its journal."""

    execution_id: str
    name: str
    app: str
    version: int
    kind: str
    deadline_at_ms: int
    traceparent: str
    events: tuple[HistoryEvent, ...]
    input: bytes


@message(132)
class Unfinished(Message):
    """Reply to `ListUnfinished`."""

    executions: tuple[UnfinishedExecution, ...]
    next_cursor: str = ""


@message(133)
class ClaimIdempotencyKey(Message):
    """Frontend → DataLayer (ask → IdempotencyClaim, durable): who comes first with `key` does the work.

    `fingerprint` identifies the request; another request under the same key is Refused "conflict".
    """

    key: str
    fingerprint: str
    execution_id: str


@message(134)
class IdempotencyClaim(Message):
    """Reply to `ClaimIdempotencyKey`: `first` is False when `execution_id` (an earlier one) has the work."""

    first: bool
    execution_id: str
