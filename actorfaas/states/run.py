"""One execution under way: its branches, what is due now, and what expressions see.

Owns the tree and the primitives that all steps use: opening and closing branches, frames, events, time and chance.
Everything is the same again when the same events are replayed: time comes only from the events, chance from a
generator that the execution's id seeds.
"""

from __future__ import annotations

import random
import uuid
from collections import deque
from collections.abc import Mapping
from functools import partial
from hashlib import blake2b

from actorfaas.states import context as contexts
from actorfaas.states.branches import Branch, Gathering, History, Item, Wreck
from actorfaas.states.context import ExecutionContext
from actorfaas.states.data_flow import Frame
from actorfaas.states.document import Document
from actorfaas.states.errors import STATES_DATA_LIMIT, STATES_RUNTIME, StatedFailure, StatesError
from actorfaas.states.instructions import Closed, Exited, Finish, Instruction, Noted, Opened
from actorfaas.states.map_results import MapRun
from actorfaas.states.model import Map, Parallel, Retrier, StateMachine, Task
from actorfaas.states.scope import Json, Outside, made

NS_PER_MS = 1_000_000

MAX_AT_ONCE = 200_000
"""How many instructions one event may lead to, without waiting for anything: what ends loops in branches of loops. They
take seconds, in which the node does nothing else, and a few hundred megabytes."""


