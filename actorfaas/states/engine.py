"""One execution of a state machine: an event and `now` go in, instructions come out.

Owns where the execution stands, its retries and its result. Leaves to the caller: who runs a task, timers, the
journal, the execution's own time limit. Payloads are opaque bytes. Errors carry the names of the States Language
(`States.Timeout`, `States.TaskFailed`, `States.ALL`) or the type the handler raised.

An execution is a tree of branches, numbered in the order in which they begin; the root is number 0. Each has at most
one thing outstanding: a task, a timer, or the branches below it. Everything is addressed by the branch. Time is in
nanoseconds since 1970, in whole milliseconds, so that events that were written down give the same when they are given
again.

The caller may let a task's output go directly to the next task (`StateMachine.direct_successor`); it then says so
with `task_succeeded(handed_on=True)`, and the engine follows without asking for that task to be run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actorfaas.states.context import ExecutionContext
from actorfaas.states.errors import STATES_ALL as STATES_ALL
from actorfaas.states.errors import STATES_DATA_LIMIT as STATES_DATA_LIMIT
from actorfaas.states.errors import STATES_RUNTIME as STATES_RUNTIME
from actorfaas.states.errors import STATES_TASK_FAILED as STATES_TASK_FAILED
from actorfaas.states.errors import STATES_TIMEOUT as STATES_TIMEOUT
from actorfaas.states.model import Fail, Pass, Retrier, State, StateMachine, Succeed, Task, Wait
from actorfaas.states.retries import delay_s, matches

NS_PER_S = 1_000_000_000

ROOT = 0
"""The branch that an execution begins with."""


@dataclass(frozen=True, slots=True)
class RunTask:
    """Instruction: call the task's function with `payload`; answer with `task_succeeded` or `task_failed`.

    `timeout_s`: of this attempt, 0: the function's own. `heartbeat_s`: 0: none is asked for.
    """

    branch: int
    task: Task
    attempt: int
    payload: bytes
    timeout_s: float = 0.0
    heartbeat_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sleep:
    """Instruction: call `timer_fired` at `until_ns`."""

    branch: int
    state: str
    until_ns: int


@dataclass(frozen=True, slots=True)
class Opened:
    """Instruction: a branch of a Parallel state, or an iteration of a Map state, begins below `parent`."""

    branch: int
    parent: int


@dataclass(frozen=True, slots=True)
class Closed:
    """Instruction: the branch is over, or given up. What is outstanding for it is to be dropped."""

    branch: int


@dataclass(frozen=True, slots=True)
class Entered:
    """Instruction: record that a state was entered. `kind` is its type, `payload` its input (None: not known)."""

    branch: int
    state: str
    kind: str
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class Exited:
    """Instruction: record that a state ended with `payload` (None: the caller has not seen it). `next`: the state that
    follows, or ""."""

    branch: int
    state: str
    kind: str
    payload: bytes | None
    next: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Instruction: record that a state failed for good. `caught`: one of its catchers goes on from there."""

    branch: int
    state: str
    kind: str
    error: str
    cause: str
    caught: bool


@dataclass(frozen=True, slots=True)
class Finish:
    """Instruction, the last one: the execution ended. `error` is "" exactly when it succeeded."""

    error: str
    cause: str
    payload: bytes


Instruction = RunTask | Sleep | Opened | Closed | Entered | Exited | Failed | Finish


