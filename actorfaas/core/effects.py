"""What the pure core wants done, and what it answers to claims: plain values, carried out by the ExecutionManager."""

from __future__ import annotations

from dataclasses import dataclass

from actorfaas.core.worker import Claim
from actorfaas.messages import DeclareTopic, Message, StartExecution
from actorfaas.states.engine import ReadItems, WriteResults


@dataclass(frozen=True, slots=True)
class Tell:
    """Send `message` to an actor."""

    peer: str
    message: Message


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Ask the LocalQueue to `Unsubscribe` a worker; answer with `Dispatch.taken_back`."""

    worker_topic: str


@dataclass(frozen=True, slots=True)
class Declare:
    """Ask the LocalQueue to declare a topic."""

    message: DeclareTopic


@dataclass(frozen=True, slots=True)
class Store:
    """Ask the DataLayer; answer with `Executions.stored` or `Executions.not_stored`."""

    execution_id: str
    message: Message


@dataclass(frozen=True, slots=True)
class Answer:
    """Reply to the `StartExecution` of an execution."""

    execution_id: str
    message: Message


@dataclass(frozen=True, slots=True)
class Ended:
    """An execution of this version has ended; its result is on its way to the DataLayer."""

    execution_id: str
    app: str
    version: int
    status: str
    error: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """Read a Map state's items for a branch of an execution of this version; answer with `Executions.items_read` or
    `map_data_failed`."""

    execution_id: str
    app: str
    version: int
    ticket: str
    request: ReadItems


@dataclass(frozen=True, slots=True)
class Export:
    """Write a Map state's results; answer with `Executions.map_results_written` or `map_data_failed`."""

    execution_id: str
    ticket: str
    request: WriteResults


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nobody waits any more for what was asked for by this ticket."""

    ticket: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer whoever asked under this number."""

    number: int
    message: Message


@dataclass(frozen=True, slots=True)
class StartChild:
    """Start an execution for a branch of another one; answer with `Executions.child_accepted` or `child_refused`.

    `version`: the application and version that has it; None: whatever is in service. `name`: the execution's own, which
    no other of the workflow may have, or "".
    """

    parent: str
    branch: int
    start: StartExecution
    version: tuple[str, int] | None
    name: str = ""


@dataclass(frozen=True, slots=True)
class FollowChild:
    """Wait for the end of an execution that a branch of another one waits for; answer with `Executions.child_ended`."""

    parent: str
    branch: int
    child: str


@dataclass(frozen=True, slots=True)
class StopChild:
    """Stop an execution if it runs: the one that started it does not wait for it any more."""

    child: str
    reason: str


@dataclass(frozen=True, slots=True)
class Warn:
    """Tell a person about an execution."""

    execution_id: str
    detail: str


Apart = Fetch | Export | GiveUp | Reply | StartChild | FollowChild | StopChild | Warn
"""What no worker of the node does."""

Effect = Tell | TakeBack | Declare | Store | Answer | Ended | Apart


@dataclass(frozen=True, slots=True)
class Granted:
    """The claim has its worker."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Denied:
    """The claim will get no worker."""

    claim: Claim
    cause: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """A reservation is needed elsewhere: its worker is taken for released (`Dispatch.release` when it was armed)."""

    claim: Claim
    worker_topic: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The claim's worker has ended. `platform`: an actor went away, the function did nothing wrong."""

    claim: Claim
    worker_topic: str
    platform: bool


Outcome = Granted | Denied | Revoked | Lost
