"""Every message that actors exchange, grouped by conversation; each docstring says sender → receiver.

Requests are commands (`StartWorkers`), facts are past tense (`WorkerExited`). A message is a frozen dataclass
registered under a number that never changes meaning; `actorfaas.wire` turns it into bytes and back. Fields are
`int`, `float`, `str`, `bytes`, `bool`, `dict[str, str]`, a struct (a frozen dataclass marked `@struct`) or a tuple
of those. A field named `payload` is the caller's opaque bytes: it travels behind the header and is never parsed on
the way. Durations and instants are integer nanoseconds (`_ns`) of CLOCK_MONOTONIC, which is the same in every
process of one machine, except `*_at_ms`: wall clock, milliseconds since the epoch. An empty string means "none".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, dataclass_transform

T = TypeVar("T")

MESSAGES: dict[int, type[Message]] = {}
"""Every message class by its number."""


class Message:
    """Base of all messages; `code` is the number under which the class travels."""

    __slots__ = ()
    if TYPE_CHECKING:
        code: int


@dataclass_transform(frozen_default=True)
def message(code: int) -> Callable[[type[T]], type[T]]:
    """Make a class a message, travelling under `code`."""

    def register(cls: type[T]) -> type[T]:
        made = dataclass(frozen=True, slots=True)(cls)
        if code in MESSAGES:
            raise ValueError(f"message code {code} is taken by {MESSAGES[code].__name__}")
        made.code = code  # type: ignore[attr-defined]  # declared on Message for type checkers only
        MESSAGES[code] = made  # type: ignore[assignment]  # every decorated class derives from Message
        return made

    return register


@dataclass_transform(frozen_default=True)
def struct(cls: type[T]) -> type[T]:
    """Make a class a record that messages may contain."""
    return dataclass(frozen=True, slots=True)(cls)


# --- actor kernel: any actor ↔ any actor ------------------------------------------------------------------------


@message(1)
class Hello(Message):
    """Connecting actor → listening actor, first on every connection: who is calling."""

    actor: str
    pid: int
    protocol: int


@message(2)
class Refused(Message):
    """Reply to any ask that will not be done.

    Codes: not_found, conflict, invalid, overloaded, unavailable, unauthorized, timeout, cancelled, busy,
    precondition_failed, deploy_failed, stopping, internal.
    """

    error: str
    detail: str
    retryable: bool = False
    retry_after_s: float = 0.0


@message(3)
class Done(Message):
    """Reply to an ask that has no other answer."""


@message(4)
class Ready(Message):
    """Actor process → node, once all its actors are set up and listening."""

    actors: tuple[str, ...]


@message(5)
class Stop(Message):
    """Node → actor process: finish what is under way and exit within `deadline_s`."""

    deadline_s: float


@message(6)
class DescribeActor(Message):
    """Anyone → any actor (ask; answered by the kernel): `ActorDescription`."""


@message(7)
class ActorDescription(Message):
    """Reply to `DescribeActor`. `loop_lag_ns` is the largest since the last description."""

    actor: str
    pid: int
    mailbox_length: int
    mailbox_limit: int
    messages_handled: int
    messages_refused: int
    tasks: int
    open_files: int
    rss_bytes: int
    connections: int
    loop_lag_ns: int


# --- invocation: Frontend (or ExecutionManager) ↔ LocalQueue -------------------------------------------------------


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

    `start_kind`: resident, fork or cold. `queue_ns` from publish to delivery, `start_ns` from delivery to the
    handler's first instruction, `run_ns` inside the handler. `chunks` were streamed before.
    """

    request_id: str
    worker_topic: str
    attempt: int
    start_kind: str
    queue_ns: int
    start_ns: int
    run_ns: int
    chunks: int
    payload: bytes


