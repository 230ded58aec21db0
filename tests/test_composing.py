"""`actorfaas.composing` and `compiling`: what steps become, how states are called, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from actorfaas import (
    Function,
    Workflow,
    choose,
    each,
    event,
    fail,
    function,
    parallel,
    pass_,
    succeed,
    wait,
    when,
    workflow,
)
from actorfaas.api import _registry, declared
from actorfaas.compiling import MAX_STATE_NAME_LENGTH, compiled
from actorfaas.composing import Composable
from actorfaas.errors import DeclarationError
from actorfaas.states.validate import validate

Json = Any  # a decoded JSON document


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """What a test declares is forgotten after it."""
    before = list(_registry)
    yield
    _registry[:] = before


def make(name: str) -> Function[..., Any]:
    return function(name=name)(lambda event: [*event, name])


def states(composition: Composable) -> dict[str, Json]:
    """The states of a composition, which must make a valid definition."""
    definition = compiled(composition)
    assert validate(json.dumps(definition).encode()) == []
    found: dict[str, Json] = definition["States"]
    return found


class TestSteps:
    def test_parallel(self) -> None:
        a, b, c = make("a"), make("b"), make("c")
        found = states(parallel(a, b >> c) >> a)
        assert list(found) == ["parallel", "a"]
        first, second = found["parallel"]["Branches"]
        assert (first["StartAt"], list(second["States"])) == ("a_2", ["b", "c"])
        assert found["parallel"]["Next"] == "a"

    def test_each(self) -> None:
        f, g = make("f"), make("g")
        found = states(each(f >> g, items=event.items, max_concurrency=8))
        fields = found["each_f"]
        assert (fields["Type"], fields["ItemsPath"], fields["MaxConcurrency"]) == ("Map", "$.items", 8)
        assert list(fields["ItemProcessor"]["States"]) == ["f", "g"]
        assert states(each(f, items="$.x", max_concurrency="$.n"))["each_f"]["MaxConcurrencyPath"] == "$.n"

    def test_branches_of_a_choice_meet_again(self) -> None:
        a, b, c = make("a"), make("b"), make("c")
        found = states(choose(when(event.amount > 100, a), when("$.x", "exists", b), otherwise=a) >> c)
        rules = found["choose"]["Choices"]
        assert [rule["Next"] for rule in rules] == ["a", "b"]
        assert (found["choose"]["Default"], found["a"]["Next"], found["b"]["Next"]) == ("a", "c", "c")

    def test_without_otherwise_the_input_goes_on(self) -> None:
        a, b = make("a"), make("b")
        assert states(choose(when(event.x == 1, a)) >> b)["choose"]["Default"] == "b"
        last = states(choose(when(event.x == 1, a)))
        assert last[last["choose"]["Default"]] == {"Type": "Succeed"}

    def test_a_condition_in_jsonata(self) -> None:
        found = states(choose(when("$states.input > 3", make("a")), otherwise=succeed()))
        assert found["choose"]["QueryLanguage"] == "JSONata"
        assert found["choose"]["Choices"] == [{"Condition": "{% $states.input > 3 %}", "Next": "a"}]

    @pytest.mark.parametrize(
        ("step", "fields"),
        [
            (wait(5), {"Seconds": 5}),
            (wait(event.delay), {"SecondsPath": "$.delay"}),
            (wait(until="2026-01-01T00:00:00Z"), {"Timestamp": "2026-01-01T00:00:00Z"}),
            (wait(until=datetime(2026, 1, 1, tzinfo=UTC)), {"Timestamp": "2026-01-01T00:00:00Z"}),
            (wait(until=event.at), {"TimestampPath": "$.at"}),
        ],
    )
    def test_wait(self, step: Composable, fields: Json) -> None:
        assert states(step)["wait"] == {"Type": "Wait", **fields, "End": True}

    @pytest.mark.parametrize(
        ("step", "fields"),
        [
            (pass_(), {}),
            (pass_(None), {"Result": None}),
            (pass_({"a": [1]}), {"Result": {"a": [1]}}),
            (pass_(event.order), {"InputPath": "$.order"}),
            (
                pass_({"id": event.order.id, "deep": {"n": event.n}, "list": [{"m": event.m}], "x": 1}),
                {"Parameters": {"id.$": "$.order.id", "deep": {"n.$": "$.n"}, "list": [{"m.$": "$.m"}], "x": 1}},
            ),
        ],
    )
    def test_pass(self, step: Composable, fields: Json) -> None:
        assert states(step)["pass"] == {"Type": "Pass", **fields, "End": True}

    def test_fail_and_succeed_end(self) -> None:
        found = states(choose(when(event.ok == True, succeed()), otherwise=fail(KeyError, "none")))  # noqa: E712
        assert found["succeed"] == {"Type": "Succeed"}
        assert found["fail_KeyError"] == {"Type": "Fail", "Error": "KeyError", "Cause": "none"}

    def test_retry(self) -> None:
        step = make("a").retry(ValueError, "Busy", times=5, delay_s=2, backoff=1.5, max_delay_s=9, jitter=True).retry()
        first, second = states(step)["a"]["Retry"]
        assert first == {
            "ErrorEquals": ["ValueError", "Busy"],
            "IntervalSeconds": 2,
            "MaxAttempts": 5,
            "BackoffRate": 1.5,
            "MaxDelaySeconds": 9,
            "JitterStrategy": "FULL",
        }
        assert second["ErrorEquals"] == ["States.ALL"]

    def test_a_handler_is_followed_by_what_follows_the_step(self) -> None:
        a, b, handler = make("a"), make("b"), make("handler")
        found = states(a.catch((ValueError, "Busy"), handler, into=event.error).catch(Exception, fail("E")) >> b)
        assert found["a"]["Catch"] == [
            {"ErrorEquals": ["ValueError", "Busy"], "ResultPath": "$.error", "Next": "handler"},
            {"ErrorEquals": ["States.ALL"], "Next": "fail_E"},
        ]
        assert found["handler"]["Next"] == "b"

    def test_a_handler_of_several_steps_with_the_same_end_is_one_state(self) -> None:
        a, b, stop = make("a"), make("b"), fail("Stopped")
        assert list(states(a.catch("X", stop) >> choose(when(event.x == 1, b), otherwise=b))) == [
            *("a", "fail_Stopped"),
            *("choose", "b"),
        ]

    def test_steps_caught_as_one_are_a_parallel_state_of_one_branch(self) -> None:
        a, b = make("a"), make("b")
        found = states((a >> b).retry(times=1).catch(ValueError, b))
        assert (found["try"]["Type"], found["try"]["OutputPath"], len(found["try"]["Branches"])) == (
            "Parallel",
            "$[0]",
            1,
        )
        assert list(found) == ["try", "b_2"]

    def test_names_parts_and_places(self) -> None:
        step = make("a").named("First step").reads(event.order).keeps("$.result")
        assert states(step) == {
            "First step": {
                "Type": "Task",
                "Resource": "a",
                "InputPath": "$.order",
                "ResultPath": "$.result",
                "End": True,
            }
        }

    def test_a_step_is_not_changed_by_what_is_made_of_it(self) -> None:
        a = make("a")
        plain = a.named("x")
        plain.retry()
        plain.catch("X", a)
        plain.reads("$.y")
        assert states(plain) == {"x": {"Type": "Task", "Resource": "a", "End": True}}


class TestNames:
    def test_are_unique_in_the_whole_definition(self) -> None:
        a = make("a")
        text = json.dumps(compiled(a >> parallel(a, each(a)) >> parallel(a, a)))
        for name in ("a", "a_2", "a_3", "a_4", "parallel", "parallel_2", "each_a"):
            assert text.count(f'"{name}": {{') == 1

    def test_long_ones_are_cut(self) -> None:
        step = make("a").named("x" * 200)
        assert [len(name) for name in states(step >> step)] == [MAX_STATE_NAME_LENGTH] * 2

    def test_docstrings_become_comments(self) -> None:
        @function
        def described(event: Json) -> Json:
            """Says what it does.

            And more.
            """
            return event

        @workflow
        def whole() -> Composable:
            """What it is for."""
            return described >> succeed()

        assert isinstance(whole, Workflow)
        assert whole.asl["Comment"] == "What it is for."
        assert whole.asl["States"]["described"]["Comment"] == "Says what it does."


class TestRefused:
    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (lambda: fail("X") >> make("a"), "nothing can follow fail_X"),
            (lambda: choose(when(event.a == 1, fail("X")), otherwise=succeed()) >> make("a"), "nothing can follow"),
            (lambda: parallel(), "at least one branch"),
            (lambda: parallel(print), "is it decorated"),  # type: ignore[arg-type]
            (lambda: each(print), "is it decorated"),  # type: ignore[arg-type]
            (lambda: each(make("a"), max_concurrency=0), "from 1 up"),
            (lambda: when(), "is it decorated|condition is written"),
            (lambda: when(event.a, make("a")), "condition is written"),
            (lambda: choose(), "at least one"),
            (lambda: choose(make("a")), "takes cases"),  # type: ignore[arg-type]
            (lambda: choose(when("true", make("a")), when(event.a == 1, make("b"))), "all in JSONata"),
            (lambda: wait(), "either seconds or until"),
            (lambda: wait(1, until="2026-01-01T00:00:00Z"), "either seconds or until"),
            (lambda: wait(-1), "whole seconds"),
            (lambda: wait(0.5), "whole seconds"),  # type: ignore[arg-type]
            (lambda: pass_(1, 2), "one value"),
            (lambda: pass_({"a": [event.x]}), "not the item of a list"),
            (lambda: make("a").retry(3), "an error is"),  # type: ignore[arg-type]
            (lambda: make("a").catch((), make("b")), "at least one error"),
            (lambda: make("a").catch("X", print), "is it decorated"),  # type: ignore[arg-type]
            (lambda: make("a").retry().retry(ValueError), "put it last"),
            (lambda: make("a").catch(Exception, fail("X")).catch("Y", fail("X")), "put it last"),
            (lambda: wait(1).keeps("$.a"), "no result of its own"),
        ],
    )
    def test_when_composed(self, build: Callable[[], object], message: str) -> None:
        with pytest.raises(DeclarationError, match=message):
            build()

    def test_two_functions_of_one_name(self) -> None:
        one = make("same")
        _registry.clear()
        with pytest.raises(DeclarationError, match="two functions named 'same'"):
            workflow("w", one >> make("same"))


def test_functions_in_branches_and_handlers_are_deployed_with_the_workflow() -> None:
    names = ["a", "b", "c", "d"]
    a, b, c, d = map(make, names)
    made = workflow("w", parallel(a, each(b)) >> choose(when(event.x == 1, c.catch("X", d))))
    assert list(made.functions) == names
    assert {one.name for one in declared([__name__])[0]} == set(names)
