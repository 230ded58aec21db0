"""Traces replayed in simulated time, as they were and with a change."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorfaas.flow.critical import TOLERANCE_NS
from actorfaas.flow.replay import BEGINS_WITH_NS, Change, _befores, replay
from actorfaas.flow.spans import STATE
from actorfaas.flow.tree import Forest
from tests.flow.kit import MS
from tests.flow.shapes import Traced, mapped


def whole_ms(traced: Traced, workers: dict[str, int], change: Change | None = None) -> float:
    """How long the first span takes in the replay."""
    return replay(Forest(traced.spans), workers, change)[traced.spans[0].span_id] / MS


@given(items=st.integers(1, 20), workers=st.integers(1, 6), run_ms=st.integers(1, 50), then=st.integers(1, 30))
def test_a_map_takes_as_many_turns_as_it_has_items_for_each_worker(
    items: int, workers: int, run_ms: int, then: int
) -> None:
    traced = mapped(items, workers, run_ms)
    assert whole_ms(traced, {"work": workers}) == 20 + -(-items // workers) * run_ms
    changed = whole_ms(traced, {"work": workers}, Change(workers={"work": then}))
    assert changed == 20 + -(-items // then) * run_ms


def test_a_faster_function_shortens_what_waits_for_it() -> None:
    traced = mapped(8, 2, 20)
    assert whole_ms(traced, {"work": 2}, Change(faster={"work": 2.0})) == 20 + 4 * 10
    assert whole_ms(traced, {"work": 2}, Change(faster={"first": 10.0})) == 91


def test_a_function_nobody_waits_for_gains_nothing_by_more_workers() -> None:
    traced = mapped(8, 2, 20)
    assert whole_ms(traced, {"work": 2, "first": 1}, Change(workers={"first": 10})) == 100


def test_executions_wait_for_each_others_workers() -> None:
    one, other = mapped(2, 2, 20), mapped(2, 2, 20, began_ms=5, trace_id="b" * 32)
    forest = Forest([*one.spans, *other.spans])
    took_ns = replay(forest, {"work": 2})
    assert [took_ns[root.span_id] / MS for root in forest.roots] == [40, 55]


def test_time_between_states_stays_as_it_was() -> None:
    traced = Traced()
    flow = traced.execution("flow", (0, 20))
    traced.state("a", (0, 0), (0, 4), flow)
    traced.state("b", (10, 10), (10, 18), flow)
    assert whole_ms(traced, {}) == 20
    assert whole_ms(traced, {}, Change(faster={"a": 4.0})) == 17


def test_a_handler_holds_its_worker_while_it_calls_others() -> None:
    traced = Traced()
    run = traced.request("outer", (0, 10))
    traced.request("inner", (2, 8), run)
    second = Traced("b" * 32)
    run = second.request("outer", (1, 20), run=(10, 20))
    second.request("inner", (12, 18), run)
    forest = Forest([*traced.spans, *second.spans])
    took_ns = replay(forest, {"outer": 1}, Change(faster={"inner": 6.0}))
    assert [took_ns[root.span_id] / MS for root in forest.roots] == [5, 9 - 0 + 5]


def test_own_time_of_a_handler_is_faster_and_what_it_calls_is_not() -> None:
    traced = Traced()
    run = traced.request("outer", (0, 10))
    traced.request("inner", (4, 6), run)
    assert whole_ms(traced, {}, Change(faster={"outer": 2.0})) == 6


def test_a_wait_is_waited() -> None:
    traced = Traced()
    flow = traced.execution("flow", (0, 30))
    traced.add(STATE, "pause", (5, 25), flow)
    assert whole_ms(traced, {}) == 30


def test_iterations_that_came_after_others_come_after_them_again() -> None:
    traced = Traced()
    flow = traced.execution("flow", (0, 40))
    each = traced.add(STATE, "each", (0, 40), flow)
    for item, began_ms in enumerate((0, 0, 20, 20)):  # no more than two at once
        traced.state("work", (began_ms, began_ms), (began_ms, began_ms + 20), each, index=str(item))
    assert whole_ms(traced, {}) == 40
    assert whole_ms(traced, {}, Change(faster={"work": 2.0})) == 20


@pytest.mark.parametrize("workers", [{}, {"work": 100}])
def test_a_function_without_a_limit_never_waits(workers: dict[str, int]) -> None:
    assert whole_ms(mapped(8, 2, 20), workers) == 40


@pytest.mark.parametrize("seed", range(200))
def test_what_a_child_waited_for_is_found_as_it_is_defined(seed: int) -> None:
    chance = Random(seed)
    traced = Traced()
    above = traced.add("state", "each", (0, 20))
    for began in sorted(chance.choices([0, 1, 1.5, 2, 2.3, 4, 5], k=8)):
        index = {"index": str(chance.randrange(3))} if chance.random() < 0.6 else {}
        traced.add("state", "one", (began, began + chance.choice([0, 0.2, 0.5, 1, 3])), above, **index)
    below = Forest(traced.spans).below(above)

    def defined(position: int) -> int:
        child = below[position]
        over = [n for n in range(position) if below[n].ended_ns <= child.began_ns + TOLERANCE_NS]
        mine = [n for n in over if below[n].told == child.told]
        if not mine and child.told and child.began_ns <= BEGINS_WITH_NS:
            return -1
        return max(mine or over, key=lambda n: below[n].ended_ns, default=-1)

    assert list(_befores(above, below)) == [defined(position) for position in range(len(below))]