@message(22)
class InvocationFailed(Message):
    """LocalQueue → publisher: no result will come. Last message of the request.

    `reason`: handler_error, worker_lost, timeout, queue_full, no_topic, cancelled, stopping, unavailable,
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


# --- topics and assignment: ExecutionManager ↔ LocalQueue -------------------------------------------------------------


@message(40)
class DeclareTopic(Message):
    """ExecutionManager → LocalQueue (ask → Done): `topic` may be published to; at most `queue_limit` requests wait.

    `one_shot`: a member leaves the topic after one delivery (strategies fork and cold).
    """

    topic: str
    queue_limit: int
    one_shot: bool


@message(41)
class DropTopic(Message):
    """ExecutionManager → LocalQueue: waiting requests fail with `reason`; later publishes find no topic."""

    topic: str
    reason: str


@message(42)
class Subscribe(Message):
    """ExecutionManager → LocalQueue: lend a worker to a shared topic; it takes one request at a time from it."""

    worker_topic: str
    topic: str


@message(43)
class Unsubscribe(Message):
    """ExecutionManager → LocalQueue (ask → Done or Refused "busy"/"not_found"): take an idle worker back."""

    worker_topic: str


@message(44)
class AssignTask(Message):
    """ExecutionManager → LocalQueue: a task for one worker that is not lent to a topic.

    `armed`: the payload is not here; it will be what another worker publishes to `worker_topic`. Otherwise `payload`
    is delivered now. `next_topic`: the worker reserved for what follows ("" when not known: the result then goes to
    `request_next_fw`). `report_payload`: `TaskFinished` carries a copy of the result although it was handed on.
    Answered by `TaskFinished` or `TaskFailed`; a worker that is gone, lent or not free fails it at once with reason
    `unavailable` (nothing ran). An armed task whose worker is lost before its payload came is answered by
    `WorkerDetached` only; the result then meant for it goes to `request_next_fw`.
    """

    worker_topic: str
    task_id: str
    execution_id: str
    state: str
    attempt: int
    deadline_ns: int
    next_topic: str
    armed: bool
    report_payload: bool
    traceparent: str
    payload: bytes


@message(45)
class SetNextTopic(Message):
    """ExecutionManager → LocalQueue: the reservation for what follows a task was made after the task's; "" takes it
    back. Heeded until the task returns, also when the worker has been told to publish to `request_next_fw`."""

    worker_topic: str
    task_id: str
    next_topic: str


@message(46)
class ReleaseAssignment(Message):
    """ExecutionManager → LocalQueue: an armed task will not come. Confirmed by `WorkerReleased` (topic "") when the
    worker is free again; when its payload had come before, `TaskFinished.handed_to` has told so and nothing follows."""

    worker_topic: str
    task_id: str


@message(47)
class RetireWorker(Message):
    """ExecutionManager → LocalQueue: let the worker finish what it has, then tell it to exit."""

    worker_topic: str


@message(48)
class ReleaseIdle(Message):
    """ExecutionManager → LocalQueue: give back up to `count` members of `topic`, the longest idle first; each is
    confirmed by `WorkerReleased`."""

    topic: str
    count: int


@message(49)
class WorkerReleased(Message):
    """LocalQueue → ExecutionManager: the worker is no longer lent."""

    worker_topic: str
    topic: str


@message(50)
class TopicDemand(Message):
    """LocalQueue → ExecutionManager: requests wait although every member is busy (or there is none)."""

    topic: str
    waiting: int
    members: int
    busy: int
    oldest_wait_ns: int


@message(51)
class TopicUsage(Message):
    """LocalQueue → ExecutionManager, about once a second for every topic that was used since the last one.

    `busy_peak` is the largest number of members busy at once in the period; `run_ns` the sum over deliveries.
    """

    topic: str
    members: int
    busy_peak: int
    waiting: int
    delivered: int
    failed: int
    run_ns: int


@message(52)
class WorkerReported(Message):
    """LocalQueue → ExecutionManager, topic `new_fw_reporting`: a new worker is connected and has reported itself."""

    worker_topic: str
    function_topic: str
    pid: int
    start_kind: str


@message(53)
class WorkerDetached(Message):
    """LocalQueue → ExecutionManager: a worker's connection ended, whatever it was doing."""

    worker_topic: str
    function_topic: str
    pid: int


@message(54)
class LeaseExpired(Message):
    """LocalQueue → ExecutionManager: the worker overran its request's deadline (the caller has been told)."""

    worker_topic: str
    request_id: str


@message(55)
class TaskFinished(Message):
    """LocalQueue → ExecutionManager: a task from `AssignTask` returned.

    `handed_to`: the worker whose armed task got the payload, or "" when the payload is here for the
    ExecutionManager to decide (topic `request_next_fw`).
    """

    worker_topic: str
    task_id: str
    execution_id: str
    state: str
    attempt: int
    handed_to: str
    start_kind: str
    delivered_ns: int
    started_ns: int
    ended_ns: int
    payload: bytes