class Engine:
    """Where one execution stands. Every method returns what to do now, in order."""

    __slots__ = ("_context", "_machine", "_payload", "_retries", "_state", "_tries", "_until_ns", "attempt", "ended")

    def __init__(
        self, machine: StateMachine, *, retries: Mapping[str, tuple[Retrier, ...]], context: ExecutionContext
    ) -> None:
        """`retries`: for each function, the retriers of Task states that declare none."""
        self._context = context
        self._machine = machine
        self._retries = retries
        self._payload: bytes | None = b""
        self._tries: dict[int, int] = {}
        self._until_ns: int | None = None
        self._state = ""
        self.attempt = 0
        self.ended = False

    def begin(self, payload: bytes, now_ns: int) -> list[Instruction]:
        """Start at the first state."""
        done: list[Instruction] = []
        self._enter(self._machine.start_at, payload, now_ns, done)
        return done

    def task_succeeded(self, branch: int, payload: bytes | None, now_ns: int, *, handed_on: bool) -> list[Instruction]:
        """The branch's task returned. `handed_on`: the next task has the output already; only then may it be None."""
        task = self._task(branch)
        done: list[Instruction] = [Exited(branch, task.name, "Task", payload, task.next)]
        if handed_on:
            following = self._machine.direct_successor(task.name)
            if following is None:
                raise ValueError(f"state {task.name!r} has no successor that its output could be handed to")
            self._stand_at(following, payload)
            done.append(Entered(branch, following.name, "Task", payload))
        elif payload is None:
            raise ValueError(f"the output of state {task.name!r} is missing")
        else:
            self._follow(task.next, payload, now_ns, done)
        return done

    def task_failed(self, branch: int, error: str, cause: str, now_ns: int) -> list[Instruction]:
        """The branch's task failed: try again as its retriers say, else fail the execution."""
        task = self._task(branch)
        retriers = self._retries.get(task.function, ()) if task.retry is None else task.retry
        for position, retrier in enumerate(retriers):
            if not matches(retrier.error_equals, error):
                continue
            tries = self._tries.get(position, 0)
            if tries >= retrier.max_attempts or self._payload is None:
                break
            self._tries[position] = tries + 1
            self.attempt += 1
            wait_s = delay_s(retrier.interval_s, retrier.backoff_rate, tries)
            return [self._sleep(branch, now_ns + int(wait_s * NS_PER_S))]
        return [self._finish(error, cause, b"")]

    def run_again(self, branch: int, now_ns: int) -> list[Instruction]:
        """The branch's task was lost through no fault of its own: the same attempt once more, without delay."""
        task = self._task(branch)
        if self._payload is None:
            return [self._finish(STATES_TASK_FAILED, f"the input of state {task.name!r} was not kept", b"")]
        return [RunTask(branch, task, self.attempt, self._payload, task.timeout_s)]

    def timer_fired(self, branch: int, now_ns: int) -> list[Instruction]:
        """A `Sleep` is over."""
        state = self._machine.states[self._state]
        payload = self._payload or b""
        self._until_ns = None
        if isinstance(state, Task):
            return [RunTask(branch, state, self.attempt, payload, state.timeout_s)]
        if not isinstance(state, Wait):
            raise ValueError(f"state {state.name!r} waits for no timer")
        done: list[Instruction] = [Exited(branch, state.name, "Wait", payload, state.next)]
        self._follow(state.next, payload, now_ns, done)
        return done

    def outstanding(self, now_ns: int) -> list[Instruction]:
        """What is under way in each branch, as the instructions that began it. Changes nothing."""
        if self.ended:
            return []
        if self._until_ns is not None:
            return [Sleep(ROOT, self._state, self._until_ns)]
        task = self._task(ROOT)
        return [RunTask(ROOT, task, self.attempt, self._payload or b"", task.timeout_s)]

    def has_input(self, branch: int) -> bool:
        """Whether the input of the branch's state is known, so that it can be tried again."""
        return self._payload is not None

    def state_of(self, branch: int) -> str:
        """The name of the state that the branch stands at."""
        return self._state

    def machine_of(self, branch: int) -> StateMachine:
        """The machine whose states the branch goes through."""
        return self._machine

    def _task(self, branch: int) -> Task:
        state = self._machine.states.get(self._state)
        if self.ended or not isinstance(state, Task):
            raise ValueError(f"no task is running (at state {self._state!r})")
        return state

    def _stand_at(self, state: State, payload: bytes | None) -> None:
        self._state = state.name
        self.attempt = 1
        self._payload = payload
        if self._tries:
            self._tries = {}

    def _follow(self, name: str, payload: bytes, now_ns: int, done: list[Instruction]) -> None:
        if name:
            self._enter(name, payload, now_ns, done)
        else:
            done.append(self._finish("", "", payload))

    def _enter(self, name: str, payload: bytes, now_ns: int, done: list[Instruction]) -> None:
        while True:
            state = self._machine.states[name]
            self._stand_at(state, payload)
            done.append(Entered(ROOT, name, type(state).__name__, payload))
            match state:
                case Task():
                    done.append(RunTask(ROOT, state, 1, payload, state.timeout_s))
                    return
                case Wait():
                    done.append(self._sleep(ROOT, now_ns + int(state.seconds * NS_PER_S)))
                    return
                case Succeed():
                    done += [Exited(ROOT, name, "Succeed", payload, ""), self._finish("", "", payload)]
                    return
                case Fail():
                    done.append(self._finish(state.error or STATES_TASK_FAILED, state.cause, b""))
                    return
                case Pass():
                    payload = payload if state.result is None else state.result
                    done.append(Exited(ROOT, name, "Pass", payload, state.next))
                    if not state.next:
                        done.append(self._finish("", "", payload))
                        return
                    name = state.next

    def _sleep(self, branch: int, until_ns: int) -> Sleep:
        self._until_ns = until_ns
        return Sleep(branch, self._state, until_ns)

    def _finish(self, error: str, cause: str, payload: bytes) -> Finish:
        self.ended = True
        return Finish(error, cause, payload)
