"""Parallel and Map states: children, their inputs, how many at once, which failures are tolerated, stores."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
import pytest

from actorfaas.states.instructions import Closed, Noted, Opened, RunTask
from tests.states.machines_kit import definition, driver, failing, failure, machine, run, task

Json = Any  # a decoded JSON value of any shape


def a_map(processor: Json | None = None, *, distributed: bool = False, **fields: Json) -> Json:
    inner = processor or definition(i=task())
    if distributed:
        inner = {**inner, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    return {"Type": "Map", "ItemProcessor": inner, **fields}


def parallel(*branches: Json, **fields: Json) -> Json:
    return {"Type": "Parallel", "Branches": list(branches), **fields}


def pair(first: Json, second: Json) -> Json:
    return [first, second]


# --- Parallel ---------------------------------------------------------------------------------------------------------


def test_branches_run_side_by_side_and_their_outputs_keep_their_order() -> None:
    made = machine(a=parallel(*(definition(i=task(Resource=name)) for name in "fgh")))
    one = driver(made, {name: partial(pair, name) for name in "fgh"})
    one.start(1)
    assert sorted(one.waiting) == [1, 2, 3]
    for branch in (3, 1, 2):
        one.answer(branch)
    assert one.finish is not None
    assert orjson.loads(one.finish.payload) == [["f", 1], ["g", 1], ["h", 1]]
    assert [i.branch for i in one.instructions if isinstance(i, Closed)] == [3, 1, 2]


def test_a_parallel_states_fields() -> None:
    made = machine(
        a=parallel(
            definition(i=task()),
            definition(i={"Type": "Pass", "Result": 2}),
            Parameters={"x.$": "$.a"},
            ResultSelector={"both.$": "$[*]"},
            ResultPath="$.r",
            OutputPath="$.r",
        )
    )
    assert run(made, {"a": 1}) == {"both": [{"x": 1}, 2]}
    query = parallel(
        definition(i={"Type": "Pass"}), Arguments="{% $states.input + 1 %}", Output="{% $states.result[0] %}"
    )
    assert run(machine("JSONata", a=query), 4) == 5


def test_what_is_outstanding_below_a_failed_state_is_given_up_innermost_first() -> None:
    deep = definition(o=parallel(definition(w={"Type": "Wait", "Seconds": 9}), definition(t=task())))
    made = machine(a=parallel(deep, definition(g=task(Resource="g"))))
    one = driver(made, {"g": failing("E")})
    one.start(1)
    assert sorted(one.waiting) == [2, 3, 4]
    assert [one.engine.state_of(branch) for branch in (2, 3, 4)] == ["g", "w", "t"]
    one.answer(2)
    closed = [i.branch for i in one.instructions if isinstance(i, Closed)]
    assert closed[0] == 2
    assert closed[-1] == 1
    assert set(closed) == {1, 2, 3, 4}
    assert one.waiting == {}
    assert {i.type for i in one.instructions if isinstance(i, Noted)} >= {
        *("WaitStateAborted", "TaskStateAborted", "ParallelStateAborted"),
    }


# --- Map --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "distributed", "at_once"),
    [
        ({"MaxConcurrency": 3}, False, 3),
        ({"MaxConcurrencyPath": "$.n"}, False, 2),
        ({}, False, 40),
        ({"MaxConcurrency": 100}, False, 40),
        ({"MaxConcurrency": 60}, True, 60),
        ({}, True, 100),
    ],
)
def test_how_many_iterations_run_at_once(fields: Json, distributed: bool, at_once: int) -> None:
    one = driver(machine(a=a_map(distributed=distributed, ItemsPath="$.items", **fields)))
    one.start({"items": list(range(100)), "n": 2})
    most = len(one.waiting)
    while one.finish is None:
        one.step()
        most = max(most, len(one.waiting))
    assert most == at_once
    assert orjson.loads(one.finish.payload) == list(range(100))


def test_iterations_end_in_any_order_and_results_keep_that_of_the_items() -> None:
    one = driver(machine(a=a_map(MaxConcurrency=2)))
    one.start([10, 20, 30])
    for branch in (2, 3, 1):
        one.answer(branch)
    assert one.finish is not None
    assert orjson.loads(one.finish.payload) == [10, 20, 30]


def test_what_a_selector_and_an_iteration_see() -> None:
    selector = {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "all.$": "$.items", "x.$": "$x"}
    inner = definition(i={"Type": "Pass", "Parameters": {"in.$": "$", "index.$": "$$.Map.Item.Index"}})
    made = machine(
        z={"Type": "Pass", "Assign": {"x": 7}, "Next": "a"},
        a=a_map(inner, ItemsPath="$.items", ItemSelector=selector, ResultPath="$.out"),
    )
    items = ["a", "b"]
    assert run(made, {"items": items}) == {
        "items": items,
        "out": [{"in": {"i": n, "v": v, "all": items, "x": 7}, "index": n} for n, v in enumerate(items)],
    }


def test_jsonata_items_and_selectors() -> None:
    fields: dict[str, Json] = {
        "Items": "{% $states.input.n.[$, $ * 2] %}",
        "ItemSelector": {"v": "{% $states.context.Map.Item.Value %}", "n": "{% $count($states.input.n) %}"},
        "MaxConcurrency": "{% 1 %}",
        "Output": {"last": "{% $states.result[-1] %}"},
    }
    made = machine("JSONata", a=a_map(definition(i={"Type": "Pass"}), **fields))
    assert run(made, {"n": [1, 2]}) == {"last": {"v": [2, 4], "n": 2}}


@pytest.mark.parametrize("items", [{"a": 1}, "text", None, 5])
def test_items_must_be_an_array(items: Json) -> None:
    last = failure(machine(a=a_map(ItemsPath="$.i")), {"i": items})
    assert last.error == "States.Runtime"
    assert 'Reference path "$.i" must point to array.' in last.cause
    assert failure(machine(a=a_map()), items).error == "States.Runtime"
    assert failure(machine("JSONata", a=a_map()), items).error == "States.QueryEvaluationError"


def test_an_iteration_that_fails_fails_the_state_and_stops_the_others() -> None:
    one = driver(machine(a=a_map(definition(i=task(Resource="g")), MaxConcurrency=3)), {"g": failing("E", "c")})
    last = one.run([1, 2, 3, 4, 5])
    assert (last.error, last.cause) == ("E", "c")
    noted = [(i.type, i.index) for i in one.instructions if isinstance(i, Noted)]
    assert noted == [
        ("MapStateStarted", 5),
        *(("MapIterationStarted", index) for index in range(3)),
        ("MapIterationFailed", 0),
        *(("TaskStateAborted", -1), ("MapIterationAborted", 1), ("TaskStateAborted", -1), ("MapIterationAborted", 2)),
    ]


def test_a_map_that_is_tried_again_begins_anew() -> None:
    tries: list[Json] = []

    def flaky(item: Json) -> Json:
        tries.append(item)
        return failing("E")(item) if len(tries) == 2 else item

    retry = [{"ErrorEquals": ["E"], "MaxAttempts": 1}]
    made = machine(a=a_map(MaxConcurrency=1, Retry=retry, ResultSelector={"n.$": "$$.State.RetryCount", "r.$": "$"}))
    assert run(made, ["a", "b"], {"f": flaky}) == {"n": 1, "r": ["a", "b"]}
    assert tries == ["a", "b", "a", "b"]


def test_no_items_give_no_results() -> None:
    assert run(machine(a=a_map()), []) == []
    assert run(machine(a=a_map(distributed=True)), []) == []
    assert run(machine(a=a_map(distributed=True, ItemBatcher={"MaxItemsPerBatch": 2})), []) == []


def test_maps_inside_maps() -> None:
    inner = definition(i=a_map(definition(j=task())))
    assert run(machine(a=a_map(inner, MaxConcurrency=1)), [[1, 2], [], [3]], {"f": lambda n: n + 1}) == [
        [2, 3],
        [],
        [4],
    ]


def test_ten_thousand_items_without_tasks() -> None:
    inner = definition(i={"Type": "Pass", "Next": "j"}, j={"Type": "Succeed"})
    one = driver(machine(a=a_map(inner, ResultPath=None)))
    items = list(range(10_000))
    assert orjson.loads(one.run(items).payload) == items
    open_now, most = 0, 0
    for instruction in one.instructions:
        open_now += isinstance(instruction, Opened) - isinstance(instruction, Closed)
        most = max(most, open_now)
    assert most == 40


# --- distributed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "bad", "fails"),
    [
        ({}, 1, True),
        ({"ToleratedFailureCount": 2}, 2, False),
        ({"ToleratedFailureCount": 2}, 3, True),
        ({"ToleratedFailurePercentage": 30}, 3, False),
        ({"ToleratedFailurePercentage": 30}, 4, True),
        ({"ToleratedFailurePercentage": 100}, 10, False),
        ({"ToleratedFailureCount": 1, "ToleratedFailurePercentage": 90}, 2, True),
        ({"ToleratedFailureCountPath": "$.count"}, 2, False),
    ],
)
def test_how_many_failures_are_tolerated(fields: Json, bad: int, fails: bool) -> None:
    def function(item: Json) -> Json:
        return failing("E", "c")(item) if item < bad else item

    made = machine(a=a_map(distributed=True, MaxConcurrency=1, ItemsPath="$.items", **fields))
    one = driver(made, {"f": function})
    last = one.run({"items": list(range(10)), "count": 2})
    assert last.failed == fails
    noted = {i.type for i in one.instructions if isinstance(i, Noted)}
    if fails:
        assert last.error == "States.ExceedToleratedFailureThreshold"
        assert "MapRunFailed" in noted
    else:
        failed = [{"Error": "E", "Cause": "c"}] * bad
        assert orjson.loads(last.payload) == [*failed, *range(bad, 10)]
        assert "MapRunSucceeded" in noted


def test_a_distributed_map_takes_the_members_of_an_object() -> None:
    inner = definition(i={"Type": "Pass"})
    assert run(machine(a=a_map(inner, distributed=True)), {"a": 1, "b": 2}) == [
        {"Key": "a", "Value": 1},
        {"Key": "b", "Value": 2},
    ]
    selector = {"k.$": "$$.Map.Item.Key"}
    assert run(machine(a=a_map(inner, distributed=True, ItemSelector=selector)), {"a": 1}) == [{"k": "a"}]


def test_executions_of_a_distributed_map_see_their_own_input_and_no_variables() -> None:
    inner = definition(i={"Type": "Pass", "Parameters": {"in.$": "$$.Execution.Input", "id.$": "$$.Execution.Id"}})
    assert run(machine(a=a_map(inner, distributed=True)), ["x"]) == [{"in": "x", "id": "execution"}]
    blind = definition(i={"Type": "Pass", "Parameters": {"v.$": "$v"}})
    assigned = {"Type": "Pass", "Assign": {"v": 1}, "Next": "a"}
    assert failure(machine(z=assigned, a=a_map(blind, distributed=True)), ["x"]).error.endswith("FailureThreshold")
    assert run(machine(z=assigned, a=a_map(blind)), ["x"]) == [{"v": 1}]


@pytest.mark.parametrize(
    ("batcher", "batches"),
    [
        ({"MaxItemsPerBatch": 2}, [[1, 22], [333, 4]]),
        ({"MaxItemsPerBatchPath": "$.three"}, [[1, 22, 333], [4]]),
        ({"MaxInputBytesPerBatch": 4}, [[1, 22], [333, 4]]),
        ({"MaxInputBytesPerBatch": 2}, [[1], [22], [333], [4]]),
        ({"MaxInputBytesPerBatch": 100, "MaxItemsPerBatch": 3}, [[1, 22, 333], [4]]),
    ],
)
def test_batches(batcher: Json, batches: Json) -> None:
    made = machine(a=a_map(definition(i={"Type": "Pass"}), distributed=True, ItemsPath="$.items", ItemBatcher=batcher))
    found = run(made, {"items": [1, 22, 333, 4], "three": 3})
    assert found == [{"Items": batch} for batch in batches]


def test_a_batch_has_its_own_input_and_counts_as_many_failures_as_items() -> None:
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"x.$": "$.x"}}
    fields: dict[str, Json] = {
        "distributed": True,
        "ItemsPath": "$.items",
        "ItemBatcher": batcher,
        "ToleratedFailureCount": 2,
    }
    given = {"items": [1, 2, 3], "x": 5}
    assert run(machine(a=a_map(**fields)), given) == [
        {"BatchInput": {"x": 5}, "Items": batch} for batch in ([1, 2], [3])
    ]
    assert failure(machine(a=a_map(**fields)), given, {"f": failing("E")}).error.endswith("FailureThreshold")
    seen: list[Json] = []

    def first_only(batch: Json) -> Json:
        seen.append(batch)
        return failing("E")(batch) if len(seen) == 1 else batch["Items"]

    assert run(machine(a=a_map(**fields)), given, {"f": first_only})[1] == [3]


def test_requests_of_iterations_name_their_branch() -> None:
    one = driver(machine(a=a_map()))
    one.start([1, 2])
    requests = [i for i in one.instructions if isinstance(i, RunTask)]
    assert [(i.branch, i.payload) for i in requests] == [(1, b"1"), (2, b"2")]
    opened = [i for i in one.instructions if isinstance(i, Opened)]
    assert [(i.branch, i.parent, i.index, i.is_execution) for i in opened] == [(1, 0, 0, False), (2, 0, 1, False)]
    assert {i.machine.start_at for i in opened} == {"i"}