@message(56)
class TaskFailed(Message):
    """LocalQueue → ExecutionManager: a task from `AssignTask` ended without a result; `reason` as in
    `InvocationFailed`."""

    worker_topic: str
    task_id: str
    execution_id: str
    state: str
    attempt: int
    start_kind: str
    delivered_ns: int
    started_ns: int
    ended_ns: int
    reason: str
    error_type: str
    error_message: str
    traceback: str


@struct
class TopicState:
    """One topic in `QueueDescription`."""

    topic: str
    waiting: int
    queue_limit: int
    members: int
    busy: int


@struct
class ConnectedWorker:
    """One worker in `QueueDescription`. `activity`: idle, busy, armed, retiring. `lent_to`: the shared topic, or ""."""

    worker_topic: str
    function_topic: str
    pid: int
    start_kind: str
    lent_to: str
    activity: str
    request_id: str
    execution_id: str
    deliveries: int
    idle_ns: int


@message(57)
class DescribeQueue(Message):
    """Anyone → LocalQueue (ask): `QueueDescription`."""


@message(58)
class QueueDescription(Message):
    """Reply to `DescribeQueue`."""

    topics: tuple[TopicState, ...]
    workers: tuple[ConnectedWorker, ...]


# --- one worker's connection: FunctionWorker ↔ LocalQueue -------------------------------------------------------------


@message(60)
class AttachWorker(Message):
    """FunctionWorker supervisor → LocalQueue, on the handover socket with one end of a worker's connection.

    `app`: the application the function belongs to; the namespace of its key-value data.
    """

    worker_topic: str
    function_topic: str
    app: str
    pid: int
    start_kind: str


@message(61)
class NewFunctionWorker(Message):
    """FunctionWorker → LocalQueue, first, topic `new_fw_reporting`: this instance is initialised and waits."""

    pid: int


@message(62)
class Task(Message):
    """LocalQueue → FunctionWorker, on its own topic: call the handler with `payload` (JSON).

    `next_topic`: where the result must be published; rights allow nothing else. `credit`: how many chunks may be sent
    before `TaskCredit` grants more; 0: a generator's items are collected into a JSON array instead of streamed.
    """

    request_id: str
    execution_id: str
    state: str
    attempt: int
    deadline_ns: int
    next_topic: str
    credit: int
    traceparent: str
    payload: bytes


@message(63)
class TaskResult(Message):
    """FunctionWorker → LocalQueue: the handler returned; publish `payload` (JSON) to `topic`, its `next_topic`."""

    request_id: str
    topic: str
    started_ns: int
    ended_ns: int
    payload: bytes


@message(64)
class TaskError(Message):
    """FunctionWorker → LocalQueue: the handler failed. `reason`: handler_error, bad_payload, bad_result, memory,
    unavailable (a part of the platform that the handler needed was away, which the handler did not catch).

    `exiting`: the worker ends itself after this message (the handler called `sys.exit`, memory ran out)."""

    request_id: str
    started_ns: int
    ended_ns: int
    reason: str
    error_type: str
    error_message: str
    traceback: str
    exiting: bool


@message(65)
class TaskChunk(Message):
    """FunctionWorker → LocalQueue: one piece of a streamed response. `content` says what the payload is: json (one
    encoded value), bytes or text (UTF-8); it is the same for all pieces of a response."""

    request_id: str
    content: str
    payload: bytes


@message(66)
class TaskCredit(Message):
    """LocalQueue → FunctionWorker: `chunks` more pieces may be sent."""

    request_id: str
    chunks: int


@message(67)
class Retire(Message):
    """LocalQueue → FunctionWorker: exit now; nothing is under way."""


# --- templates and workers: ExecutionManager ↔ FunctionWorker supervisor ----------------------------------------------


@struct
class FunctionSpec:
    """What a decorator declared about one function; the defaults live in `actorfaas.api`.

    `module` and `qualname` locate the handler inside the bundle; `init` is the qualname of its init hook in that
    module, or "". `kind`: sync, async, generator, async_generator. `concurrency`: most instances alive at once.
    `warm`: instances kept alive when idle. `retries`: further attempts after a failure.
    """

    name: str
    module: str
    qualname: str
    kind: str
    strategy: str
    timeout_s: float
    memory_mb: int
    concurrency: int
    queue_limit: int
    warm: int
    idle_timeout_s: float
    retries: int
    retry_delay_s: float
    init: str
    env: dict[str, str]
    description: str


@struct
class WorkflowSpec:
    """One workflow: its Amazon States Language definition as JSON bytes in `definition`."""

    name: str
    definition: bytes
    durability: str
    timeout_s: float
    description: str


