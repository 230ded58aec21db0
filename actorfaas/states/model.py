"""State machines as frozen dataclasses: what a valid Amazon States Language definition says, compiled.

Reading definitions is left to `states.parsing`, running a machine to the engine.
(States Language: https://states-language.net/spec.html)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from actorfaas.states.data_flow import AS_IS, Flow, Frame
from actorfaas.states.document import Document
from actorfaas.states.item_reader import ReaderConfig
from actorfaas.states.paths import Path
from actorfaas.states.queries import QueryTemplate
from actorfaas.states.resources import Resource
from actorfaas.states.retries import MAX_DELAY_S
from actorfaas.states.scope import Json
from actorfaas.states.settings import Moment, Number, Text
from actorfaas.states.templates import Template


@dataclass(frozen=True, slots=True)
class Retrier:
    """One entry of `Retry`: which errors, how often, how long between (`interval_s × backoff_rate^n`).

    `jitter`: each wait is anything up to that (JitterStrategy FULL).
    """

    error_equals: tuple[str, ...]
    interval_s: float
    max_attempts: int
    backoff_rate: float
    max_delay_s: float = MAX_DELAY_S
    jitter: bool = False


@dataclass(frozen=True, slots=True)
class Catcher:
    """One entry of `Catch`: for which errors, what it makes of them, which state follows."""

    error_equals: tuple[str, ...]
    flow: Flow
    next: str


@dataclass(frozen=True, slots=True)
class Task:
    """Call a function, or another resource.

    `timeout_s` 0: the function's own limit; `heartbeat_s` 0: none; `timeout` and `heartbeat`: where they must be
    evaluated. `retry` None: the function's own retries. `function` is "" where the state's parameters name it.
    `potential_next`: states that the function may have run next.
    """

    name: str
    function: str
    resource: Resource
    timeout_s: float = 0.0
    heartbeat_s: float = 0.0
    retry: tuple[Retrier, ...] | None = None
    next: str = ""
    flow: Flow = AS_IS
    catch: tuple[Catcher, ...] = ()
    timeout: Number | None = None
    heartbeat: Number | None = None
    potential_next: tuple[str, ...] = ()

    takes_input_directly: bool = field(init=False)
    """Whether its input can be what the state before gave, unseen."""
    gives_output_directly: bool = field(init=False)
    """Whether its output is what the function returned, as it is."""

    def __post_init__(self) -> None:
        is_plain = self.resource.kind == "function" and not self.resource.pattern
        is_given = self.timeout is None and self.heartbeat is None
        flows = (self.flow, *(catcher.flow for catcher in self.catch))
        is_asked_for = self.flow.computes_input or any(flow.needs_input for flow in flows)
        object.__setattr__(self, "takes_input_directly", is_plain and is_given and not is_asked_for)
        object.__setattr__(self, "gives_output_directly", is_plain and not self.flow.computes_output)


@dataclass(frozen=True, slots=True)
class Pass:
    """Hand the input on, or `result` when the state has one, after what `flow` does with it."""

    name: str
    result: Document | None = None
    next: str = ""
    flow: Flow = AS_IS


@dataclass(frozen=True, slots=True)
class ChoiceRule:
    """One entry of `Choices`: when it holds (paths look into the chosen input), its flow, and the state it leads to."""

    holds: Callable[[Frame, Json], bool]
    flow: Flow
    next: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Go where the first rule that holds leads; `default` "": fail where none does."""

    name: str
    rules: tuple[ChoiceRule, ...]
    default: str = ""
    flow: Flow = AS_IS


@dataclass(frozen=True, slots=True)
class Wait:
    """Hand the input on after `seconds`, or at `moment`; `duration` where the seconds must be evaluated."""

    name: str
    seconds: float = 0.0
    next: str = ""
    flow: Flow = AS_IS
    duration: Number | None = None
    moment: Moment | None = None


@dataclass(frozen=True, slots=True)
class Succeed:
    """End the branch; its output is the input."""

    name: str
    flow: Flow = AS_IS


@dataclass(frozen=True, slots=True)
class Fail:
    """End the branch with an error."""

    name: str
    error: Text
    cause: Text
    flow: Flow = AS_IS


