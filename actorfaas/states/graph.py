"""Problems of a machine as a whole: states never reached, and an execution that could never end."""

from __future__ import annotations

from collections.abc import Iterator

from actorfaas.states.model import Choice, Fail, State, StateMachine, Succeed
from actorfaas.states.reading import Place, Problem, pointer_to


def graph_problems(place: Place, machine: StateMachine) -> list[Problem]:
    """What is wrong with a machine whose states are all right by themselves."""
    reached = _reached(machine)
    problems = [
        Problem(pointer_to((*place, "States", name)), f"state {name!r} cannot be reached from {machine.start_at!r}")
        for name in machine.states
        if name not in reached
    ]
    states = [machine.states[name] for name in reached]
    # a loop with a Choice in it may be left by failing; one without goes on for ever
    if not any(isinstance(state, Choice | Succeed | Fail) or not state.next for state in states):
        circle = " → ".join(_circle(machine))
        problems.append(Problem(pointer_to((*place, "States")), f"the execution would never end: {circle}"))
    return problems


def successors(state: State) -> Iterator[str]:
    """The names of all states that may follow one."""
    match state:
        case Choice():
            yield from (rule.next for rule in state.rules)
            if state.default:
                yield state.default
        case Succeed() | Fail():
            return
        case _:
            if state.next:
                yield state.next
            yield from getattr(state, "potential_next", ())
            yield from (catcher.next for catcher in getattr(state, "catch", ()))


def _reached(machine: StateMachine) -> dict[str, None]:
    reached: dict[str, None] = {}
    waiting = [machine.start_at]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached[name] = None
            waiting.extend(successors(machine.states[name]))
    return reached


def _circle(machine: StateMachine) -> list[str]:
    """The loop that the states' Next make."""
    walk: list[str] = []
    name = machine.start_at
    while name not in walk:
        walk.append(name)
        name = next(successors(machine.states[name]))
    return [*walk[walk.index(name) :], name]
