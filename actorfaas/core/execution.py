"""What is known about one running execution: where it stands, its tasks, its history. Driven by `core.executions`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from actorfaas.core.awaiting import Awaited, Recalled
from actorfaas.core.effects import Effect
from actorfaas.core.events import Place, Traced
from actorfaas.core.history import History
from actorfaas.core.lookahead import Habits
from actorfaas.core.terms import Terms
from actorfaas.core.worker import Claim
from actorfaas.ids import FRESH_STRATEGIES, PAGED_STRATEGIES, function_topic
from actorfaas.messages import FunctionSpec, InvocationFailed, KeptMessage, TaskFailed
from actorfaas.states.adding import Added
from actorfaas.states.engine import STATES_ALL, STATES_TASK_FAILED, STATES_TIMEOUT, Engine, RunTask
from actorfaas.states.model import Retrier, StateMachine, Task

NS_PER_S = 1_000_000_000

WORKER_LOST = "WorkerLost"
WORKER_UNAVAILABLE = "WorkerUnavailable"


@dataclass(frozen=True, slots=True)
class FunctionPlan:
    """How executions call one function. `fresh`: its strategy, if not its pool's (fork, cold, swap, ...), else "".
    `memory_mb`: what it declares, for what its calls are billed by."""

    topic: str
    timeout_ns: int
    retriers: tuple[Retrier, ...]
    fresh: str
    memory_mb: int = 0

    def fresh_by(self, strategy: str) -> str:
        """The strategy by which a task gets an instance of its own or one that was out, or ""; the execution's wins."""
        if strategy in FRESH_STRATEGIES | PAGED_STRATEGIES:
            return strategy
        return "" if strategy == "resident" else self.fresh


@dataclass(frozen=True, slots=True)
class Plan:
    """What one name of one version runs: a machine and the functions it calls. The same for all its executions."""

    name: str
    kind: str
    app: str
    version: int
    machine: StateMachine
    functions: Mapping[str, FunctionPlan]
    retriers: Mapping[str, tuple[Retrier, ...]]
    habits: Habits = field(default_factory=Habits)

    def function(self, name: str) -> FunctionPlan:
        """How a function is called; one that the application has not is not served."""
        known = self.functions.get(name)
        return known or FunctionPlan(function_topic(name, self.version), NS_PER_S, (), "")


def own_retriers(spec: FunctionSpec) -> tuple[Retrier, ...]:
    """A function's `retries` as the retrier of Task states that have none."""
    if spec.retries <= 0:
        return ()
    return (Retrier((STATES_ALL,), spec.retry_delay_s, spec.retries, 2.0),)


@dataclass(slots=True, eq=False)
class Step:
    """One task: running, waiting for its worker, or reserved ahead.

    `armed`: its worker waits for what the task before publishes. `sent`: its worker has the payload. `heartbeat_ns`:
    how long its handler may be silent, 0: for ever. `memory_mb`: what its function declares. `span_id`: the task
    in the execution's trace, "" where there is none.
    """

    task: Task
    attempt: int
    task_id: str
    claim: Claim
    timeout_ns: int
    heartbeat_ns: int
    memory_mb: int = 0
    span_id: str = ""
    payload: bytes = b""
    armed: bool = False
    sent: bool = False
    deadline_ns: int = 0
    scheduled_ns: int = 0
    silent_until_ns: int = 0

    def begin(self, now_ns: int) -> None:
        """Its worker has it."""
        self.armed, self.sent = False, True
        self.payload = b""
        self.goes_on(now_ns)

    def goes_on(self, now_ns: int) -> None:
        """Its handler was heard of."""
        self.silent_until_ns = now_ns + self.heartbeat_ns if self.heartbeat_ns else 0

    @property
    def traced(self) -> Traced:
        """What the history says of it for metering and traces."""
        return self.memory_mb, self.span_id

    def due_ns(self) -> int:
        """When it will have taken too long, or been silent for too long."""
        return min(self.deadline_ns, self.silent_until_ns) if self.silent_until_ns else self.deadline_ns


@dataclass(frozen=True, slots=True)
class Commit:
    """A task that has returned, and whose changes of data are being committed: in which branch, when, with what;
    `added`: the states to run next, with their inputs; `received`: the messages that it received."""

    lane: Lane
    at_ms: int
    result: bytes
    added: tuple[Added, ...]
    received: tuple[KeptMessage, ...]


class Deferred(NamedTuple):
    """What happened while changes were being committed, to be called with the time. `is_asked`: somebody waits for its
    answer, which is given also when the execution ends."""

    event: Callable[[int], None]
    is_asked: bool