@struct
class BundleRef:
    """Where a bundle's code is on disk: an extracted, immutable folder; `python` is the interpreter to use."""

    app: str
    sha256: str
    folder: str
    entry: str
    python: str


@message(80)
class PrepareBundle(Message):
    """ExecutionManager → FunctionWorker supervisor (ask → BundlePrepared or Refused "deploy_failed").

    Extracts the archive (once per content), builds its virtual environment when it has requirements, imports it in a
    process of its own and reads what its decorators declared. `detail` of a refusal holds the traceback.
    """

    app: str
    archive: str
    sha256: str
    entry: str


@message(81)
class BundlePrepared(Message):
    """Reply to `PrepareBundle`."""

    bundle: BundleRef
    functions: tuple[FunctionSpec, ...]
    workflows: tuple[WorkflowSpec, ...]


@message(82)
class StartFunction(Message):
    """ExecutionManager → FunctionWorker supervisor (ask → FunctionStarted or Refused "deploy_failed"): make the
    template process: import, init hook, freeze. Idempotent."""

    function_topic: str
    bundle: BundleRef
    spec: FunctionSpec


@message(83)
class FunctionStarted(Message):
    """Reply to `StartFunction`. Not `forkable`: user imports started `threads` threads, so workers import anew."""

    function_topic: str
    template_pid: int
    forkable: bool
    threads: int
    import_ns: int
    init_ns: int


@message(84)
class StopFunction(Message):
    """ExecutionManager → FunctionWorker supervisor (ask → Done): end the template and every worker of it."""

    function_topic: str
    deadline_s: float


@message(85)
class StartWorkers(Message):
    """ExecutionManager → FunctionWorker supervisor: `count` new instances (`start_kind` fork or cold).

    Each is answered by `WorkerStarted` (and, through the LocalQueue, `WorkerReported`) or `WorkerStartFailed`.
    """

    function_topic: str
    start_kind: str
    count: int


@message(86)
class WorkerStarted(Message):
    """FunctionWorker supervisor → ExecutionManager: the process exists and its connection is with the LocalQueue."""

    function_topic: str
    worker_topic: str
    pid: int
    start_kind: str
    fork_ns: int


@message(87)
class WorkerStartFailed(Message):
    """FunctionWorker supervisor → ExecutionManager: no such instance came to be."""

    function_topic: str
    start_kind: str
    detail: str


@message(88)
class KillWorker(Message):
    """ExecutionManager → FunctionWorker supervisor: SIGKILL one worker, for `reason` (timeout, cancelled, stuck)."""

    function_topic: str
    pid: int
    reason: str


@message(89)
class WorkerExited(Message):
    """FunctionWorker supervisor → ExecutionManager and LocalQueue: a worker process was reaped.

    `detail` is a sentence part for people: "exited with status 3", "was killed by signal 9 (SIGKILL): timeout".
    """

    function_topic: str
    worker_topic: str
    pid: int
    exit_code: int
    signal: int
    detail: str
    lived_ns: int
    max_rss_bytes: int


@message(90)
class TemplateExited(Message):
    """FunctionWorker supervisor → ExecutionManager: a template died by itself; it is restarted after the delay,
    and `TemplateRestarted` follows. Its workers died with it."""

    function_topic: str
    detail: str
    restart_in_s: float


@message(91)
class TemplateRestarted(Message):
    """FunctionWorker supervisor → ExecutionManager: workers can be started again."""

    function_topic: str
    template_pid: int


@struct
class TemplateState:
    """One template in `SupervisorDescription`."""

    function_topic: str
    template_pid: int
    forkable: bool
    threads: int
    workers: int
    restarts: int


@message(92)
class DescribeSupervisor(Message):
    """Anyone → FunctionWorker supervisor (ask): `SupervisorDescription`."""


@message(93)
class SupervisorDescription(Message):
    """Reply to `DescribeSupervisor`."""

    templates: tuple[TemplateState, ...]


# --- deployments: Frontend ↔ ExecutionManager ↔ DataLayer -------------------------------------------------------------


@message(100)
class Deploy(Message):
    """Frontend → ExecutionManager (ask → Deployed or Refused "deploy_failed"/"conflict"/"invalid").

    Everything is checked, imported, initialised and stored before any request sees the new version.
    """

    app: str
    archive: str
    sha256: str
    entry: str


@message(101)
class Deployed(Message):
    """Reply to `Deploy` and `Rollback`: the version now active."""

    app: str
    version: int
    functions: tuple[str, ...]
    workflows: tuple[str, ...]
    unforkable: tuple[str, ...]


