"""Going on with an execution that failed, from what failed: how its tree of branches is put together again.

The branches that failed and those that were given up because of them are under way again; what had succeeded keeps its
results. What the failed states do then is left to the engine.
"""

from __future__ import annotations

from actorfaas.states.branches import Branch, Wreck
from actorfaas.states.instructions import Opened, Sleep
from actorfaas.states.run import Run


def restore(run: Run, wreck: Wreck) -> list[Branch]:
    """Undo what a failure brought about; the branches whose states have to begin again."""
    leaves = [wreck.leaf]
    for level in reversed(wreck.levels):
        gathering = level.gathering
        level.parent.gathering, level.parent.waits = gathering, "children"
        gathering.take_back(level.child, level.weight)
        lost, gathering.lost = gathering.lost, []
        gathering.failures = 0
        for one in lost:
            leaves += restore(run, one)
        for child in gathering.running.values():
            _revive(run, child)
        run.ready.append(level.parent)
    return leaves


def _revive(run: Run, branch: Branch) -> None:
    """A branch, and those below it, are under way again. Each may have more to begin."""
    branch.is_closed = False
    run.branches[branch.number] = branch
    run.ready.append(branch)
    if branch.gathering is not None:
        for child in branch.gathering.running.values():
            _revive(run, child)


def tell(run: Run, leaves: list[Branch]) -> None:
    """Say which branches there are below the root, which states are under way again, and which waits go on."""
    for number, one in sorted(run.branches.items()):
        if one.parent is not None:
            apart = one.history is not one.parent.history
            run.done.append(Opened(number, one.parent.number, one.index, apart, one.machine))
        if one.waits or one in leaves:  # others have not entered their first state yet
            run.note(one, f"{type(one.state).__name__}StateRedriven", one.state.name)
        if one.waits in ("timer", "retry"):
            run.done.append(Sleep(number, one.state.name, one.until_ns))
