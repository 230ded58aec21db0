"""Topics and assignment: ExecutionManager ↔ LocalQueue."""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct


@message(40)
class DeclareTopic(Message):
    """ExecutionManager → LocalQueue (ask → Done): `topic` may be published to; at most `queue_limit` requests wait.

    `members`: stay, or serve one request each and then retire (strategies fork and cold) or return to the
    ExecutionManager, told by `WorkerReleased` (swap, reap, faasnap).
    """

    topic: str
    queue_limit: int
    members: str


@message(41)
class DropTopic(Message):
    """ExecutionManager → LocalQueue: waiting requests fail with `reason`; later publishes find no topic."""

    topic: str
    reason: str


@message(42)
class Subscribe(Message):
    """ExecutionManager → LocalQueue: lend a worker to a shared topic; it takes one request at a time from it.

    `start_kind` and `page_in_ns`: how its next request gets its instance, as in `InvocationResult`; "" when the worker
    is simply there.
    """

    worker_topic: str
    topic: str
    start_kind: str = ""
    page_in_ns: int = 0


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
    `index`: which branch of a Parallel state or item of a Map state it belongs to, -1: to none. `is_standard`: of a
    standard execution, the messages of which are journalled.
    Answered by `TaskFinished` or `TaskFailed`; a worker that is gone, lent or not free fails it at once with reason
    `unavailable` (nothing ran). An armed task whose worker is lost before its payload came is answered by
    `WorkerDetached` only; the result then meant for it goes to `request_next_fw`.
    """

    worker_topic: str
    task_id: str
    execution_id: str
    state: str
    attempt: int
    index: int
    deadline_ns: int
    next_topic: str
    armed: bool
    report_payload: bool
    is_standard: bool
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


@message(69)
class ReleaseWorker(Message):
    """ExecutionManager → LocalQueue: let the worker finish the request it has, then give it back; confirmed by
    `WorkerReleased`."""

    worker_topic: str


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


@struct
class StartUsage:
    """Calls whose instance was had in one way (`start_kind` as in `InvocationResult`). `took_ns`: the sum of their
    times from delivery to the handler's end."""

    start_kind: str
    count: int
    took_ns: int


@message(51)
class TopicUsage(Message):
    """LocalQueue → ExecutionManager, about once a second for every topic that was used since the last one.

    `busy_peak` is the largest number of members busy at once in the period; `ended` how many deliveries ended in it,
    whenever they began, and `run_ns` the sum of how long they ran; `used` the members that were given a request;
    `starts` what returned, by how its instance was had.
    """

    topic: str
    members: int
    busy_peak: int
    waiting: int
    delivered: int
    failed: int
    ended: int
    run_ns: int
    used: tuple[str, ...] = ()
    starts: tuple[StartUsage, ...] = ()


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
    ExecutionManager to decide (topic `request_next_fw`). `output_bytes`: how large its output is, here or not.
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
    output_bytes: int
    payload: bytes


@message(72)
class TaskFinishedAndEffects(Message):
    """LocalQueue → ExecutionManager: as `TaskFinished`, handed to nobody; the last `effects_bytes` of `payload` are the
    task's `TaskEffects`."""

    worker_topic: str
    task_id: str
    execution_id: str
    state: str
    attempt: int
    start_kind: str
    delivered_ns: int
    started_ns: int
    ended_ns: int
    effects_bytes: int
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


@message(59)
class TaskHeartbeat(Message):
    """LocalQueue → ExecutionManager: a task from `AssignTask` goes on, says its handler; told at most ten times a
    second."""

    task_id: str
    execution_id: str


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