class Run:
    """The state of one execution. `done`: the instructions of the event being handled; `ready`: what to do next;
    `wreck`: what failed it."""

    __slots__ = (
        "_context",
        "_execution",
        "_numbers",
        "_token_key",
        "branches",
        "done",
        "ended",
        "input",
        "max_data_bytes",
        "now_ns",
        "ready",
        "retries",
        "wreck",
    )

    def __init__(
        self,
        machine: StateMachine,
        retries: Mapping[str, tuple[Retrier, ...]],
        context: ExecutionContext,
        max_data_bytes: int,
        token_key: bytes = b"",
    ) -> None:
        self.retries = retries
        self.max_data_bytes = max_data_bytes
        self.branches: dict[int, Branch] = {0: Branch(0, machine, History(), variables={})}
        self.done: list[Instruction] = []
        self.ready: deque[Branch] = deque()
        self.input = Document(b"null")
        self.now_ns = 0
        self.ended = False
        self.wreck: Wreck | None = None
        self._context = context
        self._execution: dict[str, Json] | None = None
        self._numbers = 0
        self._token_key = token_key

    # --- branches --------------------------------------------------------------------------------------------------

    def open(self, parent: Branch, machine: StateMachine, index: int, item: Item | None, *, apart: bool) -> Branch:
        """A child of a branch. `apart`: it is an execution of its own, which sees none of the variables."""
        self._numbers += 1
        child = Branch(
            self._numbers,
            machine,
            History() if apart else parent.history,
            parent=parent,
            index=index,
            item=item or parent.item,
            variables={} if apart else parent.variables,
        )
        self.branches[child.number] = child
        self.done.append(Opened(child.number, parent.number, index, apart, machine))
        return child

    def close(self, branch: Branch) -> None:
        """A branch is over."""
        branch.is_closed = True
        del self.branches[branch.number]
        self.done.append(Closed(branch.number))

    def abort_children(self, branch: Branch) -> None:
        """Give up everything below a branch, the innermost first."""
        gathering, branch.gathering = branch.gathering, None
        if gathering is not None:
            self.abort(gathering)

    def abort(self, gathering: Gathering) -> None:
        """Give up the children that run, and what is below them. They stay where they are: a redrive takes them up."""
        below: list[Branch] = []
        waiting = list(gathering.running.values())
        while waiting:
            child = waiting.pop()
            if child.is_closed:
                continue  # given up already, before the results of its Map state were written
            below.append(child)
            if child.gathering is not None:
                waiting += child.gathering.running.values()
        for child in reversed(below):
            self._note_aborted(child)
            self.close(child)

    def _note_aborted(self, child: Branch) -> None:
        if child.waits:
            state = child.state
            self.note(child, f"{type(state).__name__}StateAborted", state.name)
        parent = child.parent
        if parent is not None and isinstance(parent.state, Map) and not parent.state.is_distributed:
            self.note(parent, "MapIterationAborted", parent.state.name, child.index)

    # --- events ----------------------------------------------------------------------------------------------------

    def note(
        self,
        branch: Branch,
        type_: str,
        state: str,
        index: int = -1,
        error: StatesError | None = None,
        payload: bytes = b"",
    ) -> None:
        """Record an event."""
        branch.history.count += 1
        if error is None:
            self.done.append(Noted(branch.number, type_, state, index, payload=payload))
        else:
            self.done.append(Noted(branch.number, type_, state, index, error.error, error.cause, payload))

    def leave(self, branch: Branch, output: Document, following: str) -> None:
        """A state ends with an output. Raises StatesError where that is too large."""
        state = branch.state
        text = output.text
        self.check_size(text, state.name)
        branch.history.count += 1
        self.done.append(Exited(branch.number, state.name, type(state).__name__, text, following))
        branch.take(output)
        branch.following = following

    def check_pace(self) -> None:
        """Raises StatesError where the execution does not come to wait for anything."""
        if len(self.done) > MAX_AT_ONCE:
            cause = f"The execution reached {MAX_AT_ONCE} history events without a task or timer to wait for."
            raise StatedFailure(STATES_RUNTIME, cause)

    def check_size(self, text: bytes, what: str) -> None:
        """Raises StatesError (States.DataLimitExceeded) where data is larger than the execution's limit."""
        if 0 < self.max_data_bytes < len(text):
            cause = f"The state/task '{what}' returned a result with a size exceeding the maximum number of bytes"
            raise StatedFailure(STATES_DATA_LIMIT, f"{cause} service limit.")

    def finish(self, last: Finish) -> None:
        """The execution ends."""
        self.ended = True
        self.ready.clear()
        self.done.append(last)

    def go_on(self) -> None:
        """The execution is redriven."""
        self.ended, self.wreck = False, None
        self.branches[0].history.count += 1
        self._context, self._execution = self._context.redriven(self.now_ns // NS_PER_MS), None

    # --- what expressions see --------------------------------------------------------------------------------------

    def frame(self, branch: Branch, item: Item | None = None) -> Frame:
        """What the expressions of the branch's state may refer to; `item`: of a Map state's selector."""
        context = partial(self._context_of, branch, item or branch.item)
        return Frame(branch.input().value, context, branch.variables, self._outside(branch))

    def _context_of(self, branch: Branch, item: Item | None) -> dict[str, Json]:
        execution = made(branch.execution)
        if execution is None:
            if self._execution is None:
                self._execution = self._context.object(self.input.value)
            execution = self._execution
        if "State" in execution:
            return dict(execution) if item is None else contexts.item_context(execution, item.index, item.value)
        state = branch.state
        context = contexts.state_context(
            execution,
            state=state.name,
            entered_ms=branch.entered_ns // NS_PER_MS,
            retries=branch.attempt - 1 if isinstance(state, Task | Parallel | Map) else None,
            task_token=branch.token or None,
        )
        return context if item is None else contexts.item_context(context, item.index, item.value, key=item.key)

    def execution_for(self, parent: Branch, document: Document) -> dict[str, Json]:
        """The context object of an execution that a distributed Map state starts, without a state."""
        context = self._context_of(parent, None)
        execution = {**context["Execution"], "Input": document.value}
        return {"Execution": execution, "StateMachine": context["StateMachine"]}

    def chance_of(self, branch: Branch) -> random.Random:
        """Where a branch's random numbers come from: its own, so that those of others are none the less the same."""
        if branch.random is None:
            branch.random = random.Random(f"{self._context.execution_id}/{branch.number}")
        return branch.random

    def _outside(self, branch: Branch) -> Outside:
        def uuid4() -> str:
            return str(uuid.UUID(int=self.chance_of(branch).getrandbits(128), version=4))

        return Outside(self.now_ns // NS_PER_MS, lambda: self.chance_of(branch).random(), uuid4)

    def map_run(self, branch: Branch, label: str) -> MapRun:
        """What the map run that a branch begins is called: the same again in a replay, another for each attempt."""
        chance = random.Random(f"{self._context.execution_id}/{branch.number}/{branch.events}/map run")
        run_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        machine_id = self._context.machine_id
        arn = f"{machine_id.replace(':stateMachine:', ':mapRun:')}/{label}:{run_id}"
        return MapRun(run_id, arn, machine_id)

    def attempt_name(self, branch: Branch) -> str:
        """What names an attempt at a task: its execution, branch, and place in the branch."""
        return f"{self._context.execution_id}.{branch.number}.{branch.events}"

    def new_token(self, branch: Branch) -> str:
        """The attempt's name for whoever may answer it: the place as a digest that nobody finds without the key."""
        name = self.attempt_name(branch)
        if not self._token_key:
            return name
        digest = blake2b(name.encode(), key=self._token_key, digest_size=16).hexdigest()
        return f"{self._context.execution_id}.{branch.number}.{digest}"
