"""Whatever was learned is the same after it has been bytes; whatever else these bytes are is refused, or harmless."""

from __future__ import annotations

from math import isfinite
from typing import Any

import msgpack
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorfaas.core import learned_format, lookahead
from actorfaas.core.lookahead import Habits, prospects
from actorfaas.states.model import Choice, Map, StateMachine
from actorfaas.states.parsing import parse
from actorfaas.swap import learning
from actorfaas.swap.arrivals import SECOND_NS
from actorfaas.swap.costs import Way
from actorfaas.swap.learning import Known, Learning
from tests.core.branching_rig import machine, task

TOPIC = "f@1"
WAYS = sorted(Way)
KINDS = ("resident", "prefetched", "concurrent", "swapped", "fork", "cold", "recorded")

positive = st.integers(1, 10**13)
observations = st.one_of(
    st.tuples(st.just("observe"), st.sampled_from(WAYS), positive),
    st.tuples(st.just("returned"), st.sampled_from(KINDS), positive),
    st.tuples(st.just("ran"), positive),
    st.tuples(st.just("arrived"), st.integers(0, 6 * 3600 * SECOND_NS)),
    st.tuples(st.just("recorded"), st.integers(0, 1 << 34)),
    st.tuples(st.just("template_paged_out"), st.integers(1, 1 << 34)),
    st.tuples(st.just("paged_out"), st.integers(1, 1 << 34)),
    st.tuples(st.just("cheapest"), st.sets(st.sampled_from(WAYS), min_size=1)),
)
numbers = st.recursive(
    st.integers(0, learned_format.LARGEST) | st.floats(0, 1e18),
    lambda inner: st.lists(inner, max_size=10),
    max_leaves=40,
)


def observe(learned: Learning, *observed: Any) -> None:  # Any: of any method
    name, *arguments = observed
    if name == "paged_out":
        learned.paged_out(TOPIC, *arguments, is_whole=True)
    else:
        getattr(learned, name)(TOPIC, *arguments)


@given(st.lists(observations, max_size=60), st.integers(0, 700))
def test_costs_and_arrivals_survive(observed: list[Any], as_often: int) -> None:
    before, after = Learning(), Learning()
    for one in observed:
        observe(before, *one)
    for at in range(as_often):  # enough for counts that are halved
        before.arrived(TOPIC, at * SECOND_NS)
        before.ran(TOPIC, 1000 * at)
    record = before.of(TOPIC).to_bytes()
    assert len(record) < 8_000
    after.restore(TOPIC, record)
    one, other = before.of(TOPIC), after.of(TOPIC)
    assert other.to_bytes() == record
    assert [other.costs.price_ns(way) for way in WAYS] == [one.costs.price_ns(way) for way in WAYS]
    assert [other.costs.cheapest(WAYS[2:]) for _ in range(9)] == [one.costs.cheapest(WAYS[2:]) for _ in range(9)]
    assert other.costs.run.quantile_ns(0.5, 3) == one.costs.run.quantile_ns(0.5, 3)
    assert other.costs.run.expected_ns() == pytest.approx(one.costs.run.expected_ns())
    assert other.arrivals.prediction() == Known.from_bytes(record).arrivals.prediction()
    assert other.arrivals.window() is None, "when the last call was is not known to another clock"
    assert other.is_recorded == one.is_recorded
    assert after.worker_bytes(TOPIC) == pytest.approx(before.worker_bytes(TOPIC), abs=1)


def test_what_is_predicted_is_as_before() -> None:
    before = Known()
    for at in range(40):
        before.arrivals.arrived(7 * at * SECOND_NS)
    prediction = before.arrivals.prediction()
    assert prediction.basis == "seconds"
    assert Known.from_bytes(before.to_bytes()).arrivals.prediction() == prediction


@given(st.binary(max_size=200))
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Known.from_bytes(junk)


