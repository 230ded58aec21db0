"""What the engine tells who drives it: one small object for each thing to do, or to record.

Every one names its branch: 0 is the execution itself, others are branches of Parallel states and iterations of Map
states. They are made at every transition, so they are not frozen, which would double what that costs; who gets one
does not change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from actorfaas.states.item_reader import ReaderConfig
from actorfaas.states.map_results import Part
from actorfaas.states.model import StateMachine, Task
from actorfaas.states.scope import Json


@dataclass(slots=True)
class RunTask:
    """Call a resource; answer with `task_succeeded` or `task_failed`.

    `payload`: the effective input (JSON). `function`: which one, also where the state's parameters name it ("" where
    the resource is no function). `timeout_s` 0: the function's own; `heartbeat_s` 0: none. `token`: what names this
    attempt where it is answered apart from what a function returns, else ""; the same in a replay. `starts`: begin an
    execution of this workflow or function instead of calling one, under this `name` if there is one.
    """

    branch: int
    task: Task
    attempt: int
    payload: bytes
    timeout_s: float = 0.0
    heartbeat_s: float = 0.0
    function: str = ""
    token: str = ""
    starts: str = ""
    name: str = ""


@dataclass(slots=True)
class ReadItems:
    """Read what a Map state's ItemReader names; answer with `items_read` or `task_failed`. `most`: how many items."""

    branch: int
    state: str
    resource: str
    parameters: Json
    config: ReaderConfig
    most: int


@dataclass(slots=True)
class WriteResults:
    """Write the results of a Map state where its ResultWriter says; answer with `task_succeeded` (JSON: the bucket and
    the key of the manifest) or `task_failed`. `parts` gives them line by line, from the beginning at every call;
    `run_id` and `arn` are the map run's."""

    branch: int
    state: str
    resource: str
    parameters: Json
    output_type: str
    run_id: str
    arn: str
    parts: Callable[[], Iterator[Part]] = field(compare=False)


@dataclass(slots=True)
class Sleep:
    """Call `timer_fired` at `until_ns`."""

    branch: int
    state: str
    until_ns: int


@dataclass(slots=True)
class Opened:
    """A branch of the state at which `parent` stands began, which goes through the states of `machine`. `index`: which
    branch or item; `is_execution`: it is an execution of its own (of a distributed Map state), with its own history.

    It may be over again before who drives the engine hears of it: `Closed` follows then, among the same instructions.
    """

    branch: int
    parent: int
    index: int
    is_execution: bool
    machine: StateMachine


@dataclass(slots=True)
class Closed:
    """A branch is over, or given up: drop whatever is outstanding for it."""

    branch: int


@dataclass(slots=True)
class Entered:
    """Record that a state was entered. `kind`: its type; `payload`: its input (None: not seen, handed on)."""

    branch: int
    state: str
    kind: str
    payload: bytes | None


@dataclass(slots=True)
class Exited:
    """Record that a state ended with `payload` (None: not seen, handed on); `next` "": nothing follows it."""

    branch: int
    state: str
    kind: str
    payload: bytes | None
    next: str


@dataclass(slots=True)
class Failed:
    """Record that a Parallel or Map state failed for good; `caught`: a catcher took the error, `Exited` follows."""

    branch: int
    state: str
    kind: str
    error: str
    cause: str
    caught: bool


@dataclass(slots=True)
class Noted:
    """Record an event under Step Functions' name for it: MapStateStarted, MapIterationSucceeded, EvaluationFailed...

    `branch`: of the Parallel or Map state; `index`: of the iteration, or the number of items of MapStateStarted;
    `payload`: details (JSON), of a map run what it is called and what became of its items.
    """

    branch: int
    type: str
    state: str
    index: int = -1
    error: str = ""
    cause: str = ""
    payload: bytes = b""


@dataclass(slots=True)
class Finish:
    """The last instruction: the execution ended. A Fail state without an Error fails it with `error` ""."""

    error: str
    cause: str
    payload: bytes
    failed: bool = False


Recorded = Entered | Exited | Failed | Noted
"""What is for the history only."""

Instruction = RunTask | ReadItems | WriteResults | Sleep | Opened | Closed | Entered | Exited | Failed | Noted | Finish
