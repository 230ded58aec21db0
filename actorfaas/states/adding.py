"""States that a task's function had run next (PotentialNext, an extension of the States Language).

One takes the place of the task's Next, with its input as the task's output. Several run at once, as branches of a
Parallel state do: each to an end, or up to the task's Next. The list of their outputs is then the task's result.
"""

from __future__ import annotations

from collections.abc import Sequence

from actorfaas.states.branches import Branch, Gathering
from actorfaas.states.document import Document
from actorfaas.states.errors import StatedFailure
from actorfaas.states.model import Task
from actorfaas.states.run import Run
from actorfaas.states.steps import result_of

Added = tuple[str, bytes]
"""A state, and its input as JSON."""

MAX_ADDED = 100

STATES_NEXT_NOT_ALLOWED = "NextNotAllowed"
"""The error of a task that adds a state which it does not declare."""


def follow(run: Run, branch: Branch, task: Task, payload: bytes, added: Sequence[Added]) -> None:
    """The task returned, and these states are next. Raises StatesError where it may not have them."""
    check(task, added)
    if len(added) == 1:
        _assign(run, branch, task, payload)
        name, input_ = added[0]
        run.leave(branch, Document(input_), name)
        return
    gathering = Gathering(limit=len(added), results=[b""] * len(added))
    branch.gathering = gathering
    branch.waits = "children"
    for index, (name, input_) in enumerate(added):
        child = run.open(branch, branch.machine.branch_at(name, task.next), index, None, apart=False)
        child.take(Document(input_))
        gathering.running[child.number] = child
        run.ready.append(child)


def check(task: Task, added: Sequence[Added]) -> None:
    """Raises StatesError for states that the task does not declare, and for too many."""
    for name, _ in added:
        if name not in task.potential_next:
            may = ", ".join(map(repr, task.potential_next)) or "none: it has no PotentialNext"
            raise StatedFailure(
                STATES_NEXT_NOT_ALLOWED, f"state {task.name!r} added {name!r} to run next; it may add {may}"
            )
    if len(added) > MAX_ADDED:
        what = f"state {task.name!r} added {len(added)} states to run next"
        raise StatedFailure(STATES_NEXT_NOT_ALLOWED, f"{what}; it may add {MAX_ADDED}")


def _assign(run: Run, branch: Branch, task: Task, payload: bytes) -> None:
    """Set the variables that the task's Assign makes of its result. Raises StatesError."""
    if task.flow.computes_output:
        outcome = task.flow.finish(run.frame(branch), result_of(task, payload).value)
        if outcome.assigned:
            branch.variables = {**branch.variables, **outcome.assigned}
