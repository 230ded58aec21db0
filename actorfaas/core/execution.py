"""What is known about one running execution: where it stands, its tasks, its history. Driven by `core.executions`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from actorfaas.core.history import History
from actorfaas.core.pool import Claim
from actorfaas.ids import FRESH_STRATEGIES, PAGED_STRATEGIES
from actorfaas.messages import FunctionSpec, HistoryEvent, TaskFailed
from actorfaas.states.engine import STATES_ALL, STATES_TASK_FAILED, STATES_TIMEOUT, Engine
from actorfaas.states.model import Retrier, StateMachine, Task

NS_PER_S = 1_000_000_000

WORKER_LOST = "WorkerLost"
WORKER_UNAVAILABLE = "WorkerUnavailable"


@dataclass(frozen=True, slots=True)
class FunctionPlan:
    """How executions call one function. `fresh`: its strategy, if not its pool's (fork, cold, swap, ...), else ""."""

    topic: str
    timeout_ns: int
    retriers: tuple[Retrier, ...]
    fresh: str

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


def own_retriers(spec: FunctionSpec) -> tuple[Retrier, ...]:
    """A function's `retries` as the retrier of Task states that have none."""
    if spec.retries <= 0:
        return ()
    return (Retrier((STATES_ALL,), spec.retry_delay_s, spec.retries, 2.0),)


@dataclass(slots=True, eq=False)
class Step:
    """One task: running, waiting for its worker, or reserved ahead.

    `armed`: its worker waits for what the task before publishes. `sent`: its worker has the payload.
    """

    task: Task
    attempt: int
    task_id: str
    claim: Claim
    payload: bytes = b""
    armed: bool = False
    sent: bool = False
    deadline_ns: int = 0
    scheduled_ns: int = 0


@dataclass(slots=True, eq=False)
class Execution:
    """One execution. `current` is the task under way, `ahead` the reservations for those that follow it, in order.

    `given_up`: reservations whose worker may still have got the payload before it heard. `held`: accepted, but not
    begun before it is on disk. Deadlines and wake-ups are 0 where there is none.
    """

    execution_id: str
    plan: Plan
    engine: Engine
    history: History
    traceparent: str
    strategy: str
    deadline_ns: int
    held: bool
    input: bytes = b""
    current: Step | None = None
    ahead: list[Step] = field(default_factory=list)
    given_up: dict[str, Step] = field(default_factory=dict)
    parked: tuple[Task, int, bytes] | None = None
    task_count: int = 0
    platform_losses: int = 0
    last_ended_ns: int = 0
    wake_ns: int = 0
    alarm_ns: int = 0
    ended: bool = False

    def find(self, task_id: str) -> int:
        """The position among `ahead` of a task, or -1."""
        return next((i for i, step in enumerate(self.ahead) if step.task_id == task_id), -1)

    def timeout_ns(self, task: Task) -> int:
        """The time limit of one attempt."""
        return int(task.timeout_s * NS_PER_S) if task.timeout_s else self.plan.functions[task.function].timeout_ns

    def limited(self, deadline_ns: int) -> int:
        """A deadline, but not after the execution's own."""
        return min(deadline_ns, self.deadline_ns) if self.deadline_ns else deadline_ns

    def due_ns(self) -> int:
        """When something must be looked at next; 0: nothing is timed."""
        step_ns = self.current.deadline_ns if self.current is not None and self.current.sent else 0
        timed = (step_ns, self.wake_ns, self.deadline_ns, self.history.due_ns)
        return min((ns for ns in timed if ns), default=0)


def error_of(failed: TaskFailed) -> tuple[str, str]:
    """A failed task's error name and cause in the States Language."""
    match failed.reason:
        case "timeout":
            return STATES_TIMEOUT, failed.error_message or "the time limit passed"
        case "worker_lost":
            return WORKER_LOST, failed.error_message or "the worker ended before it returned"
        case "unavailable" | "no_topic" | "stopping" | "cancelled":
            return failed.error_type or WORKER_UNAVAILABLE, failed.error_message or failed.reason
        case _:
            return failed.error_type or STATES_TASK_FAILED, failed.error_message


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a journal ends. `state` "": after the last state, `output` is the result.

    `entered_at_ms`: when a Wait state that was under way had been entered, else 0. `failures`: the attempts at a Task
    state that failed, so that those before the restart count. `outcome`: status, error and cause of an execution whose
    end is journalled but not its result.
    """

    state: str
    output: bytes
    last_seq: int
    entered_at_ms: int
    failures: tuple[HistoryEvent, ...]
    outcome: tuple[str, str, str] | None


_ENDS = {
    "ExecutionSucceeded": "succeeded",
    "ExecutionFailed": "failed",
    "ExecutionTimedOut": "timed_out",
    "ExecutionAborted": "cancelled",
}


def resume_point(machine: StateMachine, events: Iterable[HistoryEvent], input_: bytes) -> ResumePoint:
    """Continue after the last state whose output is journalled."""
    state, output, last_seq, entered_at_ms = machine.start_at, input_, 0, 0
    failures: list[HistoryEvent] = []
    outcome = None
    for event in events:
        last_seq = max(last_seq, event.seq)
        if event.type in _ENDS:
            outcome = (_ENDS[event.type], event.error_type, event.error_message)
        elif event.type == "TaskSucceeded" or (event.type.endswith("StateExited") and event.type != "TaskStateExited"):
            output = event.payload
            state = getattr(machine.states[event.state], "next", "")
            entered_at_ms, failures = 0, []
        elif event.type == "WaitStateEntered" and event.state == state:
            entered_at_ms = event.at_ms
        elif event.type in ("TaskFailed", "TaskTimedOut") and event.state == state:
            failures.append(event)
    return ResumePoint(state, output, last_seq, entered_at_ms, tuple(failures), outcome)
