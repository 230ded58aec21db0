"""Every problem of a definition, where it is."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from actorfaas.states.resources import function_of
from actorfaas.states.validate import validate

Json = Any  # test input of any shape


def problems(document: Json, functions: set[str] | None = None, **more: Json) -> dict[str, str]:
    found = validate(orjson.dumps(document), functions, **{"refused": (), **more})
    return {problem.pointer: problem.text for problem in found}


def machine(**states: Json) -> Json:
    return {"StartAt": next(iter(states)), "States": states}


def task(**fields: Json) -> Json:
    return {"Type": "Task", "Resource": "f", "End": True, **fields}


def test_a_valid_definition_has_none() -> None:
    whole = machine(
        a=task(End=False, Next="p", TimeoutSeconds=3, Retry=[{"ErrorEquals": ["ValueError"], "BackoffRate": 1.5}]),
        p={"Type": "Pass", "Result": {"x": 1}, "Next": "w", "Comment": "why"},
        w={"Type": "Wait", "Seconds": 0, "Next": "s"},
        s={"Type": "Succeed"},
    )
    assert problems(whole, {"f"}) == {}
    assert problems(machine(f={"Type": "Fail", "Error": "E", "Cause": "c"})) == {}


@pytest.mark.parametrize(
    ("resource", "function"),
    [
        ("resize", "resize"),
        ("arn:aws:lambda:us-east-1:123456789012:function:resize", "resize"),
        ("arn:aws:lambda:us-east-1:123456789012:function:resize:$LATEST", "resize"),
    ],
)
def test_a_resource_is_a_name_or_ends_in_one(resource: str, function: str) -> None:
    assert function_of(resource) == function
    assert problems(machine(a=task(Resource=resource)), {"resize"}) == {}


@pytest.mark.parametrize(
    ("text", "says"), [(b"{", "not JSON"), (b"[]", "JSON object"), (b'{"StartAt": "a"}', "at least one state")]
)
def test_what_is_no_definition_at_all(text: bytes, says: str) -> None:
    assert any(says in problem.text for problem in validate(text))


PASS = {"Type": "Pass", "End": True}
INVOKE = "arn:aws:states:::lambda:invoke"


def choice(*rules: Json, **fields: Json) -> Json:
    return {**machine(a={"Type": "Choice", "Choices": list(rules), **fields}, p=PASS), "Comment": "two states"}


def queries(**fields: Json) -> Json:
    return {**machine(a=fields), "QueryLanguage": "JSONata"}


def a_map(**fields: Json) -> Json:
    inner = {"ItemProcessor": machine(i=PASS), **fields}
    return machine(a={"Type": "Map", "End": True, **{k: v for k, v in inner.items() if v is not None}})


@pytest.mark.parametrize(
    ("document", "pointer", "says"),
    [
        ({"States": {"a": task()}}, "/StartAt", "must name the first state"),
        ({"StartAt": "b", "States": {"a": task()}}, "/StartAt", "no state 'b'"),
        ({**machine(a=task()), "Extra": 1}, "/Extra", "not a field of a state machine"),
        ({**machine(a=task()), "TimeoutSeconds": 0}, "/TimeoutSeconds", "whole number from 1"),
        ({**machine(a=task()), "QueryLanguage": "SQL"}, "/QueryLanguage", "one of JSONPath, JSONata"),
        (machine(a=3), "/States/a", "JSON object"),
        (machine(**{"a" * 81: task()}), "/States/" + "a" * 81, "1 to 80 characters"),
        (machine(a={"Type": "Dance"}), "/States/a/Type", "must be one of"),
        (machine(a={"End": True}), "/States/a/Type", "must be one of"),
        (machine(a=task(Seconds=1)), "/States/a/Seconds", "not a field of a Task state"),
        (machine(a=task(Output=1)), "/States/a/Output", "not a field of a Task state (QueryLanguage JSONPath)"),
        (queries(**task(InputPath="$")), "/States/a/InputPath", "(QueryLanguage JSONata)"),
        (queries(**task(QueryLanguage="JSONPath")), "/States/a/QueryLanguage", "cannot be JSONPath"),
        # tasks
        (machine(a=task(Resource=7)), "/States/a/Resource", "must be text"),
        (machine(a=task(Resource="")), "/States/a/Resource", "must name a function"),
        (machine(a=task(Resource="g")), "/States/a/Resource", "no function 'g'"),
        (machine(a=task(Resource=INVOKE)), "/States/a/Parameters", "needs a FunctionName"),
        (
            machine(a=task(Resource=INVOKE, Parameters={"FunctionName": "g"})),
            "/States/a/Resource",
            "no function 'g'",
        ),
        (
            machine(a=task(Resource=INVOKE, Parameters={"FunctionName": 1})),
            "/States/a/Parameters/FunctionName",
            "must be text",
        ),
        (machine(a=task(Resource="arn:aws:states:::tea:make")), "/States/a/Resource", "not a function, an activity"),
        (machine(a=task(Resource="arn:aws:states:::sns:publish.later")), "/States/a/Resource", "not a function"),
        (machine(a=task(TimeoutSeconds=1.5)), "/States/a/TimeoutSeconds", "whole number from 1"),
        (machine(a=task(TimeoutSeconds=True)), "/States/a/TimeoutSeconds", "whole number from 1"),
        (
            machine(a=task(TimeoutSeconds=1, TimeoutSecondsPath="$.t")),
            "/States/a/TimeoutSecondsPath",
            "exclude each other",
        ),
        (machine(a=task(TimeoutSeconds=5, HeartbeatSeconds=5)), "/States/a/HeartbeatSeconds", "less than Timeout"),
        # transitions
        (machine(a=task(Next="a")), "/States/a", "either Next or End"),
        (machine(a={"Type": "Task", "Resource": "f"}), "/States/a", "either Next or End"),
        (machine(a=task(End="yes")), "/States/a/End", "true or false"),
        (machine(a=task(End=False, Next="b")), "/States/a/Next", "no state 'b'"),
        # retriers and catchers
        (machine(a=task(Retry={})), "/States/a/Retry", "must be a list"),
        (machine(a=task(Retry=[1])), "/States/a/Retry/0", "JSON object"),
        (machine(a=task(Retry=[{}])), "/States/a/Retry/0/ErrorEquals", "list of error names"),
        (machine(a=task(Retry=[{"ErrorEquals": ["E"], "Next": "a"}])), "/States/a/Retry/0/Next", "a retrier"),
        (
            machine(a=task(Retry=[{"ErrorEquals": ["States.ALL", "E"]}])),
            "/States/a/Retry/0/ErrorEquals",
            "stand alone",
        ),
        (
            machine(a=task(Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}])),
            "/States/a/Retry/0/ErrorEquals",
            "in the last of retriers",
        ),
        *(
            (machine(a=task(Retry=[{"ErrorEquals": ["E"], name: value}])), f"/States/a/Retry/0/{name}", says)
            for name, value, says in (
                ("MaxAttempts", -1, "from 0"),
                ("BackoffRate", 0.5, "at least 1"),
                ("IntervalSeconds", 0, "from 1"),
                ("MaxDelaySeconds", "1", "from 1"),
                ("JitterStrategy", "SOME", "FULL, NONE"),
            )
        ),
        (machine(a=task(Catch=[{"ErrorEquals": ["E"]}])), "/States/a/Catch/0", "needs Next"),
        (machine(a=task(Catch=[{"ErrorEquals": ["E"], "Next": "z"}])), "/States/a/Catch/0/Next", "no state 'z'"),
        (
            machine(a=task(Catch=[{"ErrorEquals": ["E"], "Next": "a", "ResultPath": "$.x[*]"}])),
            "/States/a/Catch/0/ResultPath",
            "reference path",
        ),
        (
            queries(**task(Catch=[{"ErrorEquals": ["E"], "Next": "a", "ResultPath": "$"}])),
            "/States/a/Catch/0/ResultPath",
            "not a field",
        ),
        # data flow
        (machine(a=task(InputPath="x")), "/States/a/InputPath", "does not begin with $"),
        (machine(a=task(Parameters={"x.$": "$.["})), "/States/a/Parameters", "$.["),
        (machine(a=task(ResultSelector={"x.$": "States.Nope()"})), "/States/a/ResultSelector", "not one of"),
        (machine(a=task(ResultPath="$$.x")), "/States/a/ResultPath", "reference path"),
        (machine(a=task(Assign=[1])), "/States/a/Assign", "object of variables"),
        (machine(a=task(Assign={"states": 1})), "/States/a/Assign/states", "no name of a variable"),
        (machine(a=task(Assign={"a b.$": "$"})), "/States/a/Assign/a b.$", "no name of a variable"),
        (queries(**task(Output="{% ( %}")), "/States/a/Output", "is wrong"),
        (queries(**task(Arguments={"x": "{% $a( %}"})), "/States/a/Arguments", "is wrong"),
        # choices
        (choice(), "/States/a/Choices", "at least one"),
        (choice({"Variable": "$", "IsNull": True}), "/States/a/Choices/0", "needs Next"),
        (choice({"Variable": "$", "IsNull": True, "Next": "z"}), "/States/a/Choices/0/Next", "no state 'z'"),
        (choice({"Variable": "$", "IsOdd": True, "Next": "p"}), "/States/a/Choices/0", "'IsOdd' is not an operator"),
        (choice({"Variable": "$", "IsNull": True, "Next": "p"}, Default="z"), "/States/a/Default", "no state 'z'"),
        (
            {**choice({"Condition": "maybe", "Next": "p"}), "QueryLanguage": "JSONata"},
            "/States/a/Choices/0/Condition",
            "JSONata expression",
        ),
        # waits and failures
        (machine(a={"Type": "Wait", "End": True}), "/States/a", "needs one of Seconds"),
        (machine(a={"Type": "Wait", "Seconds": 1, "SecondsPath": "$", "End": True}), "/States/a", "one of Seconds"),
        (machine(a={"Type": "Wait", "Seconds": -1, "End": True}), "/States/a/Seconds", "from 0"),
        (machine(a={"Type": "Wait", "Timestamp": "noon", "End": True}), "/States/a/Timestamp", "RFC 3339"),
        (machine(a={"Type": "Fail", "Error": 1}), "/States/a/Error", "must be text"),
        (machine(a={"Type": "Fail", "Error": "E", "ErrorPath": "$.e"}), "/States/a/ErrorPath", "exclude each other"),
        # branches and items
        (machine(a={"Type": "Parallel", "End": True}), "/States/a/Branches", "at least one"),
        (
            machine(a={"Type": "Parallel", "Branches": [machine(i={"Type": "Pass"})], "End": True}),
            "/States/a/Branches/0/States/i",
            "either Next or End",
        ),
        (a_map(ItemProcessor=None), "/States/a", "needs an ItemProcessor"),
        (a_map(ItemProcessor=7), "/States/a/ItemProcessor", "JSON object"),
        (
            a_map(ItemProcessor={**machine(i=PASS), "ProcessorConfig": {"Mode": "FAR"}}),
            "/States/a/ItemProcessor/ProcessorConfig/Mode",
            "INLINE, DISTRIBUTED",
        ),
        (a_map(ItemSelector={}, Parameters={}), "/States/a/Parameters", "exclude each other"),
        (a_map(MaxConcurrency=-1), "/States/a/MaxConcurrency", "at least 0"),
        (a_map(ToleratedFailurePercentage=101), "/States/a/ToleratedFailurePercentage", "from 0 to 100"),
        (a_map(Label="l" * 41), "/States/a/Label", "at most 40"),
        (a_map(ItemBatcher={}), "/States/a/ItemBatcher", "needs MaxItemsPerBatch"),
        (a_map(ItemReader={"Resource": "disk"}), "/States/a/ItemReader/Resource", "s3:getObject"),
        (
            a_map(
                ItemReader={
                    "Resource": "arn:aws:states:::s3:getObject",
                    "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "GIVEN"},
                }
            ),
            "/States/a/ItemReader/ReaderConfig/CSVHeaders",
            "needs CSVHeaders",
        ),
        (
            a_map(
                ItemReader={"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"MaxItems": -1}},
            ),
            "/States/a/ItemReader/ReaderConfig/MaxItems",
            "at least 0",
        ),
        (
            a_map(ResultWriter={"WriterConfig": {"Transformation": "ZIP"}}),
            "/States/a/ResultWriter/WriterConfig/Transformation",
            "NONE, COMPACT, FLATTEN",
        ),
        ({**a_map(Items="x"), "QueryLanguage": "JSONata"}, "/States/a/Items", "array, an object or a JSONata"),
        # the machine as a whole
        (machine(a=task(), b=task()), "/States/b", "cannot be reached"),
        (
            machine(a=task(Catch=[{"ErrorEquals": ["E"], "Next": "b"}]), b=PASS, c=PASS),
            "/States/c",
            "cannot be reached",
        ),
        (machine(a=task(End=False, Next="a")), "/States", "never end: a → a"),
        (
            a_map(ItemProcessor=machine(i=PASS, j=PASS)),
            "/States/a/ItemProcessor/States/j",
            "cannot be reached from 'i'",
        ),
    ],
)
def test_each_problem_is_named_where_it_is(document: Json, pointer: str, says: str) -> None:
    found = problems(document, {"f"})
    assert says in found.get(pointer, f"no problem at {pointer}: {found}")


def test_all_problems_come_at_once() -> None:
    found = problems(machine(a=task(Next="x"), b={"Type": "Map"}, c=task(Resource="g")), {"f"})
    assert set(found) == {"/States/a", "/States/b", "/States/c/Resource"}


def test_pointers_escape_slashes_and_tildes() -> None:
    assert "/States/a~1b~0c/Type" in problems(machine(**{"a/b~c": {"Type": "Dance"}}))


@pytest.mark.parametrize(
    ("document", "feature"),
    [
        (a_map(ItemReader={"Resource": "arn:aws:states:::s3:getObject"}), "item readers"),
        (a_map(ResultWriter={"Resource": "arn:aws:states:::s3:putObject"}), "result writers"),
    ],
)
def test_what_the_platform_has_not_is_refused_and_nothing_else(document: Json, feature: str) -> None:
    assert problems(document, {"f"}) == {}
    (text,) = problems(document, {"f"}, refused={feature}).values()
    assert text == f"{feature} are not supported here"


@pytest.mark.parametrize(
    "fields",
    [
        {"Resource": "f", "Credentials": {"RoleArn": "arn"}},
        {"Resource": INVOKE, "Parameters": {"FunctionName": "f", "InvocationType": "Event"}},
        {"Resource": f"{INVOKE}.waitForTaskToken", "Parameters": {"FunctionName": "f"}},
        {"Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": {"StateMachineArn.$": "$.m"}},
        {"Resource": "arn:aws:states:eu-west-1:123456789012:activity:knit"},
    ],
)
def test_every_kind_of_task_is_run(fields: Json) -> None:
    assert problems(machine(a=task(**fields)), {"f"}) == {}


@pytest.mark.parametrize(
    ("service", "function"),
    [("sqs:sendMessage", "sqs_sendMessage"), ("aws-sdk:s3:listBuckets.waitForTaskToken", "s3_listBuckets")],
)
def test_a_service_needs_a_function_that_stands_in_for_it(service: str, function: str) -> None:
    document = machine(a=task(Resource=f"arn:aws:states:::{service}"))
    assert problems(document, {"f", function}) == {}
    (text,) = problems(document, {"f"}).values()
    assert text.startswith(f"this application has no function {function!r}, which is called here in place of ")


def test_a_nested_execution_must_say_which() -> None:
    document = machine(a=task(Resource="arn:aws:states:::states:startExecution", Parameters={"Input": 1}))
    assert problems(document)["/States/a/Parameters"] == "states:startExecution needs a StateMachineArn"


@pytest.mark.parametrize("call", ["sns:publish.waitForTaskToken", "ecs:runTask.sync"])
def test_express_workflows_wait_for_nobody(call: str) -> None:
    document = machine(a=task(Resource=f"arn:aws:states:::{call}"))
    assert problems(document) == {}
    assert "express workflow" in problems(document, is_express=True)["/States/a/Resource"]


def test_cycles_through_a_choice_are_legal() -> None:
    loop = choice({"Variable": "$.done", "IsPresent": True, "Next": "p"}, Default="b")
    loop["States"]["b"] = {"Type": "Pass", "Next": "a"}
    assert problems(loop) == {}
    endless = machine(a={"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": True, "Next": "a"}], "Default": "a"})
    assert problems(endless) == {}


def test_machines_are_not_nested_without_end() -> None:
    inner = machine(i=PASS)
    for _ in range(60):
        inner = machine(i={"Type": "Parallel", "Branches": [inner], "End": True})
    assert any("nested deeper" in text for text in problems(inner).values())
