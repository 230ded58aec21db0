"""The life of a FunctionWorker: the one table of allowed transitions.

    forking → reporting → resident → (reserved) → busy → resident → paging_out → swapped → paging_in → resident …

and from any of them → dead. A page-out or page-in that fails leads back. A worker that is out can be called as it is:
its pages come as it touches them, so it is busy (or lent) from then on. A worker lent to a topic stays `resident` here:
which of its moments are busy is the LocalQueue's knowledge. Which worker changes when is left to `core.dispatch`.
"""

from __future__ import annotations

from actorfaas.errors import IllegalTransition, InvariantViolation

FORKING = "forking"
REPORTING = "reporting"
RESIDENT = "resident"
RESERVED = "reserved"
BUSY = "busy"
PAGING_OUT = "paging_out"
SWAPPED = "swapped"
PAGING_IN = "paging_in"
DEAD = "dead"

TRANSITIONS: dict[str, frozenset[str]] = {
    FORKING: frozenset({REPORTING, DEAD}),
    REPORTING: frozenset({RESIDENT, DEAD}),
    RESIDENT: frozenset({RESERVED, BUSY, PAGING_OUT, DEAD}),
    RESERVED: frozenset({BUSY, RESIDENT, DEAD}),
    BUSY: frozenset({RESIDENT, DEAD}),
    PAGING_OUT: frozenset({SWAPPED, RESIDENT, DEAD}),
    SWAPPED: frozenset({PAGING_IN, RESIDENT, BUSY, DEAD}),
    PAGING_IN: frozenset({RESIDENT, SWAPPED, BUSY, DEAD}),
    DEAD: frozenset(),
}


def step(worker: str, state: str, target: str) -> str:
    """`target`, if a worker in `state` may go there. Raises IllegalTransition, which names the worker."""
    if target not in TRANSITIONS[state]:
        raise IllegalTransition(f"worker {worker} cannot go from {state} to {target}")
    return target


def check_invariants() -> None:
    """The table is closed, every live state can die, and every state can be reached. Raises InvariantViolation."""
    for state, targets in TRANSITIONS.items():
        if unknown := targets - TRANSITIONS.keys():
            raise InvariantViolation(f"{state} leads to unknown states {sorted(unknown)}")
        if state != DEAD and DEAD not in targets:
            raise InvariantViolation(f"a worker that is {state} could not die")
    reached = {FORKING}.union(*TRANSITIONS.values())
    if reached != TRANSITIONS.keys():
        raise InvariantViolation(f"{sorted(TRANSITIONS.keys() - reached)} can never be reached")
