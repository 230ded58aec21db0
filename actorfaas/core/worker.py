"""One worker as its pool knows it, the wish for one, and the start of one that is not there yet.

Which of them is where, is kept by `core.pool`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from actorfaas.core import lifecycle


class PageIn(NamedTuple):
    """A worker's memory was read back: how long that took, when it was over, how much was read (0: unknown)."""

    took_ns: int = 0
    ended_ns: int = 0
    read_bytes: int = 0


NO_PAGE_IN = PageIn()


@dataclass(slots=True, eq=False)
class Claim:
    """The wish of an execution's branch for one worker. `distance` 0: a state waits for it; more: it is reserved ahead.

    `kind`: the strategy when the state must get an instance of its own (fork, cold) or one that was out (swap, reap,
    faasnap), else "". `worker` once granted. `start_kind` and `page_in`: how that one was had, if it was out.
    """

    execution_id: str
    function_topic: str
    distance: int
    kind: str = ""
    worker: str = ""
    start_kind: str = ""
    page_in: PageIn = NO_PAGE_IN
    branch: int = 0


@dataclass(slots=True, eq=False)
class Worker:
    """One instance. `fresh`: made for a single request. `lent_to`: the topic the LocalQueue may use it for.

    `taking_back`: an `Unsubscribe` is under way. `returning`: it comes back once its call is done.
    `releasing`: its armed task is being released, the LocalQueue has not said who won. `leaving`: told to exit, or
    killed; only its end is awaited. `unasked`: it came although nobody (any more) asked for it, after a restart; such a
    worker may exceed a limit until it is retired.

    Memory: `away_for` is the topic whose request waits until the worker is in. `to_go`: it is wanted out as soon as it
    is not lent any more. `goes_out`: it serves a strategy in which idle workers go out at once; `stays_in`: one
    in which they never do. `next_kind` and `page_in`: what its next call is told about how it was had.
    `stays_until_ns`: it could not be brought out the last time. `moving_since_ns`: when it began to be paged out or in.
    `uses`: calls served of which paging was not told yet.
    """

    topic: str
    function_topic: str
    pid: int
    start_kind: str
    born_ns: int
    phase: str = lifecycle.FORKING
    fresh: bool = False
    lent_to: str = ""
    lent_since_ns: int = 0
    idle_since_ns: int = 0
    refused_ns: int = 0
    claim: Claim | None = None
    taking_back: bool = False
    returning: bool = False
    releasing: bool = False
    leaving: bool = False
    unasked: bool = False
    tasks: int = 0
    away_for: str = ""
    to_go: bool = False
    goes_out: bool = False
    stays_in: bool = False
    asked_ns: int = 0
    next_kind: str = ""
    page_in: PageIn = NO_PAGE_IN
    stays_until_ns: int = 0
    moving_since_ns: int = 0
    uses: int = 0

    def become(self, phase: str) -> None:
        """Take a step of the life cycle. Raises IllegalTransition."""
        self.phase = lifecycle.step(self.topic, self.phase, phase)


@dataclass(frozen=True, slots=True)
class Start:
    """One instance asked of the supervisor that nobody has seen yet."""

    kind: str
    fresh: bool
    asked_ns: int
