"""What a task's parameters ask for: functions called or begun, workflows begun, and with which input."""

from __future__ import annotations

from typing import Any

import pytest

from actorfaas.states.calls import Asked, execution_start, invocation
from actorfaas.states.errors import StatesError

Json = Any  # a decoded JSON value of any shape

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:pack"
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:ship"


def told(asked: Asked) -> tuple[str, str, Json, str]:
    return asked.function, asked.starts, asked.document.value, asked.name


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"FunctionName": "pack", "Payload": {"a": 1}}, ("pack", "", {"a": 1}, "")),
        ({"FunctionName": ARN, "Payload": [1]}, ("pack", "", [1], "")),
        ({"FunctionName": "pack", "Payload": None}, ("pack", "", {}, "")),
        ({"FunctionName": "pack"}, ("pack", "", {}, "")),
        ({"FunctionName": "pack", "Payload": '{"a": 1}'}, ("pack", "", {"a": 1}, "")),
        ({"FunctionName": "pack", "Payload": "tea"}, ("pack", "", "tea", "")),
        ({"FunctionName": "pack", "Payload": 0, "InvocationType": "Event"}, ("", "pack", 0, "")),
    ],
)
def test_an_invocation(parameters: Json, expected: tuple[str, str, Json, str]) -> None:
    assert told(invocation(parameters)) == expected


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "no FunctionName"),
        ([], "no FunctionName"),
        ({"FunctionName": ""}, "no FunctionName"),
        ({"FunctionName": 7}, "no FunctionName"),
        ({"FunctionName": "f", "InvocationType": "DryRun"}, "InvocationType"),
    ],
)
def test_an_invocation_that_cannot_be(parameters: Json, says: str) -> None:
    with pytest.raises(StatesError, match=says) as raised:
        invocation(parameters)
    assert raised.value.error == "States.Runtime"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"StateMachineArn": MACHINE, "Input": {"a": 1}, "Name": "monday"}, ("", "ship", {"a": 1}, "monday")),
        ({"StateMachineArn": "ship", "Input": '"tea"'}, ("", "ship", "tea", "")),
        ({"StateMachineArn": "ship", "Name": None}, ("", "ship", {}, "")),
    ],
)
def test_a_start_of_a_workflow(parameters: Json, expected: tuple[str, str, Json, str]) -> None:
    assert told(execution_start(parameters)) == expected


@pytest.mark.parametrize(
    "parameters", [{}, {"StateMachineArn": "ship", "Name": ""}, {"StateMachineArn": "s", "Name": 1}]
)
def test_a_start_that_cannot_be(parameters: Json) -> None:
    with pytest.raises(StatesError, match=r"have no (StateMachineArn|Name) that is text"):
        execution_start(parameters)
