"""Look-ahead: which states to have workers for while the current one runs, and what the guesses were worth.

What follows a Task directly (`following_tasks`) can be given its output by the worker itself. What follows after a
computation (`prospects`) cannot, but its workers can be brought in: behind a Choice by how often it went where
(`Habits`), for a Parallel state those of all its branches, for a Map state as many as it has had items. Whether a
worker can be had is left to `core.dispatch`, whether a guess is worth its price to whoever prices paging.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from actorfaas.core import learned_format
from actorfaas.core.learned_format import Numbers
from actorfaas.states.gathering import INLINE_LIMIT
from actorfaas.states.model import Choice, Map, Parallel, Pass, State, StateMachine, Task

MOST_LOOKED_AT = 100
"""States that one look ahead goes through."""

LEAST_SHARE = 0.05
"""What is less likely than this is not looked at."""

FORMAT = 1
"""Of `Habits.to_bytes`."""

HALVE_AT = 256
"""Counts of a Choice are halved when they reach this: the last few hundred executions decide."""


def following_tasks(machine: StateMachine, state: str, reserved: int, depth: int) -> Iterator[Task]:
    """The tasks to reserve next: at most `depth` ahead of `state`, without the first `reserved`, which are."""
    for distance in range(depth):
        task = machine.direct_successor(state)
        if task is None:
            return
        if distance >= reserved:
            yield task
        state = task.name


class Habits:
    """What the executions of one workflow version did where its definition leaves that open. States are told apart by
    identity: branches may have states of the same name."""

    __slots__ = ("_chosen", "_is_changed", "_items")

    def __init__(self) -> None:
        self._chosen: dict[int, dict[str, int]] = {}
        self._items: dict[int, float] = {}
        self._is_changed = False

    def chose(self, state: State, following: str) -> None:
        """A Choice state went there."""
        counts = self._chosen.setdefault(id(state), {})
        counts[following] = counts.get(following, 0) + 1
        self._is_changed = True
        if sum(counts.values()) >= HALVE_AT:
            self._chosen[id(state)] = {name: count // 2 for name, count in counts.items()}

    def mapped(self, state: State, items: int) -> None:
        """A Map state had so many items."""
        before = self._items.get(id(state))
        self._items[id(state)] = float(items) if before is None else before + (items - before) / 4
        self._is_changed = True

    def shares(self, state: State) -> Iterator[tuple[str, float]]:
        """Where a Choice state leads, and how likely; of what was seen once, only half is believed."""
        counts = self._chosen.get(id(state), {})
        whole = sum(counts.values()) + 1
        return ((name, count / whole) for name, count in counts.items())

    def items(self, state: State) -> int:
        """How many items to expect of a Map state."""
        return round(self._items.get(id(state), 1.0))

    def take_changed(self) -> bool:
        """Whether anything was added since this was last asked."""
        changed, self._is_changed = self._is_changed, False
        return changed

    def to_bytes(self, machine: StateMachine) -> bytes:
        """All of it, a few bytes for each Choice and Map state. States are told by their places in the definition, of
        which a version has but one."""
        learned = []
        for place, (state, names) in enumerate(_places(machine)):
            counts = self._chosen.get(id(state), {})
            chosen = [[names.index(name), count] for name, count in counts.items() if name in names]
            items = [self._items[id(state)]] if id(state) in self._items else []
            if chosen or items:
                learned.append([place, chosen, items])
        return learned_format.to_bytes(FORMAT, learned)

    def restore(self, machine: StateMachine, record: bytes) -> None:
        """Be as when `to_bytes` gave this. Raises ValueError: no such record, or in another format."""
        places = list(_places(machine))

        def make(learned: Numbers) -> tuple[dict[int, dict[str, int]], dict[int, float]]:
            chosen, items = {}, {}
            for place, counts, mean in learned:
                state, names = places[place]
                if counts:
                    chosen[id(state)] = {names[index]: int(count) for index, count in counts}
                if mean:
                    items[id(state)] = float(mean[0])
            return chosen, items

        self._chosen, self._items = learned_format.from_bytes(FORMAT, record, make)


def _places(machine: StateMachine) -> Iterator[tuple[State, list[str]]]:
    """Every state of a definition, in order, with the names of those in the same machine."""
    for inside in machine.machines():
        names = list(inside.states)
        yield from ((state, names) for state in inside.states.values())


@dataclass(frozen=True, slots=True)
class Prospect:
    """A task that may come next: how likely, and how many of it at once if it does."""

    task: Task
    share: float
    count: int


def prospects(machine: StateMachine, state: str, habits: Habits) -> list[Prospect]:
    """The first tasks from `state` on; states in which time passes are not looked behind."""
    found: dict[int, Prospect] = {}
    seen: set[int] = set()
    waiting: list[tuple[StateMachine, str, float, int]] = [(machine, state, 1.0, 1)]
    while waiting and len(seen) < MOST_LOOKED_AT:
        inside, name, share, count = waiting.pop()
        if not inside.following(name) or share < LEAST_SHARE:
            continue
        one = inside.states[name]
        if isinstance(one, Task):
            known = found.get(id(one))
            together = share if known is None else min(1.0, known.share + share)
            found[id(one)] = Prospect(one, together, max(count, 0 if known is None else known.count))
        elif id(one) not in seen:
            seen.add(id(one))
            waiting += _behind(inside, one, share, count, habits)
    return [one for one in found.values() if one.count]


def _behind(
    inside: StateMachine, state: State, share: float, count: int, habits: Habits
) -> Iterator[tuple[StateMachine, str, float, int]]:
    match state:
        case Pass():
            yield inside, state.next, share, count
        case Choice():
            for name, part in habits.shares(state):
                yield inside, name, share * part, count
        case Parallel():
            for branch in state.branches:
                yield branch, branch.start_at, share, count
        case Map():
            yield state.processor, state.processor.start_at, share, count * _at_once(state, habits)


def _at_once(state: Map, habits: Habits) -> int:
    """How many iterations will run at once. Of batches nothing is known but that there is one."""
    if state.batcher is not None:
        return 1
    most = state.max_concurrency.constant if state.max_concurrency is not None else None
    return min(habits.items(state), int(most or INLINE_LIMIT))


@dataclass(slots=True)
class GuessCount:
    """Reservations made since the start, those used, and those given up without use."""

    reservations: int = 0
    used: int = 0
    wrong: int = 0
