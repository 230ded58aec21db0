"""What the LocalQueue knows of one request, task, worker or topic, and the phases a request or task goes through.

The records change only through the modules beside this one; none outlives what it describes.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from actorfaas.errors import IllegalTransition
from actorfaas.ids import REQUEST_NEXT_FW
from actorfaas.messages import AssignTask, AttachWorker, Message, Publish

if TYPE_CHECKING:
    from actorfaas.core.queue.sessions import Session

STREAM_CREDIT = 16
"""Pieces of a streamed response that may be under way to its caller."""

STREAM_WINDOW_BYTES = 1024 * 1024
"""What of them may be under way besides the piece that comes after; more stays with the worker, which then waits."""

REPLY = "reply"
"""Where the result of a published request goes: to its publisher, whoever that is."""

RESIDENT = "resident"

STAY, RETIRE, RETURN = "stay", "retire", "return"
"""What a member of a topic does after a request, see `DeclareTopic`."""


class Peer(Protocol):
    """Where a message can be sent: a connection, or the link to the ExecutionManager."""

    def tell(self, message: Message, /) -> None: ...


class Close(NamedTuple):
    """An instruction in the outbox: close this connection, because its side broke its rights."""

    reason: str


class Reading(NamedTuple):
    """An instruction in the outbox: leave what this worker sends on its side for now, or read on."""

    goes_on: bool


Instruction = Message | Close | Reading


class Phase(IntEnum):
    """Where a request or task is."""

    NEW = 0
    WAITING = 1  # in its topic's queue
    DELAYED = 2  # failed once; goes back into the queue when its delay is over
    ARMED = 3  # a task whose payload another worker will publish
    LEASED = 4  # a worker has it
    LOST = 5  # its worker's connection ended; how the worker died is awaited
    ENDED = 6


NEW, WAITING, DELAYED, ARMED, LEASED, LOST, ENDED = Phase

_ALLOWED: tuple[tuple[Phase, ...], ...] = (
    (WAITING, ARMED, LEASED, ENDED),  # NEW
    (LEASED, ENDED),  # WAITING
    (WAITING, LEASED, ENDED),  # DELAYED
    (LEASED, ENDED),  # ARMED
    (WAITING, DELAYED, LEASED, LOST, ENDED),  # LEASED
    (WAITING, DELAYED, LEASED, ENDED),  # LOST
    (),  # ENDED
)


class Failure(NamedTuple):
    """Why a request or task has no result; `reason` as in `InvocationFailed`."""

    reason: str
    error_message: str
    error_type: str = ""
    traceback: str = ""
    started_ns: int = 0
    ended_ns: int = 0


class Work:
    """What a worker can be given: a published request or an assigned task."""

    __slots__ = (
        "attempt",
        "credit",
        "deadline_ns",
        "delivered_ns",
        "next_topic",
        "page_in_ns",
        "payload",
        "phase",
        "request_id",
        "start_kind",
        "traceparent",
        "worker",
    )

    def __init__(
        self, request_id: str, deadline_ns: int, attempt: int, next_topic: str, traceparent: str, payload: bytes
    ) -> None:
        self.request_id = request_id
        self.deadline_ns = deadline_ns
        self.attempt = attempt
        self.next_topic = next_topic
        self.traceparent = traceparent
        self.payload = payload
        self.credit = 0
        self.delivered_ns = 0
        self.start_kind = ""
        self.page_in_ns = 0
        self.phase: Phase = NEW
        self.worker: Worker | None = None

    def enter(self, phase: Phase) -> None:
        """Go to `phase`. Raises IllegalTransition."""
        if phase not in _ALLOWED[self.phase]:
            raise IllegalTransition(f"{self.request_id} cannot go from {self.phase.name} to {phase.name}")
        self.phase = phase


class Request(Work):
    """A published request; `attempt` counts its deliveries.

    `publisher` is None once that connection is gone. `abandoned`: the caller no longer wants it, so it runs to its
    end if it runs already, but is not delivered again. `unread`: sizes of the pieces that the caller has not taken
    yet. `is_held_back`: they are too many bytes, so that its worker is not heard.
    """

    __slots__ = (
        "abandoned",
        "accepted_ns",
        "chunks",
        "due_ns",
        "is_held_back",
        "max_attempts",
        "publisher",
        "retry_delay_ns",
        "stream",
        "topic",
        "unread",
        "waiting_since_ns",
    )

    def __init__(self, publisher: Peer, topic: Topic, published: Publish, now: int) -> None:
        super().__init__(
            published.request_id, published.deadline_ns, 0, REPLY, published.traceparent, published.payload
        )
        self.publisher: Peer | None = publisher
        self.topic = topic
        self.max_attempts = published.max_attempts
        self.retry_delay_ns = published.retry_delay_ns
        self.stream = published.stream
        self.accepted_ns = now
        self.waiting_since_ns = now
        self.due_ns = 0
        self.chunks = 0
        self.unread: deque[int] = deque()
        self.is_held_back = False
        self.abandoned = False


class Assignment(Work):
    """A task for one worker.

    `next_topic` is where the worker was told to publish: the reserved worker, or `request_next_fw`. `follower` is the
    worker that gets the result: the same, or one that was reserved after the task had been delivered. `told_ns`: when
    the ExecutionManager was told of a heartbeat.
    """

    __slots__ = (
        "execution_id",
        "follower",
        "index",
        "is_standard",
        "report_payload",
        "state",
        "told_ns",
        "worker_topic",
    )

    def __init__(self, assigned: AssignTask) -> None:
        super().__init__(
            assigned.task_id,
            assigned.deadline_ns,
            assigned.attempt,
            assigned.next_topic or REQUEST_NEXT_FW,
            assigned.traceparent,
            assigned.payload,
        )
        self.follower = self.next_topic
        self.worker_topic = assigned.worker_topic
        self.execution_id = assigned.execution_id
        self.state = assigned.state
        self.index = assigned.index
        self.report_payload = assigned.report_payload
        self.is_standard = assigned.is_standard
        self.told_ns = 0


class Worker:
    """One FunctionWorker's connection and what it is doing.

    `lease`: what it has been given. `armed`: the task whose payload will come. `retiring`: gets no more work and
    exits after what it has. `condemned`: id of the request it overran; it was reported to be killed, is never used
    again, and what it still says about that request is dropped. `exit_detail`: how its process ended, when that is
    known before the end of its connection.
    """

    __slots__ = (
        "app",
        "armed",
        "attached_ns",
        "condemned",
        "deliveries",
        "exit_detail",
        "function_topic",
        "idle_since_ns",
        "lease",
        "leaving",
        "loss_due_ns",
        "next_kind",
        "next_page_in_ns",
        "peer",
        "pid",
        "reported",
        "retiring",
        "returning",
        "session",
        "start_kind",
        "tending",
        "topic",
        "worker_topic",
    )

    def __init__(self, peer: Peer, attached: AttachWorker, now: int) -> None:
        self.peer = peer
        self.worker_topic = attached.worker_topic
        self.function_topic = attached.function_topic
        self.app = attached.app
        self.pid = attached.pid
        self.start_kind = attached.start_kind
        self.attached_ns = now
        self.idle_since_ns = now
        self.deliveries = 0
        self.next_kind = ""
        self.next_page_in_ns = 0
        self.tending = ""
        self.reported = False
        self.retiring = False
        self.returning = False  # it goes back to the ExecutionManager when its request is done
        self.leaving = False  # it said that it ends itself
        self.condemned = ""
        self.exit_detail = ""
        self.loss_due_ns = 0
        self.topic: Topic | None = None
        self.lease: Work | None = None
        self.armed: Assignment | None = None
        self.session: Session | None = None  # once the task it has takes part in one

    @property
    def is_free(self) -> bool:
        """Whether the ExecutionManager may lend it or assign to it."""
        return self.reported and self.lease is None and self.armed is None and not self.is_ending

    @property
    def is_ending(self) -> bool:
        """Whether it gets no further work."""
        return self.retiring or bool(self.condemned) or bool(self.exit_detail)

    @property
    def activity(self) -> str:
        """As in `ConnectedWorker`."""
        if self.lease is not None or self.condemned:
            return "busy"
        if self.armed is not None:
            return "armed"
        return "retiring" if self.is_ending else "idle"


class Topic:
    """A topic that can be published to, the workers lent to it, and what happened since its last usage report.

    `waiting` is first in, first out; `ready` holds idle members, taken last in, first out, so that the longest idle
    stay idle and can be given back or paged out. `held` are accepted requests that are neither waiting nor with a
    worker (delayed, or lost with their worker).
    """

    __slots__ = (
        "busy_peak",
        "delivered",
        "dropped",
        "ended",
        "failed",
        "held",
        "last_demand",
        "members",
        "members_do",
        "name",
        "next_demand_ns",
        "queue_limit",
        "ready",
        "run_ns",
        "served",
        "service_ns",
        "starts",
        "used",
        "waiting",
    )

    def __init__(self, name: str, queue_limit: int, members_do: str) -> None:
        self.name = name
        self.queue_limit = queue_limit
        self.members_do = members_do
        self.dropped = False
        self.waiting: OrderedDict[Request, None] = OrderedDict()
        self.held: dict[Request, None] = {}
        self.members: dict[Worker, None] = {}
        self.ready: dict[Worker, None] = {}
        self.service_ns = 0  # moving average of how long a delivery occupies a member
        self.next_demand_ns = 0
        self.last_demand = (0, 0)  # waiting and members, as last reported
        self.used = False
        self.served: dict[str, None] = {}  # members that were given a request since the last report
        self.busy_peak = 0
        self.delivered = 0
        self.failed = 0
        self.ended = 0
        self.run_ns = 0  # of those that ended
        self.starts: dict[str, tuple[int, int]] = {}  # by start kind: how many calls returned, and their times

    @property
    def busy(self) -> int:
        """How many members have a request."""
        return len(self.members) - len(self.ready)

    def retry_after_s(self) -> float:
        """When a place in the full queue is likely: the time its members need for what waits now."""
        if not self.service_ns or not self.members:
            return 1.0
        drain_ns = self.service_ns * max(1, len(self.waiting)) / len(self.members)
        return min(30.0, max(0.05, drain_ns / 1e9))