@message(102)
class Rollback(Message):
    """Frontend → ExecutionManager (ask → Deployed): make an earlier version current; 0 means the one before."""

    app: str
    version: int


@message(103)
class RemoveApp(Message):
    """Frontend → ExecutionManager (ask → Done or Refused "not_found"): stop serving an application."""

    app: str


@struct
class Route:
    """What the Frontend needs to admit a request for `name`. `kind`: function or workflow."""

    name: str
    kind: str
    app: str
    version: int
    topic: str
    strategy: str
    timeout_s: float
    max_attempts: int
    retry_delay_s: float
    durability: str
    streams: bool
    description: str


@message(104)
class GetRoutes(Message):
    """Frontend → ExecutionManager (ask → RoutesChanged); later changes are told to the same connection."""


@message(105)
class RoutesChanged(Message):
    """ExecutionManager → Frontend: everything that can be invoked now."""

    routes: tuple[Route, ...]


@struct
class DeploymentRecord:
    """One immutable version of an application as stored."""

    app: str
    version: int
    active: bool
    created_at_ms: int
    bundle: BundleRef
    functions: tuple[FunctionSpec, ...]
    workflows: tuple[WorkflowSpec, ...]


@message(106)
class SaveDeployment(Message):
    """ExecutionManager → DataLayer (ask → DeploymentSaved): store the next version of an application, inactive."""

    bundle: BundleRef
    functions: tuple[FunctionSpec, ...]
    workflows: tuple[WorkflowSpec, ...]


@message(107)
class DeploymentSaved(Message):
    """Reply to `SaveDeployment`."""

    app: str
    version: int


@message(108)
class ActivateDeployment(Message):
    """ExecutionManager → DataLayer (ask → Done): make a stored version the current one; version 0: none is."""

    app: str
    version: int


@message(109)
class ListDeployments(Message):
    """Anyone → DataLayer (ask → Deployments). `app` "" means all; `active_only`: current versions only."""

    app: str
    active_only: bool


@message(110)
class Deployments(Message):
    """Reply to `ListDeployments`, newest version first within an application."""

    deployments: tuple[DeploymentRecord, ...]


# --- executions: Frontend ↔ ExecutionManager ↔ DataLayer --------------------------------------------------------------


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
    time from the end of the previous state's handler to the start of this one's.
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
    """ExecutionManager → DataLayer (ask → Done once committed): idempotent by (`execution_id`, `seq`)."""

    execution_id: str
    events: tuple[HistoryEvent, ...]


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
    `deadline_ns`. May be asked before `CreateExecution` arrived; `must_exist` refuses an unknown id at once."""

    execution_id: str
    deadline_ns: int
    must_exist: bool


@message(127)
class GetExecution(Message):
    """Anyone → DataLayer (ask → ExecutionState or Refused "not_found")."""

    execution_id: str


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


@message(129)
class ListExecutions(Message):
    """Frontend → DataLayer (ask → Executions), newest first. `cursor`: `next_cursor` of the page before."""

    name: str
    status: str
    limit: int
    cursor: str


@message(130)
class Executions(Message):
    """Reply to `ListExecutions`."""

    executions: tuple[ExecutionSummary, ...]
    next_cursor: str


@message(131)
class ListUnfinished(Message):
    """ExecutionManager → DataLayer at start (ask → Unfinished): standard executions to continue, oldest first.

    `after`: `next_after` of the page before; ask again until that is "".
    """

    after: str = ""


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
    next_after: str = ""


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


# --- functions' data: FunctionWorker → LocalQueue → DataLayer ---------------------------------------------------------


@message(140)
class KvGet(Message):
    """FunctionWorker → LocalQueue → DataLayer (ask → KvValue). The LocalQueue fills in `namespace` (the app)."""

    namespace: str
    key: str


@message(141)
class KvPut(Message):
    """As `KvGet` (ask → KvValue without payload, or Refused "precondition_failed").

    `expected_version`: -1 whatever is there, 0 only if absent, else only if it has that version.
    """

    namespace: str
    key: str
    expected_version: int
    payload: bytes


@message(142)
class KvDelete(Message):
    """As `KvPut` (ask → Done)."""

    namespace: str
    key: str
    expected_version: int


@message(143)
class KvList(Message):
    """As `KvGet` (ask → KvKeys): keys with `prefix`, in order, after `after`."""

    namespace: str
    prefix: str
    after: str
    limit: int


@message(144)
class KvValue(Message):
    """Reply to `KvGet` and `KvPut`; `version` 0: no such key. `payload` is JSON."""

    version: int
    payload: bytes


@message(145)
class KvKeys(Message):
    """Reply to `KvList`."""

    keys: tuple[str, ...]


# --- function logs: FunctionWorker supervisor → DataLayer ← Frontend --------------------------------------------------


@struct
class LogLine:
    """One line a function wrote. `stream`: stdout, stderr or log; `level` only for log."""

    seq: int
    at_ms: int
    function: str
    version: int
    request_id: str
    execution_id: str
    pid: int
    stream: str
    level: str
    text: str


@message(150)
class AppendLogs(Message):
    """FunctionWorker supervisor → DataLayer: lines in order; `seq` is 0, the DataLayer numbers them."""

    lines: tuple[LogLine, ...]


@message(151)
class ReadLogs(Message):
    """Frontend → DataLayer (ask → Logs): lines after `after_seq` that match every filter given ("" matches all).

    `wait_until_ns`: when nothing matches, answer at the next matching line or at that instant (0: at once).
    `tail`: the newest `limit` lines instead of the oldest.
    """

    function: str
    request_id: str
    execution_id: str
    after_seq: int
    limit: int
    tail: bool
    wait_until_ns: int


@message(152)
class Logs(Message):
    """Reply to `ReadLogs`; continue with `after_seq`."""

    lines: tuple[LogLine, ...]
    after_seq: int


# --- the pool as seen from outside: Frontend → ExecutionManager -------------------------------------------------------


@struct
class WorkerState:
    """One worker of the pool. `state` is one of `core.lifecycle`'s; `held_by`: the topic or execution using it."""

    worker_topic: str
    function: str
    version: int
    pid: int
    state: str
    start_kind: str
    held_by: str
    age_ns: int
    tasks: int


