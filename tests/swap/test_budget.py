"""The memory budget's marks, pressure, and the cap on traffic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorfaas.swap.budget import SECOND_NS, BudgetRules, MemoryBudget, TrafficCap

MB = 1_000_000


def test_marks_are_shares_of_the_limit() -> None:
    budget = MemoryBudget(BudgetRules(100 * MB))
    budget.measured(85 * MB)
    assert (budget.is_above_low, budget.is_above_high, budget.is_above_limit) == (True, False, False)
    budget.measured(95 * MB)
    assert budget.is_above_high
    budget.leaving_bytes = 20 * MB
    assert not budget.is_above_low
    assert budget.has_room_for(5 * MB)
    assert not budget.has_room_for(6 * MB)
    budget.coming_bytes = 30 * MB
    assert budget.is_above_limit


def test_without_a_limit_nothing_is_ever_above_it() -> None:
    budget = MemoryBudget(BudgetRules(0))
    budget.measured(10**15)
    assert [budget.is_above_low, budget.is_above_high, budget.is_above_limit] == [False] * 3
    assert budget.has_room_for(10**15)


def test_pressure_tightens_quickly_and_relaxes_slowly() -> None:
    budget = MemoryBudget(BudgetRules(100 * MB))
    high_bytes = budget.high_bytes
    budget.pressed(10.0)
    assert budget.high_bytes == high_bytes
    for _ in range(100):
        budget.pressed(60.0)
    assert budget.tightened == pytest.approx(0.4)
    assert budget.high_bytes == pytest.approx(0.6 * high_bytes, abs=2)
    assert budget.limit_bytes == 100 * MB
    for _ in range(39):
        budget.pressed(0.0)
    assert budget.tightened > 0.0
    for _ in range(2):
        budget.pressed(0.0)
    assert budget.tightened == 0.0


def test_what_was_moved_counts_until_the_next_measurement() -> None:
    budget = MemoryBudget(BudgetRules(100 * MB))
    budget.measured(50 * MB)
    budget.moved(-60 * MB)
    assert budget.usage_bytes == 0
    budget.moved(5 * MB)
    assert budget.projected_bytes == 5 * MB
    budget.measured(40 * MB)
    assert budget.projected_bytes == 40 * MB


@pytest.mark.parametrize(("low", "high"), [(0.9, 0.8), (0.0, 0.5), (0.5, 1.1)])
def test_contradicting_marks_are_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="contradict"):
        BudgetRules(1, low=low, high=high)


def test_the_cap_lets_a_burst_pass_and_then_the_rate() -> None:
    cap = TrafficCap(10 * MB, 20 * MB)
    assert cap.has_room(0)
    cap.charge(25 * MB, 0)
    assert not cap.has_room(0)
    due_ns = cap.room_at_ns(0)
    assert due_ns == pytest.approx(SECOND_NS // 2, rel=0.01)
    assert cap.has_room(due_ns)


def test_debt_is_bounded() -> None:
    cap = TrafficCap(10 * MB, 20 * MB)
    for _ in range(100):
        cap.charge(20 * MB, 0)
    assert cap.room_at_ns(0) <= 2 * SECOND_NS + 1000


def test_no_cap_never_waits() -> None:
    cap = TrafficCap(0, 0)
    cap.charge(10**15, 0)
    assert cap.has_room(0)
    assert cap.room_at_ns(7) == 7


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 30 * MB)), max_size=100))
def test_moves_that_wait_for_room_keep_to_the_rate(moves: list[tuple[int, int]]) -> None:
    cap = TrafficCap(10 * MB, 20 * MB)
    now_ns = moved = 0
    for pause_ns, size in moves:
        now_ns = max(now_ns + pause_ns, cap.room_at_ns(now_ns + pause_ns))
        assert cap.has_room(now_ns)
        cap.charge(size, now_ns)
        moved += size
        assert moved <= 20 * MB + 10 * MB * now_ns / SECOND_NS + 30 * MB + 10 * len(moves)
