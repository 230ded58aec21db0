"""Which states are reserved next."""

from __future__ import annotations

import orjson
import pytest

from actorfaas.core.lookahead import HALVE_AT, Habits, following_tasks, prospects
from actorfaas.states.model import StateMachine
from actorfaas.states.parsing import parse
from tests.core.branching_rig import Json, machine, task
from tests.core.specs import chain


def names(definition: bytes, state: str, reserved: int, depth: int) -> list[str]:
    return [task.name for task in following_tasks(parse(definition), state, reserved, depth)]


def test_as_many_states_as_asked_for_follow_the_current_one() -> None:
    assert names(chain("a", "b", "c", "d"), "a", 0, 2) == ["b", "c"]


def test_what_is_reserved_already_is_left_out() -> None:
    assert names(chain("a", "b", "c", "d"), "a", 1, 2) == ["c"]
    assert names(chain("a", "b", "c", "d"), "a", 2, 2) == []


def test_nothing_follows_the_last_state() -> None:
    assert names(chain("a", "b"), "b", 0, 3) == []


def test_no_look_ahead_reserves_nothing() -> None:
    assert names(chain("a", "b"), "a", 0, 0) == []


def test_a_state_that_computes_ends_the_look_ahead() -> None:
    machine = b"""{"StartAt": "a", "States": {
        "a": {"Type": "Task", "Resource": "f", "Next": "b"},
        "b": {"Type": "Task", "Resource": "f", "Next": "p"},
        "p": {"Type": "Pass", "Next": "c"},
        "c": {"Type": "Task", "Resource": "f", "End": true}}}"""
    assert names(machine, "a", 0, 5) == ["b"]


CHOICE = {
    "Type": "Choice",
    "Choices": [{"Variable": "$", "NumericEquals": 1, "Next": "b"}, {"Variable": "$", "NumericEquals": 2, "Next": "p"}],
    "Default": "end",
}
BRANCHED = machine(
    a=task("f", Next="choose"),
    choose=CHOICE,
    b=task("b"),
    p={"Type": "Pass", "Next": "c"},
    c=task("c"),
    end={"Type": "Succeed"},
)


def foreseen(parsed: StateMachine, state: str, habits: Habits) -> list[tuple[str, float, int]]:
    return [(one.task.name, round(one.share, 2), one.count) for one in prospects(parsed, state, habits)]


def parsed(definition: Json) -> StateMachine:
    return parse(orjson.dumps(definition))


def test_a_choice_is_foreseen_by_where_it_went() -> None:
    habits, branched = Habits(), parsed(BRANCHED)
    assert foreseen(branched, "choose", habits) == []
    for following in ("b", "b", "b", "p"):
        habits.chose(branched.states["choose"], following)
    assert sorted(foreseen(branched, "choose", habits)) == [("b", 0.6, 1), ("c", 0.2, 1)]


def test_the_recent_past_decides() -> None:
    habits, branched = Habits(), parsed(BRANCHED)
    for following in ("b", "p"):
        for _ in range(HALVE_AT * 4):
            habits.chose(branched.states["choose"], following)
    (likely, *unlikely) = sorted(foreseen(branched, "choose", habits), key=lambda one: -one[1])
    assert likely[0] == "c"
    assert likely[1] > 0.9
    assert all(share < 0.1 for _, share, _ in unlikely)


def test_of_a_parallel_state_the_first_tasks_of_all_branches_are_foreseen() -> None:
    inner = {"Type": "Parallel", "Branches": [machine(x=task("y", Next="z"), z=task("z"))], "End": True}
    waits = machine(w={"Type": "Wait", "Seconds": 1, "Next": "late"}, late=task("late"))
    definition = machine(
        p={"Type": "Parallel", "Branches": [machine(x=task("x")), machine(q=inner), waits], "Next": "b"}, b=task("b")
    )
    found = prospects(parsed(definition), "p", Habits())
    assert sorted(one.task.function for one in found) == ["x", "y"], "states of the same name are two"


@pytest.mark.parametrize(
    ("items", "at_once", "expected"), [((), 0, 1), ((8, 8), 0, 8), ((8,), 3, 3), ((100,), 0, 40), ((0,), 0, 0)]
)
def test_of_a_map_as_many_as_will_run_are_foreseen(items: tuple[int, ...], at_once: int, expected: int) -> None:
    each = {"Type": "Map", "MaxConcurrency": at_once, "ItemProcessor": machine(x=task("x")), "End": True}
    habits, mapping = Habits(), parsed(machine(m=each))
    for count in items:
        habits.mapped(mapping.states["m"], count)
    assert foreseen(mapping, "m", habits) == ([("x", 1.0, expected)] if expected else [])


def test_a_loop_is_gone_through_once() -> None:
    definition = machine(
        a={"Type": "Pass", "Next": "choose"},
        choose={"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": True, "Next": "a"}], "Default": "b"},
        b=task("b"),
    )
    habits, looping = Habits(), parsed(definition)
    for following in ("a", "a", "b", "b"):
        habits.chose(looping.states["choose"], following)
    assert foreseen(looping, "a", habits) == [("b", 0.4, 1)]