@message(160)
class DescribePool(Message):
    """Frontend → ExecutionManager (ask → PoolDescription)."""


@message(161)
class PoolDescription(Message):
    """Reply to `DescribePool`. `reservations` and `wrong_guesses` count look-ahead since the start."""

    workers: tuple[WorkerState, ...]
    running_executions: int
    reservations: int
    wrong_guesses: int


# --- template control: FunctionWorker supervisor ↔ template process ---------------------------------------------------
# A SOCK_SEQPACKET pair, one frame a packet; file descriptors travel beside the frame (SCM_RIGHTS).


@message(180)
class LoadBundle(Message):
    """Supervisor → bundle template, first: import the bundle's entry module. `bare`: import nothing, its workers do."""

    bundle: BundleRef
    bare: bool


@message(181)
class BundleLoaded(Message):
    """Bundle template → supervisor: imported; what the decorators declared, and how many threads there are now."""

    functions: tuple[FunctionSpec, ...]
    workflows: tuple[WorkflowSpec, ...]
    threads: int
    import_ns: int


@message(182)
class LoadFailed(Message):
    """Template → supervisor: user code failed in `stage` (import, declare, init); the template exits."""

    stage: str
    error_type: str
    detail: str


@message(183)
class ForkTemplate(Message):
    """Supervisor → bundle template, with one descriptor (the child's control socket): fork the template of one
    function; it runs the init hook, collects and freezes garbage, and says `TemplateReady` on its own socket."""

    function_topic: str
    spec: FunctionSpec


@message(184)
class TemplateReady(Message):
    """Function template → supervisor, on its own control socket (or `LoadFailed`)."""

    function_topic: str
    pid: int
    threads: int
    init_ns: int


@message(185)
class ForkWorker(Message):
    """Supervisor → function template, with three descriptors: queue connection, stdout, stderr."""

    serial: int


@message(186)
class ChildForked(Message):
    """Template → supervisor: the process for `ForkTemplate` (serial 0) or `ForkWorker` exists; `pid` 0 when
    the kernel refused to make one."""

    serial: int
    pid: int
    fork_ns: int


@message(187)
class ChildExited(Message):
    """Template → supervisor: a child was reaped; `signal` 0 when it exited by itself."""

    pid: int
    exit_code: int
    signal: int
    max_rss_bytes: int


@message(188)
class ColdStart(Message):
    """Supervisor → new interpreter (strategy cold), as one frame on an inherited pipe: what to import and serve."""

    function_topic: str
    bundle: BundleRef
    spec: FunctionSpec
