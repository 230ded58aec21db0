"""Where an execution stands: a tree of branches, each at one state.

The root is the execution; a branch has children while it stands at a Parallel or Map state. Owns what is remembered of
each, and nothing of what happens next.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from actorfaas.states.document import Document
from actorfaas.states.errors import STATES_RUNTIME, StatedFailure, StatesError
from actorfaas.states.instructions import ReadItems, RunTask, WriteResults
from actorfaas.states.map_results import Child, MapRun
from actorfaas.states.model import State, StateMachine
from actorfaas.states.scope import Json

MAX_EVENTS = 25_000
"""How many events one branch may have: what ends a loop that never ends by itself."""


ROOMY = 4096


def compact(text: bytes) -> bytes:
    """A text to be kept. One that orjson wrote holds 4 KiB however short it is, so a short one is copied."""
    return bytes(memoryview(text)) if len(text) < ROOMY else text


@dataclass(slots=True)
class History:
    """How many events an execution has recorded: Step Functions' errors tell at which one a state was entered."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class Item:
    """The item of a Map state that an iteration is for; `key`: of one that is an object's member."""

    index: int
    value: Json
    key: str | None = None


@dataclass(slots=True)
class Gathering:
    """The children of a Parallel or Map state: what they are for, and what came of them.

    `results`: the output of each as JSON, b"" while it is not there. `items`, `keys` (of an object's members) and
    `chosen` (what selectors look into): of a Map state; `taken`: how many items have been given out, `held`: one that
    did not fit into a batch any more, `weights`: how many are in the batch of a child. `map_run`: of a distributed one;
    `keeps_children`: also what its results are written with; `is_written`: they are being written, nothing more begins.
    `failure`: what the state fails with once they are. `lost`: failures that were tolerated.
    """

    limit: int
    results: list[bytes] = field(default_factory=list)
    running: dict[int, Branch] = field(default_factory=dict)
    chosen: Json = None
    items: Sequence[Json] = ()
    keys: list[str] | None = None
    taken: int = 0
    held: tuple[Json] | None = None
    weights: dict[int, int] = field(default_factory=dict)
    failures: int = 0
    lost: list[Wreck] = field(default_factory=list)
    tolerated_count: float = 0
    tolerated_percentage: float = float("inf")
    map_run: MapRun | None = None
    keeps_children: bool = False
    is_written: bool = False
    failure: StatesError | None = None

    def began(self, child: int, document: Document, weight: int, now_ms: int) -> None:
        """A child begins with an input, for so many items."""
        self.results.append(b"")
        self.weights[child] = weight
        if self.keeps_children and self.map_run is not None:
            self.map_run.children.append(Child(compact(document.text), now_ms))

    def ended(self, index: int, result: bytes, now_ms: int, error: StatesError | None = None) -> None:
        """What came of a child: an output, or an error and what stands for it among the results."""
        if not self.keeps_children or self.map_run is None:
            self.keep(index, result)
            return
        child = self.map_run.children[index]
        child.ended_ms = now_ms
        if error is None:
            child.output = compact(result)
        else:
            child.failed, child.error, child.cause = True, error.error, error.cause

    def counts(self) -> dict[str, int]:
        """What became of the items so far."""
        waiting = len(self.items) - self.taken + (self.held is not None)
        running = sum(self.weights.values())
        succeeded = len(self.items) - waiting - running - self.failures
        return {
            "total": len(self.items),
            "pending": waiting,
            "running": running,
            "succeeded": succeeded,
            "failed": self.failures,
        }

    def keep(self, index: int, result: bytes) -> None:
        """What came of a child."""
        self.results[index] = compact(result)

    def take_back(self, child: Branch, weight: int | None) -> None:
        """A child that had failed goes on."""
        self.results[child.index] = b""
        self.running[child.number] = child
        if weight is not None:
            self.weights[child.number] = weight

    def forgive(self, now_ms: int) -> None:
        """Nothing has failed so far: the children that run were given up, or had failed, and go on."""
        self.lost, self.failures, self.failure, self.is_written = [], 0, None, False
        if self.keeps_children and self.map_run is not None:
            for child in self.running.values():
                self.map_run.children[child.index].redriven(now_ms)

    def exceeds(self) -> bool:
        """Whether more has failed than is tolerated."""
        if self.failures > self.tolerated_count:
            return True
        return self.failures * 100 > self.tolerated_percentage * len(self.items)


class Branch:
    """One branch. `waits` says for what: "task", "timer", "retry", "children", "reader", "writer", or nothing ("").

    Its state's input is known as text, as a document or not at all (None: it was handed on unseen). `execution`: the
    context object of its execution, or what makes it (None: the root's); one with a State is the whole of it.
    """

    __slots__ = (
        "attempt",
        "document",
        "entered_id",
        "entered_ns",
        "events",
        "execution",
        "following",
        "gathering",
        "history",
        "index",
        "is_closed",
        "item",
        "machine",
        "number",
        "parent",
        "random",
        "request",
        "state",
        "text",
        "token",
        "tries",
        "until_ns",
        "variables",
        "waits",
    )

    state: State

    def __init__(
        self,
        number: int,
        machine: StateMachine,
        history: History,
        *,
        parent: Branch | None = None,
        index: int = 0,
        item: Item | None = None,
        variables: Mapping[str, Json],
    ) -> None:
        self.number = number
        self.machine = machine
        self.history = history
        self.parent = parent
        self.index = index
        self.item = item
        self.variables = variables
        self.execution: Json = None if parent is None else parent.execution
        self.text: bytes | None = None
        self.document: Document | None = None
        self.following = machine.start_at
        self.waits = ""
        self.attempt = 1
        self.tries: dict[int, int] = {}
        self.events = 0
        self.entered_ns = 0
        self.entered_id = 0
        self.until_ns = 0
        self.token = ""
        self.random: random.Random | None = None
        self.request: RunTask | ReadItems | WriteResults | None = None
        self.gathering: Gathering | None = None
        self.is_closed = False

    def count(self, events: int) -> None:
        """The branch has more events. Raises StatedFailure where there are too many."""
        self.events += events
        if self.events > MAX_EVENTS:
            cause = f"The execution reached the maximum number of history events ({MAX_EVENTS})."
            raise StatedFailure(STATES_RUNTIME, cause)

    @property
    def has_input(self) -> bool:
        """Whether the state's input is known."""
        return self.text is not None or self.document is not None

    def take(self, document: Document) -> None:
        """The input of the next state."""
        self.document, self.text = document, None

    def input(self) -> Document:
        """The state's input; null where it is not known, which is so only where nothing asks for it."""
        if self.document is None:
            self.document = Document(b"null" if self.text is None else self.text)
        return self.document


@dataclass(frozen=True, slots=True)
class Level:
    """A Parallel or Map state that a failure went through: its branch, what it had gathered, the child that failed."""

    parent: Branch
    gathering: Gathering
    child: Branch
    weight: int | None


@dataclass(slots=True)
class Wreck:
    """A failure that nothing took: the branch at whose state it began, and the states above, from below. `gathering`:
    of a Map state that failed when its results were written, or could not be."""

    leaf: Branch
    gathering: Gathering | None = None
    levels: list[Level] = field(default_factory=list)

    def rise(self, parent: Branch, gathering: Gathering, child: Branch) -> None:
        """The failure of a child becomes that of the state above."""
        self.levels.append(Level(parent, gathering, child, gathering.weights.get(child.number)))