@dataclass(frozen=True, slots=True)
class Parallel:
    """Run every branch on the effective input; the result is the list of their outputs."""

    name: str
    branches: tuple[StateMachine, ...]
    flow: Flow = AS_IS
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class Batcher:
    """ItemBatcher: at most so many items, or bytes of them, are the input of one iteration, with `batch_input`."""

    max_items: Number | None
    max_bytes: Number | None
    batch_input: Template | QueryTemplate | None


PLAIN_FILE = "file"
"""The resource of an ItemReader that reads a file which is no object of a store: of the deployment, or of the node."""


@dataclass(frozen=True, slots=True)
class Reader:
    """ItemReader: where the items come from, and how they are written there."""

    resource: str
    parameters: Template | QueryTemplate | None
    config: ReaderConfig
    max_items: Number | None


@dataclass(frozen=True, slots=True)
class Writer:
    """ResultWriter: where the results go (`resource` "": nowhere), and what becomes of them before."""

    resource: str
    parameters: Template | QueryTemplate | None
    transformation: str = "NONE"
    output_type: str = "JSON"


@dataclass(frozen=True, slots=True)
class Map:
    """Run `processor` for every item; the result is the list of the outputs.

    `items`: where they are in the input (None: the input itself). `is_distributed`: each iteration is an execution of
    its own, and failures can be tolerated. `max_concurrency` 0: as many as the mode allows.
    """

    name: str
    processor: StateMachine
    flow: Flow = AS_IS
    items: Path | QueryTemplate | None = None
    selector: Template | QueryTemplate | None = None
    is_distributed: bool = False
    label: str = ""
    max_concurrency: Number | None = None
    tolerated_count: Number | None = None
    tolerated_percentage: Number | None = None
    batcher: Batcher | None = None
    reader: Reader | None = None
    writer: Writer | None = None
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()
    next: str = ""


State = Task | Pass | Choice | Wait | Succeed | Fail | Parallel | Map


@dataclass(frozen=True, slots=True)
class StateMachine:
    """A whole definition, or one of a Parallel or Map state. `next` of a state is "" where it ends the branch;
    `timeout_s` 0: no limit. `ends_at`: states at which a branch is over instead of entering them."""

    start_at: str
    states: Mapping[str, State]
    timeout_s: float = 0.0
    ends_at: frozenset[str] = frozenset()

    def branch_at(self, start: str, ends_at: str) -> StateMachine:
        """The same states from another one on, up to a state (or, with "", to an end)."""
        return replace(self, start_at=start, ends_at=self.ends_at | {ends_at} if ends_at else self.ends_at)

    def following(self, name: str) -> str:
        """A state that is to follow, or "" where the branch is over instead."""
        return "" if name in self.ends_at else name

    def direct_successor(self, name: str) -> Task | None:
        """The Task that follows the Task `name` when its output needs no computation on the way, else None."""
        state = self.states[name]
        if not isinstance(state, Task) or not self.following(state.next) or not state.gives_output_directly:
            return None
        following = self.states[state.next]
        return following if isinstance(following, Task) and following.takes_input_directly else None

    def tasks(self) -> Iterator[Task]:
        """Every Task state, those of branches and iterations too."""
        for machine in self.machines():
            yield from (state for state in machine.states.values() if isinstance(state, Task))

    def machines(self) -> Iterator[StateMachine]:
        """This machine and all inside it."""
        waiting: list[StateMachine] = [self]
        while waiting:
            machine = waiting.pop()
            yield machine
            for state in machine.states.values():
                if isinstance(state, Parallel):
                    waiting += state.branches
                elif isinstance(state, Map):
                    waiting.append(state.processor)


def reads_items(state: State) -> bool:
    """Whether it is a Map state whose items come from a store."""
    return isinstance(state, Map) and state.reader is not None


def task_of(function: str, name: str = "", **fields: Json) -> Task:
    """A Task state that calls a function; `name`: the function's where not given."""
    return Task(name or function, function, Resource("function", function), **fields)


def single_task(function: str) -> StateMachine:
    """The machine that an asynchronous call of one function runs: one state, named after the function."""
    return StateMachine(function, {function: task_of(function)})