@pytest.mark.parametrize("what", [None, "text", {}, [[None]], [-1], [float("nan")], [float("inf")], [b"x"]])
def test_what_is_no_number_is_refused(what: object) -> None:
    with pytest.raises(ValueError, match=r"was never learned|not a record"):
        Known.from_bytes(msgpack.packb([learning.FORMAT, what]))


def test_another_format_is_refused() -> None:
    record = msgpack.packb([learning.FORMAT + 1, msgpack.unpackb(Known().to_bytes())[1]])
    with pytest.raises(ValueError, match="format 2"):
        Known.from_bytes(record)


def replace_something(data: st.DataObject, tree: list[Any]) -> None:
    """One number or list, at any depth, becomes another."""
    place = data.draw(st.integers(0, len(tree) - 1))
    inner = tree[place]
    if isinstance(inner, list) and inner and data.draw(st.booleans()):
        replace_something(data, inner)
    else:
        tree[place] = data.draw(numbers)


@given(st.data())
def test_numbers_that_were_never_learned_are_refused_or_do_no_harm(data: st.DataObject) -> None:
    learned = Learning()
    for one in data.draw(st.lists(observations, max_size=20)):
        observe(learned, *one)
    _, tree = msgpack.unpackb(learned.of(TOPIC).to_bytes())
    replace_something(data, tree)
    other = Learning()
    try:
        other.restore(TOPIC, learned_format.to_bytes(learning.FORMAT, tree))
    except ValueError:
        return
    for one in data.draw(st.lists(observations, max_size=20)):
        observe(other, *one)
    assert all(isfinite(other.of(TOPIC).costs.price_ns(way)) for way in WAYS)
    other.page_in_at_ns(TOPIC, ["g@1", TOPIC], 0, 10)
    other.guess_gains(TOPIC, 0.5, can_fork=True)
    other.restore(TOPIC, other.of(TOPIC).to_bytes())


INNER = machine(
    choose={
        "Type": "Choice",
        "Choices": [{"Variable": "$", "NumericEquals": 1, "Next": "b"}],
        "Default": "c",
    },
    b=task("b"),
    c=task("c"),
)
OUTER = machine(
    p={
        "Type": "Parallel",
        "Branches": [INNER, machine(each={"Type": "Map", "ItemProcessor": INNER, "End": True})],
        "End": True,
    }
)


def outer() -> StateMachine:
    return parse(orjson.dumps(OUTER))


def seen(workflow: StateMachine, habits: Habits) -> list[tuple[str, float, int]]:
    return [(one.task.name, one.share, one.count) for one in prospects(workflow, "p", habits)]


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from("bc")) | st.integers(0, 2000), max_size=300))
def test_habits_survive(followed: list[Any]) -> None:
    before, after = outer(), outer()
    habits, restored = Habits(), Habits()
    inside = list(before.machines())
    choices = [one.states["choose"] for one in inside if "choose" in one.states]
    (mapped,) = (state for one in inside for state in one.states.values() if isinstance(state, Map))
    for one in followed:
        if isinstance(one, int):
            habits.mapped(mapped, one)
        else:
            habits.chose(choices[one[0]], one[1])
    assert habits.take_changed() == bool(followed)
    assert not habits.take_changed()
    restored.restore(after, habits.to_bytes(before))
    assert seen(after, restored) == seen(before, habits)
    assert restored.to_bytes(after) == habits.to_bytes(before)


@given(st.binary(max_size=50) | numbers.map(lambda one: learned_format.to_bytes(lookahead.FORMAT, one)))
def test_habits_of_another_definition_are_refused_or_do_no_harm(record: bytes) -> None:
    workflow, habits = outer(), Habits()
    try:
        habits.restore(workflow, record)
    except ValueError:
        assert seen(workflow, habits) == seen(workflow, Habits())
        return
    seen(workflow, habits)
    for inside in workflow.machines():
        for state in inside.states.values():
            if isinstance(state, Choice):
                habits.chose(state, "b")
    habits.to_bytes(workflow)
