"""Retry and Catch: which errors, when again, and with what the state after goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actorfaas.states.instructions import Failed, Noted, RunTask, Sleep
from actorfaas.states.parsing import read
from tests.states.machines_kit import definition, driver, failing, failure, machine, run, task

Json = Any  # a decoded JSON value of any shape

S = 1_000_000_000


def waits_s(retry: Json, attempts: int, **more: Json) -> list[float]:
    """The waits between the attempts of a task that always fails."""
    one = driver(machine(a=task(Retry=[{"ErrorEquals": ["E"], **retry}])), {"f": failing("E")}, **more)
    one.run(None)
    sleeps = [i.until_ns for i in one.instructions if isinstance(i, Sleep)]
    runs = [i for i in one.instructions if isinstance(i, RunTask)]
    assert [i.attempt for i in runs] == list(range(1, attempts + 1))
    began_ns = one.events[0].arguments[1]
    return [(later - earlier) / S for earlier, later in zip([began_ns, *sleeps], sleeps, strict=False)]


@pytest.mark.parametrize(
    ("retry", "waits"),
    [
        ({}, [1, 2, 4]),
        ({"IntervalSeconds": 3, "BackoffRate": 1, "MaxAttempts": 2}, [3, 3]),
        ({"IntervalSeconds": 2, "BackoffRate": 1.5, "MaxAttempts": 3}, [2, 3, 4.5]),
        ({"MaxDelaySeconds": 3, "MaxAttempts": 4}, [1, 2, 3, 3]),
        ({"MaxAttempts": 0}, []),
    ],
)
def test_when_a_state_is_tried_again(retry: Json, waits: list[float]) -> None:
    assert waits_s(retry, len(waits) + 1) == waits


def test_jitter_waits_anything_up_to_the_delay_and_the_same_each_time() -> None:
    retry = {"JitterStrategy": "FULL", "IntervalSeconds": 10, "BackoffRate": 1, "MaxAttempts": 20}
    waits = waits_s(retry, 21)
    assert all(0 <= wait <= 10 for wait in waits)
    assert len(set(waits)) > 15
    assert waits_s(retry, 21) == waits


@pytest.mark.parametrize(
    ("error", "taken_by"),
    [
        ("States.HeartbeatTimeout", "States.Timeout"),
        ("States.HeartbeatTimeout", "States.HeartbeatTimeout"),
        ("States.Timeout", "States.Timeout"),
        ("ValueError", "States.TaskFailed"),
        ("States.DataLimitExceeded", "States.DataLimitExceeded"),
        ("Own", "States.ALL"),
    ],
)
def test_errors_are_caught_by_their_names_and_by_what_stands_for_them(error: str, taken_by: str) -> None:
    catch = [{"ErrorEquals": [taken_by], "Next": "p"}]
    made = machine(a=task(Catch=catch), p={"Type": "Pass"})
    assert run(made, functions={"f": failing(error, "why")}) == {"Error": error, "Cause": "why"}


@pytest.mark.parametrize(
    ("error", "names"),
    [
        ("States.Timeout", ["States.TaskFailed"]),
        ("States.DataLimitExceeded", ["States.ALL"]),
        ("States.Runtime", ["States.ALL"]),
        ("States.Runtime", ["States.Runtime"]),
        ("Own", ["Other", "own"]),
    ],
)
def test_other_names_take_nothing(error: str, names: list[str]) -> None:
    catch, retry = [{"ErrorEquals": names, "Next": "p"}], [{"ErrorEquals": names}]
    made = machine(a=task(Catch=catch, Retry=retry), p={"Type": "Pass"})
    assert failure(made, functions={"f": failing(error)}).error == error


def test_a_catcher_puts_the_error_where_it_says_and_assigns() -> None:
    catch = [
        {
            "ErrorEquals": ["States.ALL"],
            "ResultPath": "$.error",
            "Assign": {"name.$": "$.Error", "where.$": "$$.State.Name"},
            "Next": "p",
        }
    ]
    after = {"Type": "Pass", "Parameters": {"whole.$": "$", "name.$": "$name", "where.$": "$where"}}
    made = machine(a=task(InputPath="$.x", OutputPath="$.nothing", Catch=catch), p=after)
    output = run(made, {"x": 1}, {"f": failing("E", "c")})
    assert output == {"whole": {"x": 1, "error": {"Error": "E", "Cause": "c"}}, "name": "E", "where": "a"}


def test_a_catcher_may_drop_the_error() -> None:
    catch = [{"ErrorEquals": ["E"], "ResultPath": None, "Next": "p"}]
    assert run(machine(a=task(Catch=catch), p={"Type": "Pass"}), {"x": 1}, {"f": failing("E")}) == {"x": 1}


def test_a_catcher_of_jsonata_makes_its_own_output() -> None:
    catch = [
        {
            "ErrorEquals": ["E"],
            "Output": {"e": "{% $states.errorOutput.Error %}", "in": "{% $states.input %}"},
            "Assign": {"cause": "{% $states.errorOutput.Cause %}"},
            "Next": "p",
        }
    ]
    after = {"Type": "Pass", "Output": {"c": "{% $cause %}", "o": "{% $states.input %}"}}
    made = machine("JSONata", a=task(Catch=catch), p=after)
    assert run(made, 5, {"f": failing("E", "why")}) == {"c": "why", "o": {"e": "E", "in": 5}}


def test_the_first_catcher_that_is_for_an_error_takes_it() -> None:
    catch = [{"ErrorEquals": [name], "Next": target} for name, target in (("A", "p"), ("B", "q"), ("States.ALL", "r"))]
    ends: dict[str, Json] = {name: {"Type": "Pass", "Result": name} for name in "pqr"}
    made = machine(a=task(Catch=catch), **ends)
    assert [run(made, functions={"f": failing(error)}) for error in ("A", "B", "C")] == ["p", "q", "r"]


def test_a_catcher_that_fails_itself_fails_the_execution() -> None:
    catch = [{"ErrorEquals": ["E"], "ResultPath": "$.x.y", "Next": "p"}, {"ErrorEquals": ["States.ALL"], "Next": "p"}]
    made = machine(a=task(Catch=catch), p={"Type": "Pass"})
    last = failure(made, {"x": 1}, {"f": failing("E")})
    assert last.error == "States.ResultPathMatchFailure"
    assert "the state 'a'" in last.cause


def test_retries_come_before_catchers_and_count_in_the_context() -> None:
    fields = {
        "Parameters": {"n.$": "$$.State.RetryCount"},
        "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 2}],
        "Catch": [{"ErrorEquals": ["E"], "Next": "p"}],
    }
    seen: list[Json] = []

    def function(payload: Json) -> Json:
        seen.append(payload["n"])
        return failing("E")(payload)

    made = machine(a=task(**fields), p={"Type": "Pass", "Result": "caught"})
    assert run(made, functions={"f": function}) == "caught"
    assert seen == [0, 1, 2]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"ResultSelector": {"x.$": "States.MathAdd($, 1)"}}, "States.IntrinsicFailure"),
        ({"ResultPath": "$.a.b"}, "States.ResultPathMatchFailure"),
        ({"Parameters": {"x.$": "States.StringToJson('{')"}}, "States.IntrinsicFailure"),
    ],
)
def test_what_a_states_own_fields_fail_with_can_be_caught(fields: Json, error: str) -> None:
    catch = [{"ErrorEquals": [error], "Next": "p"}]
    made = machine(a=task(Catch=catch, **fields), p={"Type": "Pass", "OutputPath": "$.Error"})
    assert run(made, {"a": "text"}) == error


def test_a_path_that_finds_nothing_cannot_be_caught() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "p"}]
    made = machine(a=task(Parameters={"x.$": "$.nothing"}, Catch=catch), p={"Type": "Pass"})
    assert failure(made, {}).error == "States.Runtime"


def test_queries_that_fail_are_noted_and_can_be_caught() -> None:
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "p"}]
    made = machine("JSONata", a=task(Output="{% $states.result.x.y %}", Catch=catch), p={"Type": "Pass"})
    one = driver(made)
    assert b"returned nothing" in one.run({}).payload
    noted = [i.type for i in one.instructions if isinstance(i, Noted)]
    assert noted == ["EvaluationFailed"]


# --- above the branch that failed -------------------------------------------------------------------------------------


def parallel(*functions: str, **fields: Json) -> Json:
    branches = [definition(i=task(Resource=function)) for function in functions]
    return {"Type": "Parallel", "Branches": branches, **fields}


@pytest.mark.parametrize("name", ["E", "States.BranchFailed", "States.ALL", "States.TaskFailed"])
def test_a_branch_that_fails_fails_its_parallel_state_with_its_error(name: str) -> None:
    catch = [{"ErrorEquals": [name], "Next": "p"}]
    made = machine(a=parallel("f", "g", Catch=catch), p={"Type": "Pass"})
    one = driver(made, {"g": failing("E", "c")})
    assert one.run(1).payload == b'{"Error":"E","Cause":"c"}'
    assert [i for i in one.instructions if isinstance(i, Failed)] == [Failed(0, "a", "Parallel", "E", "c", caught=True)]
    assert failure(machine(a=parallel("f", "g")), 1, {"g": failing("E", "c")}).error == "E"


def test_a_parallel_state_that_is_tried_again_runs_all_its_branches_again() -> None:
    left = [2]

    def flaky(payload: Json) -> Json:
        left[0] -= 1
        return payload if left[0] <= 0 else failing("E")(payload)

    calls: list[Json] = []

    def counted(payload: Json) -> Json:
        calls.append(payload)
        return payload

    made = machine(a=parallel("f", "g", Retry=[{"ErrorEquals": ["States.BranchFailed"]}]))
    assert run(made, 1, {"f": counted, "g": flaky}) == [1, 1]
    assert calls == [1, 1]


def test_what_cannot_be_caught_ends_the_execution_from_any_depth() -> None:
    inner = definition(i=task(Parameters={"x.$": "$.nothing"}))
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "p"}]
    outer = definition(o={"Type": "Parallel", "Branches": [inner], "Catch": catch}, p={"Type": "Pass"})
    made = machine(a={"Type": "Parallel", "Branches": [outer, definition(w={"Type": "Wait", "Seconds": 9})]})
    one = driver(made)
    last = one.run({})
    assert last.error == "States.Runtime"
    assert one.waiting == {}
    assert not [i for i in one.instructions if isinstance(i, Failed)]


def nested(depth: int) -> Json:
    value: Json = {"x.$": "$"}
    for _ in range(depth):
        value = {"x": value}
    return value


@pytest.mark.parametrize("fields", ["Parameters", "ResultSelector", "Assign", "Catch"])
def test_templates_of_any_depth_fail_the_state_at_most(fields: str) -> None:
    """Compiling one may just fit on the stack where filling it does not."""
    outcomes: set[str] = set()
    for depth in (*range(0, 250, 50), *range(250, 480, 5)):
        template = {"v": nested(depth)} if fields in ("Assign", "Catch") else nested(depth)
        catch = [{"ErrorEquals": ["E"], "Next": "p", "Assign": template}]
        state = task(Catch=catch, Resource="g") if fields == "Catch" else task(**{fields: template})
        document = {"StartAt": "a", "States": definition(a=state, p={"Type": "Pass"})["States"]}
        if fields != "Catch":
            del document["States"]["p"]
        made, problems = read(json.dumps(document).encode(), refused=())
        if problems or made is None:
            outcomes.add("refused")
            continue
        last = driver(made, {"g": failing("E")}).run(1)
        outcomes.add(last.error)
    assert outcomes <= {"", "refused", "States.Runtime"}
    assert "" in outcomes
