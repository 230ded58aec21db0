"""One execution of a state machine: an event and `now` go in, instructions come out.

Owns where the execution stands, its retries and its result. Leaves to the caller: who runs a task, timers, the
journal, the execution's own time limit. Payloads are opaque bytes. Errors carry the names of the States Language
(`States.Timeout`, `States.TaskFailed`, `States.ALL`) or the type the handler raised.

The caller may let a task's output go directly to the next task (`StateMachine.direct_successor`); it then says so
with `task_succeeded(handed_on=True)`, and the engine follows without asking for that task to be run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actorfaas.states.errors import STATES_ALL as STATES_ALL
from actorfaas.states.errors import STATES_DATA_LIMIT as STATES_DATA_LIMIT
from actorfaas.states.errors import STATES_RUNTIME as STATES_RUNTIME
from actorfaas.states.errors import STATES_TASK_FAILED as STATES_TASK_FAILED
from actorfaas.states.errors import STATES_TIMEOUT as STATES_TIMEOUT
from actorfaas.states.model import Fail, Pass, Retrier, State, StateMachine, Succeed, Task, Wait
from actorfaas.states.retries import delay_s, matches

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RunTask:
    """Instruction: call `function` with `payload`; answer with `task_succeeded` or `task_failed`."""

    task: Task
    attempt: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Sleep:
    """Instruction: call `timer_fired` at `until_ns`."""

    state: str
    until_ns: int


@dataclass(frozen=True, slots=True)
class Entered:
    """Instruction: record that a state was entered. `kind` is its type."""

    state: str
    kind: str


@dataclass(frozen=True, slots=True)
class Exited:
    """Instruction: record that a state ended with `payload` (None: the caller has not seen it)."""

    state: str
    kind: str
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class Finish:
    """Instruction, the last one: the execution ended. `error` is "" exactly when it succeeded."""

    error: str
    cause: str
    payload: bytes


Instruction = RunTask | Sleep | Entered | Exited | Finish


class Engine:
    """Where one execution stands. Every method returns what to do now, in order."""

    __slots__ = ("_machine", "_payload", "_retries", "_tries", "attempt", "ended", "state")

    def __init__(self, machine: StateMachine, retries: Mapping[str, tuple[Retrier, ...]]) -> None:
        """`retries`: for each function, the retriers of Task states that declare none."""
        self._machine = machine
        self._retries = retries
        self._payload: bytes | None = b""
        self._tries: dict[int, int] = {}
        self.state = ""
        self.attempt = 0
        self.ended = False

    def begin(self, payload: bytes, now_ns: int) -> list[Instruction]:
        """Start at the first state."""
        return self.resume(self._machine.start_at, payload, now_ns)

    def resume(self, state: str, payload: bytes, now_ns: int) -> list[Instruction]:
        """Start at any state, as if the one before had just ended with `payload`."""
        done: list[Instruction] = []
        self._enter(state, payload, now_ns, done)
        return done

    def conclude(self, payload: bytes) -> list[Instruction]:
        """Start after the last state: nothing is left but to finish with `payload`."""
        return [self._finish("", "", payload)]

    def task_succeeded(self, payload: bytes | None, now_ns: int, *, handed_on: bool) -> list[Instruction]:
        """The running task returned. `handed_on`: the next task has the output already; only then may it be None."""
        task = self._task()
        done: list[Instruction] = [Exited(task.name, "Task", payload)]
        if handed_on:
            following = self._machine.direct_successor(task.name)
            if following is None:
                raise ValueError(f"state {task.name!r} has no successor that its output could be handed to")
            self._stand_at(following, payload)
            done.append(Entered(following.name, "Task"))
        elif payload is None:
            raise ValueError(f"the output of state {task.name!r} is missing")
        else:
            self._follow(task.next, payload, now_ns, done)
        return done

    def task_failed(self, error: str, cause: str, now_ns: int) -> list[Instruction]:
        """The running task failed: try again as its retriers say, else fail the execution."""
        task = self._task()
        retriers = self._retries.get(task.function, ()) if task.retry is None else task.retry
        for position, retrier in enumerate(retriers):
            if not matches(retrier.error_equals, error):
                continue
            tries = self._tries.get(position, 0)
            if tries >= retrier.max_attempts or self._payload is None:
                break
            self._tries[position] = tries + 1
            self.attempt += 1
            return [Sleep(task.name, now_ns + int(delay_s(retrier.interval_s, retrier.backoff_rate, tries) * NS_PER_S))]
        return [self._finish(error, cause, b"")]

    def run_again(self) -> list[Instruction]:
        """The running task was lost through no fault of its own: the same attempt once more, without delay."""
        task = self._task()
        if self._payload is None:
            return [self._finish(STATES_TASK_FAILED, f"the input of state {task.name!r} was not kept", b"")]
        return [RunTask(task, self.attempt, self._payload)]

    def timer_fired(self, now_ns: int) -> list[Instruction]:
        """A `Sleep` is over."""
        state = self._machine.states[self.state]
        payload = self._payload or b""
        if isinstance(state, Task):
            return [RunTask(state, self.attempt, payload)]
        done: list[Instruction] = [Exited(state.name, type(state).__name__, payload)]
        if not isinstance(state, Wait):
            raise ValueError(f"state {state.name!r} waits for no timer")
        self._follow(state.next, payload, now_ns, done)
        return done

    def wait_again(self, entered_ns: int) -> list[Instruction]:
        """After `resume` at a Wait state that had been entered at `entered_ns`: it waits no longer for that."""
        state = self._machine.states[self.state]
        if not isinstance(state, Wait):
            raise ValueError(f"state {state.name!r} does not wait")
        return [Sleep(state.name, entered_ns + int(state.seconds * NS_PER_S))]

    @property
    def has_input(self) -> bool:
        """Whether the running state's input is known, so that it can be tried again."""
        return self._payload is not None

    def _task(self) -> Task:
        state = self._machine.states.get(self.state)
        if self.ended or not isinstance(state, Task):
            raise ValueError(f"no task is running (at state {self.state!r})")
        return state

    def _stand_at(self, state: State, payload: bytes | None) -> None:
        self.state = state.name
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
            done.append(Entered(name, type(state).__name__))
            match state:
                case Task():
                    done.append(RunTask(state, 1, payload))
                    return
                case Wait():
                    done.append(Sleep(name, now_ns + int(state.seconds * NS_PER_S)))
                    return
                case Succeed():
                    done += [Exited(name, "Succeed", payload), self._finish("", "", payload)]
                    return
                case Fail():
                    done.append(self._finish(state.error or STATES_TASK_FAILED, state.cause, b""))
                    return
                case Pass():
                    payload = payload if state.result is None else state.result
                    done.append(Exited(name, "Pass", payload))
                    if not state.next:
                        done.append(self._finish("", "", payload))
                        return
                    name = state.next

    def _finish(self, error: str, cause: str, payload: bytes) -> Finish:
        self.ended = True
        return Finish(error, cause, payload)
