"""Which states are reserved next."""

from __future__ import annotations

from actorfaas.core.lookahead import following_tasks
from actorfaas.states.parsing import parse
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
