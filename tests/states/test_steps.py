"""What each type of state does, beyond what the recordings show."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from actorfaas.states.engine import Engine
from actorfaas.states.instructions import RunTask, Sleep
from tests.states.engine_driver import CONTEXT
from tests.states.expressions_kit import NOW_MS
from tests.states.machines_kit import INVOKE, definition, driver, failure, machine, run, task

Json = Any  # a decoded JSON value of any shape

S = 1_000_000_000
NOW_NS = NOW_MS * 1_000_000


# --- Task -------------------------------------------------------------------------------------------------------------


def first_task(made: Json, payload: Json = None) -> RunTask:
    one = driver(made)
    one.start(payload)
    request = one.waiting[0]
    assert isinstance(request, RunTask)
    return request


@pytest.mark.parametrize(
    ("payload", "sent"),
    [
        (None, b"{}"),
        ("text", b'"text"'),
        ('{"a": [1]}', b'{"a": [1]}'),
        ("12", b"12"),
        ({"a": 1}, b'{"a":1}'),
        (0, b"0"),
        (False, b"false"),
    ],
)
def test_what_a_function_gets_of_a_payload(payload: Json, sent: bytes) -> None:
    invoking = task(Resource=INVOKE, Parameters={"FunctionName": "f", "Payload.$": "$"})
    assert first_task(machine(a=invoking), payload).payload == sent


def test_an_invocation_names_its_function_and_wraps_its_result() -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:g:live"
    invoking = task(Resource=INVOKE, Parameters={"FunctionName.$": "$.name", "Payload": {"x": 1}})
    request = first_task(machine(a=invoking), {"name": arn})
    assert (request.function, request.task.function) == ("g", "")
    output = run(machine(a=invoking), {"name": arn}, {"g": lambda payload: payload["x"] + 1})
    assert output == {"ExecutedVersion": "$LATEST", "Payload": 2, "StatusCode": 200}
    assert failure(machine(a=invoking), {"name": 1}).error == "States.Runtime"


@pytest.mark.parametrize("kind", ["DryRun", 1])
def test_invocations_of_no_known_type_fail(kind: Json) -> None:
    invoking = task(Resource=INVOKE, Parameters={"FunctionName": "f", "InvocationType.$": "$"})
    assert "InvocationType" in failure(machine(a=invoking), kind).cause


def test_an_asynchronous_invocation_starts_its_function_and_does_not_have_its_result() -> None:
    parameters = {"FunctionName": "f", "InvocationType": "Event", "Payload": {"x": 1}, "LogType": "Tail"}
    invoking = machine(a=task(Resource=INVOKE, Parameters=parameters))
    request = first_task(invoking)
    assert (request.function, request.starts, request.payload) == ("", "f", b'{"x":1}')
    assert request.token
    last = driver(invoking, {"": lambda payload: "whatever"}).run(None)
    assert orjson.loads(last.payload) == {"Payload": "", "StatusCode": 202}


def test_a_task_that_waits_for_a_token_gets_another_for_each_attempt() -> None:
    waiting = task(
        Resource=f"{INVOKE}.waitForTaskToken",
        Parameters={"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}},
        Retry=[{"ErrorEquals": ["States.ALL"]}],
    )
    one = driver(machine(a=waiting))
    one.start(None)
    first = one.waiting[0]
    assert isinstance(first, RunTask)
    assert orjson.loads(first.payload) == {"token": first.token}
    assert first.token
    one.engine.task_failed(0, "E", "", NOW_NS)
    (again,) = one.engine.timer_fired(0, NOW_NS + S)
    assert isinstance(again, RunTask)
    assert again.token != first.token
    last = one.engine.task_succeeded(0, b'{"ok":true}', NOW_NS, handed_on=False)[-1]
    assert getattr(last, "payload", None) == b'{"ok":true}'


def token_with(key: bytes, resource: str) -> str:
    parameters = {"FunctionName": "f", "StateMachineArn": "other"}
    made = machine(a=task(Resource=resource, Parameters=parameters))
    engine = Engine(made, retries={}, context=CONTEXT, token_key=key)
    (request,) = (one for one in engine.begin(b"{}", NOW_NS) if isinstance(one, RunTask))
    return request.token


@pytest.mark.parametrize("resource", [f"{INVOKE}.waitForTaskToken", "arn:aws:states:eu-west-1:1:activity:knit"])
def test_a_token_is_the_same_again_only_with_the_same_key(resource: str) -> None:
    first, again, other, plain = (token_with(key, resource) for key in (b"one", b"one", b"two", b""))
    assert first == again
    assert len({first, other, plain}) == 3
    assert first.rpartition(".")[0] == plain.rpartition(".")[0], "it names its execution and branch"


def test_which_execution_a_task_starts_does_not_depend_on_the_key() -> None:
    start = "arn:aws:states:::states:startExecution.sync"
    assert token_with(b"one", start) == token_with(b"", start)


def test_other_resources_are_named_to_who_runs_them() -> None:
    start = task(
        Resource="arn:aws:states:::states:startExecution.sync:2",
        Parameters={"StateMachineArn": "other", "Input.$": "$"},
    )
    request = first_task(machine(a=start), 5)
    assert (request.task.resource.kind, request.task.resource.pattern) == ("start-execution", "sync:2")
    assert (request.starts, request.function, request.payload) == ("other", "", b"5")
    activity = first_task(machine(a=task(Resource="arn:aws:states:eu-west-1:123456789012:activity:knit")))
    assert (activity.task.resource.kind, activity.task.resource.name) == ("activity", "knit")
    assert activity.token
    assert request.name == ""
    named = {**start, "Parameters": {**start["Parameters"], "Name.$": "$"}}
    assert first_task(machine(a=named), "mine").name == "mine"
    assert "Name" in failure(machine(a=named), 5).cause
    nameless = {**start, "Parameters": {"StateMachineArn.$": "$"}}
    assert "StateMachineArn" in failure(machine(a=nameless), 5).cause


def test_a_service_is_called_by_the_function_that_stands_in_for_it() -> None:
    getting = task(Resource="arn:aws:states:::dynamodb:getItem", Parameters={"Key.$": "$"}, OutputPath="$.Item")
    request = first_task(machine(a=getting), 5)
    assert (request.function, request.token, request.payload) == ("dynamodb_getItem", "", b'{"Key":5}')
    functions = {"dynamodb_getItem": lambda payload: {"Item": payload["Key"] + 1}}
    assert run(machine(a=getting), 5, functions) == 6
    sending = task(
        Resource="arn:aws:states:::sqs:sendMessage.waitForTaskToken", Parameters={"MessageBody.$": "$$.Task.Token"}
    )
    waiting = first_task(machine(a=sending))
    assert (waiting.function, orjson.loads(waiting.payload)) == ("sqs_sendMessage", {"MessageBody": waiting.token})


def test_time_limits_are_given_by_fields_paths_and_expressions() -> None:
    fixed = first_task(machine(a=task(TimeoutSeconds=7, HeartbeatSeconds=3)))
    assert (fixed.timeout_s, fixed.heartbeat_s) == (7, 3)
    given = {"t": 9, "h": 2}
    by_path = task(TimeoutSecondsPath="$.t", HeartbeatSecondsPath="$.h", Parameters={})
    request = first_task(machine(a=by_path), given)
    assert (request.timeout_s, request.heartbeat_s, request.payload) == (9, 2, b"{}")
    query = task(TimeoutSeconds="{% $states.input.t + 1 %}", HeartbeatSeconds="{% $states.input.h %}")
    request = first_task(machine("JSONata", a=query), given)
    assert (request.timeout_s, request.heartbeat_s) == (10, 2)
    assert failure(machine(a=by_path), {"t": 0, "h": 1}).error == "States.Runtime"
    assert failure(machine("JSONata", a=query), {"t": "x", "h": 1}).error == "States.QueryEvaluationError"


def test_results_larger_than_the_limit_fail_the_state() -> None:
    caught = task(Catch=[{"ErrorEquals": ["States.DataLimitExceeded"], "Next": "p"}], Next="p")
    made = machine(a=caught, p={"Type": "Pass", "Parameters": {"error.$": "$.Error"}})
    big = {"f": lambda _: "x" * 400}
    assert run(made, functions=big, max_data_bytes=300) == {"error": "States.DataLimitExceeded"}
    assert run(machine(a=task()), functions=big) == "x" * 400
    grown = machine(a={"Type": "Pass", "Parameters": {"a.$": "$", "b.$": "$"}})
    assert failure(grown, "x" * 60, max_data_bytes=100).error == "States.DataLimitExceeded"


def test_a_result_that_is_no_json_fails_only_who_looks_at_it() -> None:
    one = driver(machine(a=task()))
    one.start(None)
    assert getattr(one.engine.task_succeeded(0, b"{", NOW_NS, handed_on=False)[-1], "payload", None) == b"{"
    one = driver(machine(a=task(ResultSelector={"x.$": "$"})))
    one.start(None)
    assert getattr(one.engine.task_succeeded(0, b"{", NOW_NS, handed_on=False)[-1], "error", None) == "States.Runtime"


# --- Pass, Succeed, Fail ----------------------------------------------------------------------------------------------


def test_a_result_path_of_null_keeps_the_input_undecoded() -> None:
    one = driver(machine(a=task(ResultPath=None)))
    payload = b'{ "spaces" : 1 }'
    one.engine.begin(payload, NOW_NS)
    assert getattr(one.engine.task_succeeded(0, b"7", NOW_NS, handed_on=False)[-1], "payload", None) == payload


def test_variables_last_to_the_end_of_their_branch() -> None:
    inner = definition(
        i={"Type": "Pass", "Assign": {"x": 2}, "Next": "j"}, j={"Type": "Pass", "Parameters": {"x.$": "$x"}}
    )
    made = machine(
        a={"Type": "Pass", "Assign": {"x": 1}, "Next": "b"},
        b={"Type": "Parallel", "Branches": [inner, inner], "Next": "c"},
        c={"Type": "Pass", "Parameters": {"inside.$": "$[*].x", "x.$": "$x"}},
    )
    assert run(made) == {"inside": [2, 2], "x": 1}


def test_what_is_assigned_is_seen_by_the_next_state_only() -> None:
    made = machine(
        a={"Type": "Pass", "Assign": {"x": 1, "y": 10}, "Next": "b"},
        b={"Type": "Pass", "Assign": {"x.$": "$y", "y.$": "$x"}, "Next": "c"},
        c={"Type": "Pass", "Parameters": {"x.$": "$x", "y.$": "$y"}},
    )
    assert run(made) == {"x": 10, "y": 1}


def test_succeed_ends_its_branch_only() -> None:
    inner = {"StartAt": "i", "States": {"i": {"Type": "Succeed", "OutputPath": "$.x"}}}
    made = machine(a={"Type": "Parallel", "Branches": [inner], "Next": "b"}, b={"Type": "Succeed"})
    assert run(made, {"x": 5}) == [5]
    assert run(machine("JSONata", a={"Type": "Succeed", "Output": "{% $states.input + 1 %}"}), 4) == 5


@pytest.mark.parametrize(
    ("language", "fields", "error", "cause"),
    [
        ("JSONPath", {}, "", ""),
        ("JSONPath", {"Error": "E", "Cause": "c"}, "E", "c"),
        ("JSONPath", {"ErrorPath": "$.e", "CausePath": "States.Format('{}!', $.c)"}, "E1", "because!"),
        ("JSONata", {"Error": "{% $states.input.e %}", "Cause": "{% $states.input.c & '?' %}"}, "E1", "because?"),
    ],
)
def test_how_an_execution_fails(language: str, fields: Json, error: str, cause: str) -> None:
    last = failure(machine(language, a={"Type": "Fail", **fields}), {"e": "E1", "c": "because"})
    assert (last.error, last.cause) == (error, cause)


def test_an_error_that_is_no_text_is_an_error() -> None:
    last = failure(machine(a={"Type": "Fail", "ErrorPath": "$.e"}), {"e": [1]})
    assert last.error == "States.Runtime"
    assert 'refers to value "[1]" which is not a string' in last.cause
    assert failure(machine("JSONata", a={"Type": "Fail", "Error": "{% 1 %}"})).error == "States.QueryEvaluationError"


# --- Choice -----------------------------------------------------------------------------------------------------------

ONE, OTHER = {"Type": "Pass", "Result": 1}, {"Type": "Pass", "Result": "other"}


def test_no_choice_that_matches_fails_the_execution() -> None:
    made = machine(a={"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 1, "Next": "b"}]}, b=ONE)
    assert run(made, 1) == 1
    last = failure(made, 2)
    assert last.error == "States.NoChoiceMatched"
    assert "entered at the event id #2" in last.cause


@pytest.mark.parametrize(
    ("condition", "given", "expected"),
    [
        ({"Variable": "$.x", "StringMatches": "log-*.txt"}, {"x": "log-1.txt"}, 1),
        ({"Variable": "$.x", "StringMatches": r"a\*"}, {"x": "ab"}, "other"),
        ({"Or": [{"Variable": "$.x", "IsNull": True}, {"Variable": "$.x", "NumericLessThan": 0}]}, {"x": -1}, 1),
        ({"Or": [{"Variable": "$.x", "IsNull": True}, {"Variable": "$.x", "NumericLessThan": 0}]}, {"x": 1}, "other"),
        ({"Variable": "$.x", "IsTimestamp": True}, {"x": "2026-01-01T00:00:00Z"}, 1),
        ({"Variable": "$.x", "IsTimestamp": True}, {"x": "yesterday"}, "other"),
    ],
)
def test_operators_that_the_recordings_lack(condition: Json, given: Json, expected: Json) -> None:
    made = machine(a={"Type": "Choice", "Choices": [{**condition, "Next": "b"}], "Default": "c"}, b=ONE, c=OTHER)
    assert run(made, given) == expected


def test_the_first_rule_that_holds_wins_and_brings_its_own_output() -> None:
    rules = [
        {"Condition": "{% $states.input > 10 %}", "Output": "{% 'big' %}", "Next": "end"},
        {"Condition": "{% $states.input > 5 %}", "Assign": {"v": "{% $states.input %}"}, "Next": "end"},
        {"Condition": True, "Output": "{% 'any' %}", "Next": "end"},
    ]
    end = {"Type": "Pass", "Output": {"v": "{% $exists($v) ? $v : 'none' %}", "in": "{% $states.input %}"}}
    made = machine("JSONata", a={"Type": "Choice", "Choices": rules}, end=end)
    assert run(made, 11) == {"v": "none", "in": "big"}
    assert run(made, 7) == {"v": 7, "in": 7}
    assert run(made, 1) == {"v": "none", "in": "any"}


def test_a_condition_must_be_true_or_false() -> None:
    rules = [{"Condition": "{% 1 %}", "Next": "b"}]
    last = failure(machine("JSONata", a={"Type": "Choice", "Choices": rules}, b={"Type": "Pass"}))
    assert last.error == "States.QueryEvaluationError"
    assert "Expected 'boolean'" in last.cause


# --- Wait -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "fields", "until_ns"),
    [
        ("JSONPath", {"Seconds": 3}, NOW_NS + 3 * S),
        ("JSONPath", {"SecondsPath": "$.s"}, NOW_NS + 4 * S),
        ("JSONPath", {"Timestamp": "2025-01-15T10:30:05Z"}, NOW_NS + 5 * S),
        ("JSONPath", {"TimestampPath": "$.t"}, NOW_NS + 6 * S),
        ("JSONPath", {"Timestamp": "2001-01-01T00:00:00Z"}, NOW_NS),
        ("JSONata", {"Seconds": "{% $states.input.s * 2 %}"}, NOW_NS + 8 * S),
        ("JSONata", {"Timestamp": "{% $states.input.t %}"}, NOW_NS + 6 * S),
    ],
)
def test_how_long_a_wait_is(language: str, fields: Json, until_ns: int) -> None:
    one = driver(machine(language, a={"Type": "Wait", **fields}))
    one.start({"s": 4, "t": "2025-01-15T10:30:06Z"})
    assert one.waiting[0] == Sleep(0, "a", until_ns)


@pytest.mark.parametrize("seconds", [-1, 1.5, "3", None, True, 10**9])
def test_seconds_that_are_none_fail(seconds: Json) -> None:
    assert failure(machine(a={"Type": "Wait", "SecondsPath": "$"}), seconds).error == "States.Runtime"
    query = machine("JSONata", a={"Type": "Wait", "Seconds": "{% $states.input %}"})
    assert failure(query, seconds).error == "States.QueryEvaluationError"


@pytest.mark.parametrize("moment", ["noon", 5, None])
def test_times_that_are_none_fail(moment: Json) -> None:
    last = failure(machine(a={"Type": "Wait", "TimestampPath": "$.t"}), {"t": moment})
    assert last.error == "States.Runtime"
    assert "does not reference a valid ISO-8601" in last.cause
    assert failure(machine(a={"Type": "Wait", "TimestampPath": "$.t"}), {}).error == "States.Runtime"


def test_a_wait_hands_on_what_its_fields_say() -> None:
    wait = {"Type": "Wait", "Seconds": 1, "OutputPath": "$.x", "Assign": {"v.$": "$.x"}, "Next": "b"}
    made = machine(a=wait, b={"Type": "Pass", "Parameters": {"v.$": "$v", "x.$": "$"}})
    assert run(made, {"x": 1}) == {"v": 1, "x": 1}
