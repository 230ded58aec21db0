"""What pictures say."""

from __future__ import annotations

from typing import Any

import pytest

from actorfaas.diagrams.outline import END, START, Link, condition, detail, outline
from tests.states.machines_kit import INVOKE, definition, task

Json = Any  # a part of a definition


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"Variable": "$.a", "NumericGreaterThan": 3}, "$.a > 3"),
        ({"Variable": "$.a", "NumericGreaterThanEquals": 3}, "$.a ≥ 3"),
        ({"Variable": "$.a", "StringLessThanEqualsPath": "$.b"}, "$.a ≤ $.b"),
        ({"Variable": "$.a", "TimestampLessThan": "2026-01-01T00:00:00Z"}, '$.a < "2026-01-01T00:00:00Z"'),
        ({"Variable": "$.a", "BooleanEquals": True}, "$.a = true"),
        ({"Variable": "$.a", "StringMatches": "x*"}, '$.a like "x*"'),
        ({"Variable": "$.a", "IsPresent": True}, "$.a is there"),
        ({"Variable": "$.a", "IsNull": False}, "$.a is not null"),
        ({"Variable": "$.a", "IsString": True}, "$.a is a string"),
        ({"Not": {"Variable": "$.a", "IsNumeric": True}}, "not $.a is a number"),
        ({"Condition": "{% $states.input.a > 3 %}"}, "$states.input.a > 3"),
        ({"Condition": True}, "true"),
        (
            {
                "And": [
                    {"Variable": "$.a", "NumericEquals": 1},
                    {"Or": [{"Variable": "$.b", "NumericEquals": 2}, {"Variable": "$.c", "NumericEquals": 3}]},
                ]
            },
            "$.a = 1 and ($.b = 2 or $.c = 3)",
        ),
        (
            {"Not": {"And": [{"Variable": "$.a", "NumericEquals": 1}, {"Variable": "$.b", "NumericEquals": 2}]}},
            "not ($.a = 1 and $.b = 2)",
        ),
    ],
)
def test_conditions(rule: Json, says: str) -> None:
    assert condition(rule | {"Next": "b"}) == says


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (task(Resource="resize"), "resize"),
        (task(Resource="resize", Retry=[{"ErrorEquals": ["E"]}]), "resize, 3 retries"),
        (task(Resource="resize", Retry=[{"ErrorEquals": ["E"], "MaxAttempts": 1}]), "resize, 1 retry"),
        (task(Resource="arn:aws:lambda:eu-west-1:123:function:resize"), "resize"),
        (task(Resource=INVOKE, Parameters={"FunctionName": "resize"}), "resize"),
        (task(Resource=INVOKE, Arguments={"FunctionName": "{% $f %}"}), "$f"),
        (task(Resource=f"{INVOKE}.waitForTaskToken", Parameters={"FunctionName.$": "$.f"}), "$.f and waits"),
        (task(Resource="arn:aws:states:::sqs:sendMessage"), "sqs:sendMessage"),
        ({"Type": "Wait", "Seconds": 3}, "3 s"),
        ({"Type": "Wait", "SecondsPath": "$.s"}, "$.s s"),
        ({"Type": "Wait", "TimestampPath": "$.t"}, "until $.t"),
        ({"Type": "Fail", "Error": "Bad"}, "Bad"),
        ({"Type": "Fail"}, ""),
        ({"Type": "Map", "ItemsPath": "$.lines", "MaxConcurrency": 4}, "each of $.lines, 4 at once"),
        ({"Type": "Map", "Items": "{% $lines %}", "MaxConcurrency": "{% $n %}"}, "each of $lines"),
        ({"Type": "Map", "ItemReader": {}}, "each of the items of its reader"),
        ({"Type": "Pass", "End": True}, ""),
    ],
)
def test_details(state: Json, says: str) -> None:
    assert detail(state) == says


def test_links() -> None:
    catch = [{"ErrorEquals": ["A", "B"], "Next": "c"}, {"ErrorEquals": ["States.ALL"], "Next": "c"}]
    choices = [{"Variable": "$.x", "NumericEquals": n, "Next": "c"} for n in (1, 2)]
    found = outline(
        definition(
            a=task(Next="b", Catch=catch), b={"Type": "Choice", "Choices": choices, "Default": "a"}, c=task(End=True)
        )
    )
    assert found.links == (
        Link(START, 1, "", "next"),
        Link(1, 2, "", "next"),
        Link(1, 3, "A, B or any error", "catch"),
        Link(2, 3, "$.x = 1 or $.x = 2", "choice"),
        Link(2, 1, "otherwise", "choice"),
        Link(3, END, "", "next"),
    )
    assert found.has_end
    assert not outline(definition(a={"Type": "Succeed"})).has_end


def test_machines_inside_states() -> None:
    inner = definition(x=task(End=True))
    found = outline(
        definition(
            a={"Type": "Parallel", "Branches": [inner, inner], "Next": "b"},
            b={"Type": "Map", "ItemProcessor": inner, "Next": "c"},
            c={"Type": "Map", "Iterator": inner, "End": True},
        )
    )
    assert [[machine.nodes[0].name for machine in node.machines] for node in found.nodes] == [["x", "x"], ["x"], ["x"]]
