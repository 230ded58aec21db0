"""One execution of a state machine: an event and `now` go in, instructions come out.

Owns what happens when; what each state does, its children and its failures are in `states.steps`, `states.gathering`
and `states.failures`. Leaves to the caller: who runs a task, timers, the journal, the execution's own time limit.
Payloads are JSON and stay opaque bytes wherever nothing computes with them. Errors carry the names of the States
Language (`States.Timeout`, `States.TaskFailed`, ...) or the type the handler raised.

An execution is a tree of branches, numbered in the order in which they begin; the root is number 0. Each has at most
one thing outstanding: a request, a timer, or the branches below it. Everything is addressed by the branch.

Deterministic: the same events, with the same times, give the same instructions and the same state. Time is in
nanoseconds since 1970, in whole milliseconds, so that events that were written down give the same when they are given
again.

The caller may let a task's output go directly to the next task (`StateMachine.direct_successor`); it then says so
with `task_succeeded(handed_on=True)`, and the engine follows without asking for that task to be run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from actorfaas.states.adding import Added, follow
from actorfaas.states.branches import Branch
from actorfaas.states.context import ExecutionContext
from actorfaas.states.document import Document
from actorfaas.states.errors import STATES_ALL as STATES_ALL
from actorfaas.states.errors import STATES_DATA_LIMIT as STATES_DATA_LIMIT
from actorfaas.states.errors import STATES_RUNTIME as STATES_RUNTIME
from actorfaas.states.errors import STATES_TASK_FAILED as STATES_TASK_FAILED
from actorfaas.states.errors import STATES_TIMEOUT as STATES_TIMEOUT
from actorfaas.states.errors import StatedFailure, StatesError, too_deep
from actorfaas.states.failures import fail
from actorfaas.states.gathering import child_succeeded, collect, start_map, start_parallel
from actorfaas.states.instructions import Closed as Closed
from actorfaas.states.instructions import Entered as Entered
from actorfaas.states.instructions import Exited as Exited
from actorfaas.states.instructions import Failed as Failed
from actorfaas.states.instructions import Finish as Finish
from actorfaas.states.instructions import Instruction as Instruction
from actorfaas.states.instructions import Noted as Noted
from actorfaas.states.instructions import Opened as Opened
from actorfaas.states.instructions import ReadItems as ReadItems
from actorfaas.states.instructions import Recorded as Recorded
from actorfaas.states.instructions import RunTask as RunTask
from actorfaas.states.instructions import Sleep as Sleep
from actorfaas.states.instructions import WriteResults as WriteResults
from actorfaas.states.map_data import begin, results_written
from actorfaas.states.model import (
    Choice,
    Fail,
    Map,
    Parallel,
    Pass,
    Retrier,
    State,
    StateMachine,
    Succeed,
    Task,
    Wait,
)
from actorfaas.states.redriving import restore, tell
from actorfaas.states.run import Run
from actorfaas.states.scope import Json
from actorfaas.states.steps import (
    finish,
    finish_task,
    lost_input,
    start_choice,
    start_fail,
    start_pass,
    start_succeed,
    start_task,
    start_wait,
)

Request = RunTask | ReadItems | WriteResults
"""What a branch can have asked for."""

ROOT = 0
"""The branch that an execution begins with."""

START: dict[type[State], Callable[[Run, Branch, Json], None]] = {
    Task: start_task,
    Pass: start_pass,
    Choice: start_choice,
    Wait: start_wait,
    Succeed: start_succeed,
    Fail: start_fail,
    Parallel: start_parallel,
    Map: start_map,
}
"""What each type of state does when it is entered."""


class Engine:
    """Where one execution stands. Every method returns what to do now, in order."""

    __slots__ = ("_run",)

    def __init__(
        self,
        machine: StateMachine,
        *,
        retries: Mapping[str, tuple[Retrier, ...]],
        context: ExecutionContext,
        max_data_bytes: int = 0,
        token_key: bytes = b"",
    ) -> None:
        """`retries`: for each function, the retriers of Task states that declare none. `max_data_bytes`: how large
        a result or output may be (0: any; 262,144 on AWS). `token_key`: what makes task tokens unguessable; without it
        they follow from the execution's id."""
        self._run = Run(machine, retries, context, max_data_bytes, token_key)

    # --- events ----------------------------------------------------------------------------------------------------

    def begin(self, payload: bytes, now_ns: int) -> list[Instruction]:
        """Start at the first state."""
        run = self._run
        run.input = Document(payload)
        root = run.branches[ROOT]
        root.text = payload
        self._event(now_ns)
        self._attempt(root, self._walk)
        return self._settled()

    def task_succeeded(
        self, branch: int, payload: bytes | None, now_ns: int, *, handed_on: bool, added: Sequence[Added] = ()
    ) -> list[Instruction]:
        """What was asked for (RunTask, WriteResults) is done. `handed_on`: the next task has the output already; only
        then may it be None. `added`: the states that it had run next, with their inputs."""
        one = self._waiting(branch, "task", "writer")
        self._event(now_ns)
        if handed_on:
            self._hand_on(one, payload)
        elif payload is None:
            raise ValueError(f"the output of state {one.state.name!r} is missing")
        elif added:
            self._added(one, payload, added)
        else:
            self._done(one, payload)
        return self._settled()

    def items_read(self, branch: int, items: Sequence[Json], now_ns: int) -> list[Instruction]:
        """What `ReadItems` asked for is there."""
        one = self._waiting(branch, "reader")
        gathering = one.gathering
        if gathering is None:
            raise ValueError(f"state {one.state.name!r} reads no items")
        self._event(now_ns)
        one.request = None
        begin(self._run, one, gathering, items)
        return self._settled()

    def task_failed(self, branch: int, error: str, cause: str, now_ns: int) -> list[Instruction]:
        """What was asked for failed: try again as the retriers say, else see whether it is caught."""
        one = self._waiting(branch, "task", "reader", "writer")
        self._event(now_ns)
        one.history.count += 1
        fail(self._run, one, StatedFailure(error, cause))
        return self._settled()

    def timer_fired(self, branch: int, now_ns: int) -> list[Instruction]:
        """A `Sleep` is over."""
        one = self._waiting(branch, "timer", "retry")
        self._event(now_ns)
        self._attempt(one, self._wake)
        return self._settled()

    def run_again(self, branch: int, now_ns: int) -> list[Instruction]:
        """What was asked for was lost through no fault of its own: the same attempt once more, without delay."""
        one = self._waiting(branch, "task", "reader", "writer")
        self._event(now_ns)
        self._ask_again(one)
        return self._settled()

    def _ask_again(self, branch: Branch) -> None:
        request = self._request_of(branch)
        if request is None:
            fail(self._run, branch, lost_input(branch))
        else:
            self._run.done.append(request)

    def outstanding(self, now_ns: int) -> list[Instruction]:
        """What is under way, to be done (again) now: after a replay, whose instructions were nobody's."""
        instructions: list[Instruction] = []
        for number in sorted(self._run.branches):
            one = self._run.branches.get(number)
            if one is None:
                continue  # given up meanwhile
            if one.waits in ("timer", "retry"):
                instructions.append(Sleep(number, one.state.name, one.until_ns))
            elif one.waits in ("task", "reader", "writer"):
                instructions += self.run_again(number, now_ns)
        return instructions

    def redrive(self, now_ns: int) -> list[Instruction]:
        """Go on after an end that was no success: what failed begins again with its first attempt, what was given up
        because of that is done again, results are kept. Branches that are under way again are `Opened` once more. An
        execution that was ended from outside goes on where it stood. Raises ValueError after a success."""
        run = self._run
        wreck = run.wreck
        if run.ended and wreck is None:
            raise ValueError("the execution has succeeded")
        self._event(now_ns)
        run.go_on()
        leaves = restore(run, wreck)
        tell(run, leaves)
        for one in [one for one in run.branches.values() if one.waits in ("task", "reader", "writer")]:
            if run.ended:
                break
            if isinstance(one.request, RunTask) and one.request.token:
                self._attempt(one, self._begin_again)  # what the token was given to may be over: it gets another one
            else:
                self._ask_again(one)
        for leaf in leaves:
            if not run.ended:
                self._attempt(leaf, self._begin_again)
        return self._settled()

    def _begin_again(self, branch: Branch) -> None:
        START[type(branch.state)](self._run, branch, branch.state)
        self._walk(branch)

    # --- questions -------------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the last instruction was given."""
        return self._run.ended

    def has_input(self, branch: int) -> bool:
        """Whether the input of the branch's state is known, so that it can be tried again."""
        return self._run.branches[branch].has_input

    def state_of(self, branch: int) -> str:
        """The state at which a branch stands."""
        return self._run.branches[branch].state.name

    def machine_of(self, branch: int) -> StateMachine:
        """The machine whose states the branch goes through."""
        return self._run.branches[branch].machine

    def map_runs(self) -> list[tuple[int, str, str, dict[str, int]]]:
        """The distributed Map states that are running: branch, state, what the run is called, and its items' counts."""
        return [
            (branch.number, branch.state.name, gathering.map_run.arn, gathering.counts())
            for branch in self._run.branches.values()
            if (gathering := branch.gathering) is not None and gathering.map_run is not None
        ]

    # --- carrying out ----------------------------------------------------------------------------------------------

    def _event(self, now_ns: int) -> None:
        self._run.now_ns = now_ns
        self._run.done = []

    def _waiting(self, branch: int, *for_what: str) -> Branch:
        one = self._run.branches.get(branch)
        if one is None or self._run.ended or one.waits not in for_what:
            where = "" if one is None or self._run.ended else f", it waits for {one.waits}"
            raise ValueError(f"no {for_what[0]} is under way in branch {branch}{where}")
        return one

    def _settled(self) -> list[Instruction]:
        """Go on with every branch that can, and give the instructions."""
        run = self._run
        while run.ready:
            branch = run.ready.popleft()
            if not branch.is_closed:
                self._attempt(branch, self._advance)
        return run.done

    def _attempt(self, branch: Branch, step: Callable[[Branch], None]) -> None:
        """Do something for a branch whose state may fail by it."""
        try:
            step(branch)
        except StatesError as error:
            fail(self._run, branch, error.in_state(branch.state.name, branch.entered_id))
        except RecursionError:
            fail(self._run, branch, too_deep().in_state(branch.state.name, branch.entered_id))

    def _advance(self, branch: Branch) -> None:
        if branch.waits == "children":
            collect(self._run, branch)
        self._walk(branch)

    def _walk(self, branch: Branch) -> None:
        """Enter one state after the other until one waits for something."""
        while not branch.waits:
            if not branch.machine.following(branch.following):
                self._end(branch)
                return
            state = branch.machine.states[branch.following]
            self._enter(branch, state)
            START[type(state)](self._run, branch, state)

    def _enter(self, branch: Branch, state: State) -> None:
        run = self._run
        self._stand_at(branch, state)
        run.check_pace()
        text = branch.input().text if branch.text is None else branch.text
        run.done.append(Entered(branch.number, state.name, type(state).__name__, text))

    def _stand_at(self, branch: Branch, state: State) -> None:
        branch.state = state
        branch.attempt = 1
        branch.entered_ns = self._run.now_ns
        branch.history.count += 1
        branch.entered_id = branch.history.count
        if branch.tries:
            branch.tries = {}
        if branch.token:
            branch.token = ""
        branch.count(2)

    def _end(self, branch: Branch) -> None:
        parent = branch.parent
        if parent is None:
            self._run.finish(Finish("", "", branch.input().text, False))
        elif parent.gathering is not None:
            child_succeeded(self._run, branch, parent, parent.gathering)

    def _done(self, branch: Branch, payload: bytes) -> None:
        state, request = branch.state, branch.request
        branch.waits, branch.request = "", None
        branch.history.count += 1
        is_large = 0 < self._run.max_data_bytes < len(payload)
        if isinstance(state, Task) and state.gives_output_directly and not is_large:
            branch.history.count += 1
            branch.text, branch.document, branch.following = payload, None, state.next
            self._run.done.append(Exited(branch.number, state.name, "Task", payload, state.next))
            self._attempt(branch, self._walk)
        else:
            self._attempt(branch, lambda one: self._finish_request(one, request, payload))

    def _added(self, branch: Branch, payload: bytes, added: Sequence[Added]) -> None:
        branch.waits, branch.request = "", None
        branch.history.count += 1

        def go_on(one: Branch) -> None:
            if not isinstance(one.state, Task):
                raise ValueError(f"state {one.state.name!r} is no task that could add states")
            follow(self._run, one, one.state, payload, added)
            self._walk(one)

        self._attempt(branch, go_on)

    def _finish_request(self, branch: Branch, request: Request | None, payload: bytes) -> None:
        state, run = branch.state, self._run
        if isinstance(state, Task):
            finish_task(run, branch, state, request if isinstance(request, RunTask) else None, payload)
        elif isinstance(state, Map):
            results_written(run, branch, state, payload)
        self._walk(branch)

    def _hand_on(self, branch: Branch, payload: bytes | None) -> None:
        state = branch.state
        following = branch.machine.direct_successor(state.name)
        if following is None:
            raise ValueError(f"state {state.name!r} has no successor that its output could be handed to")
        branch.request = None
        branch.text, branch.document = payload, None
        branch.history.count += 2
        self._run.done.append(Exited(branch.number, state.name, "Task", payload, following.name))
        branch.waits = "task"
        self._attempt(branch, lambda one: self._take_over(one, following, payload))

    def _take_over(self, branch: Branch, following: Task, payload: bytes | None) -> None:
        """Stand at a task that runs already."""
        self._stand_at(branch, following)
        branch.count(3)
        branch.history.count += 2
        self._run.done.append(Entered(branch.number, following.name, "Task", payload))

    def _request_of(self, branch: Branch) -> Request | None:
        """What was asked for; None: it is a task that was handed an input that nobody kept."""
        task = branch.state
        if branch.request is None and isinstance(task, Task) and branch.has_input:
            text = branch.input().text
            branch.request = RunTask(
                branch.number, task, branch.attempt, text, task.timeout_s, task.heartbeat_s, task.function
            )
        return branch.request

    def _wake(self, branch: Branch) -> None:
        run, state = self._run, branch.state
        waited, branch.waits = branch.waits, ""
        if waited == "retry":
            START[type(state)](run, branch, state)
        elif isinstance(state, Wait):
            finish(run, branch, state.flow, state.next)
        self._walk(branch)
