"""One state by itself."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from actorfaas.errors import DeployError
from actorfaas.states.trial import Mock, Trial, asked, try_state
from tests.states.machines_kit import INVOKE, definition, task

Json = Any  # a decoded JSON value of any shape

RETRY = [{"ErrorEquals": ["E"], "MaxAttempts": 2, "IntervalSeconds": 3}]
CATCH = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "elsewhere"}]


def tried(source: Json, payload: Json = None, **more: Json) -> Trial:
    return try_state(orjson.dumps(source), orjson.dumps(payload), **more)


def test_a_states_output_and_what_follows() -> None:
    found = tried({"Type": "Pass", "Parameters": {"x.$": "$v"}, "Next": "b"}, {}, variables={"v": 7})
    assert (found.status, found.output, found.next) == ("SUCCEEDED", b'{"x":7}', "b")
    waited = tried({"Type": "Wait", "SecondsPath": "$.s", "Next": "b"}, {"s": 1000})
    assert (waited.status, waited.next) == ("SUCCEEDED", "b")


def test_what_a_failure_leads_to() -> None:
    state = task(Retry=RETRY, Catch=CATCH, End=True)
    first = tried(state, {"x": 1}, mock=Mock(error="E", cause="c"))
    assert (first.status, first.error, first.cause) == ("RETRIABLE", "E", "c")
    assert first.inspection["errorDetails"] == {"retryBackoffIntervalSeconds": 3, "retryIndex": 0}
    second = tried(state, {"x": 1}, mock=Mock(error="E", cause="c", retries=1))
    assert second.inspection["errorDetails"]["retryBackoffIntervalSeconds"] == 6
    third = tried(state, {"x": 1}, mock=Mock(error="E", cause="c", retries=2))
    assert (third.status, third.next) == ("CAUGHT_ERROR", "elsewhere")
    assert orjson.loads(third.output or b"") == {"x": 1, "error": {"Error": "E", "Cause": "c"}}
    last = tried(state, {"x": 1}, mock=Mock(error="States.Runtime"))
    assert (last.status, last.output) == ("FAILED", None)


def test_how_often_it_was_tried_is_in_the_context() -> None:
    state = task(ResultSelector={"n.$": "$$.State.RetryCount"}, End=True)
    assert tried(state, mock=Mock(b"1", retries=4)).output == b'{"n":4}'


def test_a_state_of_a_definition_is_tried_by_its_name() -> None:
    whole = definition(a={"Type": "Pass", "Next": "b"}, b={"Type": "Pass", "Result": 2})
    assert tried(whole, state="b").output == b"2"
    with pytest.raises(DeployError, match="no state 'c'"):
        tried(whole, state="c")


@pytest.mark.parametrize(
    ("state", "says"),
    [(3, "JSON object"), ({"Type": "Dance"}, "Type must be"), (task(End=True), "tested with the result")],
)
def test_what_cannot_be_tried(state: Json, says: str) -> None:
    with pytest.raises(DeployError, match=says):
        tried(state)
    with pytest.raises(DeployError, match="not JSON"):
        try_state(b"{", b"1")


INVOKED = {"Type": "Task", "Resource": INVOKE, "Parameters": {"FunctionName": "g", "Payload.$": "$.x"}, "End": True}


def test_what_a_task_would_call() -> None:
    request = asked(orjson.dumps(INVOKED), b'{"x":{"y":1}}')
    assert request is not None
    assert (request.function, request.payload) == ("g", b'{"y":1}')
    plain = asked(orjson.dumps(task(TimeoutSeconds=3, End=True)), b"7", retries=2)
    assert plain is not None
    assert (plain.function, plain.payload, plain.timeout_s, plain.attempt) == ("f", b"7", 3.0, 3)


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Pass", "End": True},
        task(Parameters={"x.$": "$.missing"}, End=True),
        {**INVOKED, "Resource": f"{INVOKE}.waitForTaskToken"},
        {**INVOKED, "Parameters": {"FunctionName": "g", "InvocationType": "Event"}},
        task(Resource="arn:aws:states:::sqs:sendMessage", End=True),
    ],
)
def test_what_calls_no_function(state: Json) -> None:
    assert asked(orjson.dumps(state), b"{}") is None


def test_what_a_function_returned_is_not_yet_the_result() -> None:
    assert orjson.loads(tried(INVOKED, {"x": 1}, mock=Mock(returned=b'"hi"')).output or b"") == {
        "ExecutedVersion": "$LATEST",
        "Payload": "hi",
        "StatusCode": 200,
    }
    assert tried(task(End=True), mock=Mock(returned=b"5")).output == b"5"


def test_a_state_in_a_branch() -> None:
    whole = definition(m={"Type": "Map", "ItemProcessor": definition(i={"Type": "Pass", "Result": 3}), "End": True})
    assert tried(whole, state="i").output == b"3"
