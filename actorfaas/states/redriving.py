"""Going on with an execution that failed, from what failed: how its tree of branches is put together again.

The branches that failed and those that were given up because of them are under way again; what had succeeded keeps its
results. What the failed states do then is left to the engine.
"""

from __future__ import annotations

from actorfaas.states.branches import Branch, Gathering, Wreck
from actorfaas.states.instructions import Opened, Sleep
from actorfaas.states.run import NS_PER_MS, Run


def restore(run: Run, wreck: Wreck | None) -> list[Branch]:
    """Undo what a failure (None: an end from outside) brought about; the branches whose states have to begin again.
    The wreck is used up."""
    if wreck is None:
        return _revive(run, run.branches[0])
    if wreck.levels:
        level = wreck.levels[-1]
        return _take_up(run, level.parent, level.gathering, wreck)
    leaf = wreck.leaf
    leaf.attempt, leaf.tries, leaf.token = 1, {}, ""
    return [leaf] if wreck.gathering is None else _take_up(run, leaf, wreck.gathering)


def _take_up(run: Run, parent: Branch, gathering: Gathering, *wrecks: Wreck) -> list[Branch]:
    """Children that were given up go on, and so do those that failed: the wrecks, and what was tolerated."""
    parent.gathering, parent.waits = gathering, "children"
    failed = [*wrecks, *gathering.lost]
    for wreck in failed:
        level = wreck.levels.pop()
        gathering.take_back(level.child, level.weight)
    gathering.forgive(run.now_ns // NS_PER_MS)
    leaves: list[Branch] = []
    for child in gathering.running.values():
        leaves += _revive(run, child)
    for wreck in failed:
        leaves += restore(run, wreck)
    run.ready.append(parent)
    return leaves


def _revive(run: Run, branch: Branch) -> list[Branch]:
    """A branch, and those below it, are under way again; those whose states have to begin again."""
    branch.is_closed = False
    run.branches[branch.number] = branch
    if branch.gathering is not None and branch.waits != "reader":
        return _take_up(run, branch, branch.gathering)
    run.ready.append(branch)
    return []


def tell(run: Run, leaves: list[Branch]) -> None:
    """Say which branches there are below the root, which states are under way again, and which waits go on."""
    for number, one in sorted(run.branches.items()):
        if one.parent is not None:
            apart = one.history is not one.parent.history
            run.done.append(Opened(number, one.parent.number, one.index, apart, one.machine))
        if one.waits or one in leaves:  # others have not entered their first state yet
            run.note(one, f"{type(one.state).__name__}StateRedriven", one.state.name)
        if one.waits == "children" and one.gathering is not None and one.gathering.map_run is not None:
            run.note(one, "MapRunRedriven", one.state.name, payload=one.gathering.map_run.redriven())
        if one.waits in ("timer", "retry"):
            run.done.append(Sleep(number, one.state.name, one.until_ns))
