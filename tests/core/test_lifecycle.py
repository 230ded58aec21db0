"""The worker's life: the table, and nothing but the table."""

from __future__ import annotations

import itertools

import pytest

from actorfaas.core import lifecycle
from actorfaas.core.lifecycle import TRANSITIONS, step
from actorfaas.errors import IllegalTransition, InvariantViolation


def test_the_table_is_sound() -> None:
    lifecycle.check_invariants()


def test_a_whole_life_is_allowed() -> None:
    life = [
        "forking",
        "reporting",
        "resident",
        "reserved",
        "busy",
        "resident",
        "paging_out",
        "swapped",
        "paging_in",
        "resident",
        "busy",
        "dead",
    ]
    for before, after in itertools.pairwise(life):
        assert step("w", before, after) == after


@pytest.mark.parametrize(
    "life",
    [
        ["resident", "paging_out", "resident"],  # it could not be brought out
        ["swapped", "busy", "resident"],  # called as it is
        ["swapped", "resident"],  # lent as it is
        ["swapped", "paging_in", "busy", "resident"],  # its call came before it was in
        ["swapped", "paging_in", "resident", "reserved", "busy"],  # brought in ahead of its state
    ],
)
def test_a_worker_can_be_called_wherever_its_memory_is(life: list[str]) -> None:
    for before, after in itertools.pairwise(life):
        assert step("w", before, after) == after


@pytest.mark.parametrize("state", ["busy", "reserved", "paging_in", "reporting"])
def test_nobody_who_is_needed_goes_out(state: str) -> None:
    with pytest.raises(IllegalTransition):
        step("w", state, "paging_out")


@pytest.mark.parametrize(
    ("state", "target"),
    [(a, b) for a, b in itertools.product(TRANSITIONS, TRANSITIONS) if b not in TRANSITIONS[a]],
)
def test_every_other_step_raises_and_names_the_worker(state: str, target: str) -> None:
    with pytest.raises(IllegalTransition, match=f"resize@3_4711 cannot go from {state} to {target}"):
        step("resize@3_4711", state, target)


def test_a_table_with_an_immortal_state_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRANSITIONS, "busy", frozenset({"resident"}))
    with pytest.raises(InvariantViolation, match="busy could not die"):
        lifecycle.check_invariants()
