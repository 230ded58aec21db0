"""What a run does: whom it calls, how often, from how many processes, which all have the same plan. Pure.

Every generator process goes through the same seeded calls and sends its share of them, so that what is sent does not
depend on how many processes there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import NamedTuple
from urllib.parse import urlsplit

from actorfaas.errors import ConfigError
from actorfaas.load import arrivals
from actorfaas.load.arrivals import Phase
from actorfaas.load.traces import Replay

INTERVALS = 120
"""At most so many steps has the course of a run over time."""
_WIDTHS_S = (0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where all calls of a run go."""

    host: str
    port: int
    tls: bool = False

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """The endpoint of an http or https URL. Raises ConfigError for anything else."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{url!r} is no address to load: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is no address to load: it begins with http:// or https:// and a host")
        return cls(parts.hostname, port or (443 if parts.scheme == "https" else 80), parts.scheme == "https")


@dataclass(frozen=True, slots=True)
class Target:
    """Something to call: its name, and whole HTTP requests of which one is drawn for each call."""

    name: str
    requests: tuple[bytes, ...]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Closed:
    """Closed loop: so many connections, each with the next call as soon as it has its answer.

    `calls`: stop after so many (0: only the time counts).
    """

    connections: int
    duration_s: float
    calls: int = 0

    def __str__(self) -> str:
        limit = f", at most {self.calls} calls" if self.calls else ""
        return f"closed loop, {self.connections} connections, {self.duration_s:g}s{limit}"


Arrivals = tuple[Phase, ...] | Replay | Closed
"""What says when calls are made."""

TIMED_OUT = "timeout"
UNFINISHED = "unfinished"
"""What is said of calls that ran into their time limit, and of those that had no answer when a run was ended."""


class Call(NamedTuple):
    """One call to be made: when (s from the begin; its intended start), of which target (its number), what is sent."""

    at_s: float
    target: int
    request: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """A run. `most_outstanding`: calls without an answer, over all processes; those beyond are dropped."""

    endpoint: Endpoint
    targets: tuple[Target, ...]
    arrivals: Arrivals
    seed: int = 1
    processes: int = 1
    most_outstanding: int = 1000
    timeout_s: float = 30.0
    late_s: float = 0.01
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """From the first intended start to the end of the last phase."""
        if isinstance(self.arrivals, tuple):
            return sum(phase.duration_s for phase in self.arrivals)
        return self.arrivals.duration_s

    @property
    def width_s(self) -> float:
        """How long a step of the course over time is."""
        return next((width for width in _WIDTHS_S if self.duration_s <= INTERVALS * width), self.duration_s / INTERVALS)

    @property
    def is_open(self) -> bool:
        """Whether calls are made when it is time for them, not when the one before has its answer."""
        return not isinstance(self.arrivals, Closed)

    def describe(self) -> str:
        """The arrivals in a line."""
        return ", ".join(map(str, self.arrivals)) if isinstance(self.arrivals, tuple) else str(self.arrivals)


def share(total: int, process: int, processes: int) -> int:
    """How many of `total` the process has, when they are dealt out evenly."""
    return total // processes + (process < total % processes)


def calls(plan: Plan, process: int = 0) -> Iterator[Call]:
    """Those calls that one process makes, ascending by time; without end in a closed loop."""
    chance = Random(plan.seed)
    for number, (at_s, target) in enumerate(_picked(plan, chance)):
        requests = plan.targets[target].requests
        request = requests[0] if len(requests) == 1 else requests[chance.randrange(len(requests))]
        if number % plan.processes == process:
            yield Call(at_s, target, request)


def _picked(plan: Plan, chance: Random) -> Iterator[tuple[float, int]]:
    if isinstance(plan.arrivals, Replay):
        yield from plan.arrivals.calls(chance)
        return
    pick = _picker(plan.targets, chance)
    if isinstance(plan.arrivals, Closed):
        while True:
            yield 0.0, next(pick)
    for at_s in arrivals.times(plan.arrivals, chance):
        yield at_s, next(pick)


def _picker(targets: Sequence[Target], chance: Random) -> Iterator[int]:
    """Numbers of targets by their weights."""
    if len(targets) == 1:
        while True:
            yield 0
    weights = list(accumulate(target.weight for target in targets))
    numbers = range(len(targets))
    while True:
        yield from chance.choices(numbers, cum_weights=weights, k=64)