@dataclass(slots=True, eq=False)
class Lane:
    """One branch of an execution, below the branch `parent` (-1: the root). `current` is the task under way, `ahead`
    the reservations for those that follow it, in order; `machine` says what can follow.

    `prospects`: workers for what may follow those, after a computation; whether they were looked for (`is_foreseen`).
    `children`: branches open below it; `unopened`: iterations of its Map state that have yet to begin. `index`: which
    branch or item it is, -1 for the root. `given_up`: reservations whose worker may still have got the payload before
    it heard. `awaited`: an attempt that is answered apart, also while its function runs; `recalled`: what the journal
    told of the attempt that comes next. `parked`: a task that waits for the journal. `ticket`: by which a store was
    `asked` for "items", or to write "results". `wake_ns` and `alarm_ns` are 0 where there is none.
    """

    branch: int
    parent: int
    index: int
    machine: StateMachine
    current: Step | None = None
    ahead: list[Step] = field(default_factory=list)
    prospects: list[Step] = field(default_factory=list)
    is_foreseen: bool = False
    children: int = 0
    unopened: int = 0
    given_up: dict[str, Step] = field(default_factory=dict)
    awaited: Awaited | None = None
    recalled: Recalled | None = None
    parked: RunTask | None = None
    ticket: str = ""
    asked: str = ""
    platform_losses: int = 0
    last_ended_ns: int = 0
    wake_ns: int = 0
    alarm_ns: int = 0

    def find(self, task_id: str) -> int:
        """The position among `ahead` of a task, or -1."""
        return next((i for i, step in enumerate(self.ahead) if step.task_id == task_id), -1)

    def position(self, claim: Claim) -> int:
        """The position among `ahead` of a claim, or -1."""
        return next((i for i, step in enumerate(self.ahead) if step.claim is claim), -1)

    @property
    def place(self) -> Place:
        """Where its events are, for the history."""
        return self.branch, self.index

    def forget_prospect(self, claim: Claim) -> None:
        """A worker that was brought in for what may follow is not to be had any more."""
        self.prospects = [step for step in self.prospects if step.claim is not claim]

    def due_ns(self) -> int:
        """When something must be looked at next; 0: nothing is timed."""
        step = self.current
        due_ns = self.wake_ns if self.awaited is None else self.awaited.due_ns()
        if step is None or not step.sent:
            return due_ns
        return min(step.due_ns(), due_ns) if due_ns else step.due_ns()


@dataclass(slots=True, eq=False)
class Execution:
    """One execution: its branches that are under way (`lanes`, by number) and what they share.

    `due`: the prospects of the task that has just ended, while it is decided what follows. `held`: accepted, but not
    begun before it is on disk. `commit`: the changes of data that are being committed; what happens meanwhile is in
    `deferred`. `once_stored`: what is to be done once the history is on disk up to a number. `has_session`: its
    functions send each other messages. `messages`: those of a standard execution that no task has received, by number;
    `taken`: the numbers of those that a task received which has just returned. `is_warned`: it is noted that its data
    is large. Deadlines and alarms are 0 where there is none.
    """

    execution_id: str
    plan: Plan
    engine: Engine
    history: History
    terms: Terms
    traceparent: str
    strategy: str
    deadline_ns: int
    held: bool
    input: bytes = b""
    lanes: dict[int, Lane] = field(default_factory=dict)
    due: list[Step] = field(default_factory=list)
    commit: Commit | None = None
    deferred: deque[Deferred] = field(default_factory=deque)
    once_stored: deque[tuple[int, Effect]] = field(default_factory=deque)
    has_session: bool = False
    messages: dict[int, KeptMessage] = field(default_factory=dict)
    taken: dict[str, tuple[int, ...]] = field(default_factory=dict)
    is_warned: bool = False
    alarm_ns: int = 0
    ended: bool = False

    def lane_of(self, task_id: str) -> Lane | None:
        """The branch that a task belongs to, if it is under way."""
        return self.lanes.get(int(task_id.rsplit(".", 2)[1]))

    def open(self, branch: int, parent: int, index: int, machine: StateMachine) -> Lane:
        """A branch begins. The engine may know it no more: what happens at once may be its end, too."""
        lane = self.lanes[branch] = Lane(branch, parent, index, machine)
        above = self.lanes.get(parent)
        if above is not None:
            above.children += 1
            above.unopened -= 1
            lane.last_ended_ns = above.last_ended_ns
        return lane

    def close(self, branch: int) -> Lane:
        """A branch is over. What follows it began when the last of its tasks had ended."""
        lane = self.lanes.pop(branch)
        above = self.lanes.get(lane.parent)
        if above is not None:
            above.children -= 1
            above.last_ended_ns = max(above.last_ended_ns, lane.last_ended_ns)
        return lane

    def limited(self, deadline_ns: int) -> int:
        """A deadline, but not after the execution's own."""
        return min(deadline_ns, self.deadline_ns) if self.deadline_ns else deadline_ns

    def due_ns(self) -> int:
        """When something of the whole must be looked at next; 0: nothing is timed."""
        if not (self.deadline_ns and self.history.due_ns):
            return self.deadline_ns or self.history.due_ns
        return min(self.deadline_ns, self.history.due_ns)


def error_of(failed: TaskFailed | InvocationFailed) -> tuple[str, str]:
    """A failed task's (or call's) error name and cause in the States Language."""
    match failed.reason:
        case "timeout":
            return STATES_TIMEOUT, failed.error_message or "the time limit passed"
        case "worker_lost":
            return WORKER_LOST, failed.error_message or "the worker ended before it returned"
        case "unavailable" | "no_topic" | "stopping" | "cancelled":
            return failed.error_type or WORKER_UNAVAILABLE, failed.error_message or failed.reason
        case _:
            return failed.error_type or STATES_TASK_FAILED, failed.error_message
