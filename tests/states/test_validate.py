"""Every problem of a definition, where it is."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from actorfaas.states.validate import function_of, validate

Json = Any  # test input of any shape


def problems(document: Json, functions: set[str] | None = None) -> dict[str, str]:
    found = validate(orjson.dumps(document), functions)
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


@pytest.mark.parametrize(
    ("document", "pointer", "says"),
    [
        ({"States": {"a": task()}}, "/StartAt", "must name the first state"),
        ({"StartAt": "b", "States": {"a": task()}}, "/StartAt", "no state 'b'"),
        ({**machine(a=task()), "Extra": 1}, "/Extra", "not a field of a state machine"),
        ({**machine(a=task()), "TimeoutSeconds": 0}, "/TimeoutSeconds", "positive whole number"),
        ({**machine(a=task()), "QueryLanguage": "JSONata"}, "/QueryLanguage", "not supported yet"),
        (machine(a=3), "/States/a", "JSON object"),
        (machine(**{"a" * 81: task()}), "/States/" + "a" * 81, "1 to 80 characters"),
        (machine(a={"Type": "Choice", "Choices": []}), "/States/a/Type", "Choice are not supported yet"),
        (machine(a={"Type": "Parallel"}), "/States/a/Type", "Parallel are not supported yet"),
        (machine(a={"Type": "Map"}), "/States/a/Type", "Map are not supported yet"),
        (machine(a={"Type": "Dance"}), "/States/a/Type", "must be one of"),
        (machine(a=task(ResultPath="$.x")), "/States/a/ResultPath", "not supported yet"),
        (machine(a=task(Catch=[])), "/States/a/Catch", "not supported yet"),
        (machine(a=task(Seconds=1)), "/States/a/Seconds", "not a field of a Task state"),
        (machine(a=task(Resource=7)), "/States/a/Resource", "must name a function"),
        (machine(a=task(Resource="g")), "/States/a/Resource", "no function 'g'"),
        (machine(a=task(Resource="arn:aws:states:::lambda:invoke")), "/States/a/Resource", "not supported yet"),
        (machine(a=task(TimeoutSeconds=1.5)), "/States/a/TimeoutSeconds", "positive whole number"),
        (machine(a=task(TimeoutSeconds=True)), "/States/a/TimeoutSeconds", "positive whole number"),
        (machine(a=task(Next="a")), "/States/a", "either Next or End"),
        (machine(a={"Type": "Task", "Resource": "f"}), "/States/a", "either Next or End"),
        (machine(a=task(End="yes")), "/States/a/End", "true or false"),
        (machine(a=task(End=False, Next="b")), "/States/a/Next", "no state 'b'"),
        (machine(a=task(Retry={})), "/States/a/Retry", "must be a list"),
        (machine(a=task(Retry=[1])), "/States/a/Retry/0", "JSON object"),
        (machine(a=task(Retry=[{}])), "/States/a/Retry/0/ErrorEquals", "list of error names"),
        (
            machine(a=task(Retry=[{"ErrorEquals": ["States.ALL", "E"]}])),
            "/States/a/Retry/0/ErrorEquals",
            "stand alone",
        ),
        (
            machine(a=task(Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}])),
            "/States/a/Retry/0/ErrorEquals",
            "in the last retrier",
        ),
        (
            machine(a=task(Retry=[{"ErrorEquals": ["E"], "MaxAttempts": -1}])),
            "/States/a/Retry/0/MaxAttempts",
            "from 0",
        ),
        (
            machine(a=task(Retry=[{"ErrorEquals": ["E"], "BackoffRate": 0.5}])),
            "/States/a/Retry/0/BackoffRate",
            "at least 1",
        ),
        (
            machine(a=task(Retry=[{"ErrorEquals": ["E"], "JitterStrategy": "FULL"}])),
            "/States/a/Retry/0/JitterStrategy",
            "not supported yet",
        ),
        (machine(a={"Type": "Wait", "End": True}), "/States/a", "needs Seconds"),
        (machine(a={"Type": "Wait", "Seconds": -1, "End": True}), "/States/a/Seconds", "from 0"),
        (
            machine(a={"Type": "Wait", "Timestamp": "2026-01-01T00:00:00Z", "End": True}),
            "/States/a/Timestamp",
            "not supported yet",
        ),
        (machine(a={"Type": "Fail", "Error": 1}), "/States/a/Error", "must be text"),
        (machine(a=task(), b=task()), "/States/b", "cannot be reached"),
        (machine(a=task(End=False, Next="a")), "/States/a/Next", "never end: a → a"),
    ],
)
def test_each_problem_is_named_where_it_is(document: Json, pointer: str, says: str) -> None:
    found = problems(document, {"f"})
    assert says in found.get(pointer, f"no problem at {pointer}: {found}")


def test_all_problems_come_at_once() -> None:
    found = problems(machine(a=task(Next="x"), b={"Type": "Map"}, c=task(Resource="g")), {"f"})
    assert set(found) == {"/States/a", "/States/b/Type", "/States/c/Resource"}


def test_pointers_escape_slashes_and_tildes() -> None:
    assert "/States/a~1b~0c/Type" in problems(machine(**{"a/b~c": {"Type": "Map"}}))
