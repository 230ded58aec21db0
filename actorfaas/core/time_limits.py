"""How long an execution of a workflow may take that declares no time limit: what its states may take together."""

from __future__ import annotations

from collections.abc import Callable

from actorfaas.states.graph import successors
from actorfaas.states.model import Map, Parallel, StateMachine, Task, Wait

ENDLESS_S = 86_400.0
"""For a workflow of which that cannot be said: it repeats states, or waits for a time that its input gives."""

PATIENT_S = 31_536_000.0
"""For a workflow that waits for somebody outside as long as that takes: a year, as on Step Functions."""


def longest_s(machine: StateMachine, function_s: Callable[[str], float]) -> float:
    """The sum of its states' limits, without retries; of branches that run at once, of the longest. `function_s`: a
    function's own limit."""
    if any(task.resource.is_answered_apart and not task.timeout_s for task in machine.tasks()):
        return PATIENT_S
    if any(_may_repeat(one) for one in machine.machines()):
        return ENDLESS_S
    total = 0.0
    for state in machine.states.values():
        match state:
            case Map():
                return ENDLESS_S
            case Parallel():
                total += max(longest_s(branch, function_s) for branch in state.branches)
            case Task():
                total += _task_s(state, function_s)
            case Wait() if state.duration is not None or state.moment is not None:
                return ENDLESS_S
            case Wait():
                total += state.seconds
    return min(total, ENDLESS_S)


def _task_s(task: Task, function_s: Callable[[str], float]) -> float:
    if task.timeout_s:
        return task.timeout_s
    return ENDLESS_S if task.timeout is not None or not task.function else function_s(task.function)


def _may_repeat(machine: StateMachine) -> bool:
    """Whether a state may come twice."""
    done: set[str] = set()
    path: set[str] = set()
    waiting: list[tuple[str, bool]] = [(machine.start_at, True)]
    while waiting:
        name, begins = waiting.pop()
        if not begins:
            path.discard(name)
            done.add(name)
            continue
        if name in path:
            return True
        if name in done:
            continue
        path.add(name)
        waiting.append((name, False))
        waiting += [(following, True) for following in successors(machine.states[name])]
    return False
