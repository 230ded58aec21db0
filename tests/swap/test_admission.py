"""Admission: what instances that were asked for count with, until when, and how many more may come."""

from __future__ import annotations

import pytest

from actorfaas.swap.admission import LEAST_AT_ONCE, YOUNG_NS, Admission
from actorfaas.swap.budget import BudgetRules, MemoryBudget
from actorfaas.swap.learning import Learning

MB = 1_000_000
UNKNOWN = 32 * MB


@pytest.fixture
def budget() -> MemoryBudget:
    """Of 1 GB: 900 MB up to the high mark."""
    return MemoryBudget(BudgetRules(1000 * MB))


@pytest.fixture
def learning() -> Learning:
    return Learning()


@pytest.fixture
def admission(learning: Learning) -> Admission:
    return Admission(learning)


def test_as_many_may_come_as_fit_below_the_high_mark(admission: Admission, budget: MemoryBudget) -> None:
    budget.measured(500 * MB)
    assert admission.room("f@1", budget) == 400 * MB // UNKNOWN
    admission.coming("g@1", 10)
    assert admission.room("f@1", budget) == 80 * MB // UNKNOWN


def test_an_instance_counts_from_being_asked_for_until_it_must_have_been_measured(admission: Admission) -> None:
    admission.coming("f@1", 1)
    admission.pass_time(0)
    assert admission.bytes == pytest.approx(UNKNOWN, abs=1)
    admission.coming("f@1", 0)
    admission.pass_time(1)
    assert not admission.pass_time(YOUNG_NS)
    assert admission.bytes == pytest.approx(UNKNOWN, abs=1)
    assert admission.next_due_ns() == YOUNG_NS + 1
    assert admission.pass_time(YOUNG_NS + 1)
    assert (admission.bytes, admission.next_due_ns()) == (0, None)


def test_what_is_seen_in_the_measured_usage_is_not_expected_any_more(admission: Admission) -> None:
    admission.coming("f@1", 2)
    admission.coming("f@1", 1)
    admission.pass_time(0)
    admission.grown(20 * MB)
    assert admission.bytes == pytest.approx(2 * UNKNOWN - 20 * MB, abs=2)
    admission.grown(20 * MB)
    assert admission.bytes == pytest.approx(UNKNOWN, abs=1), "what has not reported itself has not grown"
    admission.grown(-20 * MB)
    assert admission.bytes == pytest.approx(UNKNOWN, abs=1)


def test_where_there_is_no_room_a_few_may_start_once_those_before_are_measured(
    admission: Admission, budget: MemoryBudget
) -> None:
    budget.measured(2000 * MB)
    assert admission.room("f@1", budget) == LEAST_AT_ONCE
    admission.coming("g@1", 1)
    assert admission.room("f@1", budget) == LEAST_AT_ONCE - 1
    admission.coming("g@1", 0)
    assert admission.room("f@1", budget) == 0
    admission.pass_time(0)
    admission.pass_time(YOUNG_NS)
    assert admission.room("f@1", budget) == LEAST_AT_ONCE


def test_sizes_are_the_functions_own_or_else_those_of_all(
    admission: Admission, budget: MemoryBudget, learning: Learning
) -> None:
    for _ in range(30):
        learning.paged_out("small@1", 2 * MB, is_whole=True)
    assert learning.worker_bytes("small@1") == pytest.approx(2 * MB, rel=0.2)
    assert 2 * MB < learning.worker_bytes("new@1") < 4 * MB
    assert admission.room("small@1", budget) > admission.room("new@1", budget)


def test_an_instance_is_expected_to_use_what_others_did_before_they_were_out(
    admission: Admission, budget: MemoryBudget, learning: Learning
) -> None:
    for _ in range(30):
        learning.paged_out("f@1", 80 * MB, is_whole=True)
    room = admission.room("f@1", budget)
    for _ in range(30):
        learning.paged_out("f@1", 5 * MB, is_whole=False)  # what a call touched
    assert learning.worker_bytes("f@1") < 10 * MB
    assert admission.room("f@1", budget) == room


def test_a_worker_that_is_read_back_counts_until_it_is_measured_and_holds_up_no_last_resort(
    admission: Admission, budget: MemoryBudget
) -> None:
    budget.measured(2000 * MB)
    admission.coming("g@1", 1)
    admission.coming("g@1", 0)
    admission.pass_time(0)
    admission.waking("f@1", 10)
    assert admission.bytes == pytest.approx(2 * UNKNOWN, abs=2)
    admission.grown(UNKNOWN + 2 * MB)
    assert admission.bytes == pytest.approx(UNKNOWN - 2 * MB, abs=2)
    assert admission.room("f@1", budget) == LEAST_AT_ONCE
    assert admission.next_due_ns() == YOUNG_NS + 10
    assert admission.pass_time(YOUNG_NS + 10)
    assert admission.bytes == 0
