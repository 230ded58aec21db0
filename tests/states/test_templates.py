"""Payload templates."""

from __future__ import annotations

from typing import Any

import pytest

from actorfaas.states.errors import STATES_INTRINSIC_FAILURE, STATES_RUNTIME, ExpressionError, StatesError
from actorfaas.states.scope import Scope
from actorfaas.states.templates import Field, Template
from tests.states.expressions_kit import outside

Json = Any  # a decoded JSON value of any shape


def fill(template: Json, document: Json = None) -> Json:
    return Template(template).fill(Scope(document, {"State": {"Name": "s"}}, {"v": 1}, outside()))


def test_the_specification_s_example() -> None:
    template = {
        "flagged": True,
        "parts": {"first.$": "$.vals[0]", "last3.$": "$.vals[-3:]"},
        "weekday": "MONDAY",
        "formattedOutput.$": "States.Format('Today is {}', $$.DayOfWeek)",
    }
    filled = Template(template).fill(Scope({"vals": [0, 10, 20, 30]}, {"DayOfWeek": "TUESDAY"}, {}, outside()))
    assert filled == {
        "flagged": True,
        "parts": {"first": 0, "last3": [10, 20, 30]},
        "weekday": "MONDAY",
        "formattedOutput": "Today is TUESDAY",
    }


@pytest.mark.parametrize("constant", [None, 1, "$.a", "States.UUID()", [], {}, [1, {"a": "$.b"}], {"a": {"b": [None]}}])
def test_what_has_no_field_to_fill_stays_as_it_is(constant: Json) -> None:
    assert fill(constant) is constant


def test_fields_are_filled_everywhere() -> None:
    assert fill([{"a.$": "$"}, [{"b.$": "$v"}], 1], "in") == [{"a": "in"}, [{"b": 1}], 1]
    assert fill({"a.b.$": "$$.State.Name", ".$": "$"}, 2) == {"a.b": "s", "": 2}


@pytest.mark.parametrize(
    "template",
    [
        {"a.$": 1},
        {"a.$": None},
        {"a.$": "text"},
        {"a.$": "$.b["},
        {"a.$": "States.Nope()"},
        {"a.$": "$.b", "a": 1},
        [{"x": {"a.$": ""}}],
    ],
)
def test_what_is_no_template_is_refused(template: Json) -> None:
    with pytest.raises(ExpressionError):
        Template(template)


def test_a_template_may_be_nested_too_deeply() -> None:
    template: Json = {"a.$": "$"}
    for _ in range(2_000):
        template = {"a": [template]}
    with pytest.raises(ExpressionError, match="too deeply"):
        Template(template)


def test_a_path_that_finds_nothing_fails_with_its_field() -> None:
    with pytest.raises(StatesError) as caught:
        fill({"address.$": "$.application.address"}, {"flagged": False})
    assert caught.value.error == STATES_RUNTIME
    assert caught.value.cause == (
        "The JSONPath '$.application.address' specified for the field 'address.$' could not be found in the input "
        "'{\"flagged\":false}'"
    )


def test_a_cause_is_bounded() -> None:
    with pytest.raises(StatesError) as caught:
        fill({"a.$": "$.no"}, {"text": "x" * 100_000})
    assert len(caught.value.in_state("s", 2).cause) == 32_768


def test_a_function_s_path_that_finds_nothing_is_named_with_the_whole_call() -> None:
    with pytest.raises(StatesError) as caught:
        fill({"a.$": "States.Array(States.Array($.no), 1)"}, {"other": 1})
    assert caught.value.error == STATES_RUNTIME
    assert caught.value.cause == (
        "The function 'States.Array(States.Array($.no), 1)' had the following error: The JsonPath argument for the "
        "field '$.no' could not be found in the input '{\"other\":1}'"
    )


def test_an_index_past_the_end_gives_null_but_is_no_argument() -> None:
    assert fill({"a.$": "$.items[5]"}, {"items": [1]}) == {"a": None}
    for missing in ("$.items[5].x", "$.no[5]", "States.Array($.items[5])"):
        with pytest.raises(StatesError):
            fill({"a.$": missing}, {"items": [1]})


def test_the_error_and_cause_of_a_fail_state_are_fields_too() -> None:
    scope = Scope({"Error": "E"}, {}, {}, outside())
    assert Field("ErrorPath", "$.Error").fill(scope) == "E"
    assert Field("CausePath", "States.Format('{}!', $.Error)").fill(scope) == "E!"
    with pytest.raises(
        StatesError, match=r"The JSONPath '\$\.ErrorX' specified for the field 'ErrorPath' could not be"
    ):
        Field("ErrorPath", "$.ErrorX").fill(scope)


def test_a_function_that_fails_keeps_its_name() -> None:
    with pytest.raises(StatesError) as caught:
        fill({"a.$": "States.StringToJson('{')"}, {})
    assert caught.value.error == STATES_INTRINSIC_FAILURE
