"""Look-ahead: which states to reserve workers for while the current one runs, and what the guesses were worth.

Only states that follow without computation are reserved, because only then can a result go directly to the next
worker. Whether a worker can be had is left to `core.dispatch`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from actorfaas.states.model import StateMachine, Task


def following_tasks(machine: StateMachine, state: str, reserved: int, depth: int) -> Iterator[Task]:
    """The tasks to reserve next: at most `depth` ahead of `state`, without the first `reserved`, which are."""
    for distance in range(depth):
        task = machine.direct_successor(state)
        if task is None:
            return
        if distance >= reserved:
            yield task
        state = task.name


@dataclass(slots=True)
class GuessCount:
    """Reservations made since the start, and those given up without use."""

    reservations: int = 0
    wrong: int = 0
