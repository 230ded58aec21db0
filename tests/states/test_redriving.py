"""Executions that go on from what failed: what begins again, what keeps its result, and that a replay agrees."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest

from actorfaas.states.instructions import Closed, Noted, Opened, RunTask, WriteResults
from actorfaas.states.parsing import parse
from tests.states.engine_driver import Driver, TaskError, replayed

Json = Any  # a decoded JSON value of any shape


def task(resource: str, **fields: Json) -> Json:
    return {"Type": "Task", "Resource": resource, **({} if "Next" in fields else {"End": True}), **fields}


def machine(**states: Json) -> Json:
    return {"StartAt": next(iter(states)), "States": states}


class Shop:
    """Functions that say which calls they got; those named in `broken` fail."""

    def __init__(self, definition: Json, *broken: str) -> None:
        self.broken = set(broken)
        self.calls: Counter[str] = Counter()
        self.driver = Driver(parse(orjson.dumps(definition), refused=()), self._call)

    def _call(self, request: RunTask) -> bytes:
        name = request.function
        self.calls[name] += 1
        value = orjson.loads(request.payload)
        if name in self.broken or f"{name}{value}" in self.broken:
            raise TaskError("Broken", name)
        return orjson.dumps(value + 1) if isinstance(value, int) else request.payload

    def fail(self, value: Json = 0) -> None:
        """Run until it has failed."""
        assert self.driver.run(value).failed
        self.calls.clear()

    def redrive(self) -> Json:
        """Mend everything and go on to the end: the output. A replay of it all ends in the same state."""
        self.broken.clear()
        return self.redrive_again()

    def redrive_again(self) -> Json:
        driver = self.driver
        finish = driver.redrive()
        assert replayed(driver).ended
        assert not driver.waiting
        return "failed" if finish.failed else orjson.loads(finish.payload)


def test_a_chain_goes_on_at_the_state_that_failed() -> None:
    shop = Shop(machine(a=task("a", Next="b"), b=task("b", Next="c"), c=task("c")), "b")
    shop.fail()
    assert shop.redrive() == 3
    assert shop.calls == {"b": 1, "c": 1}
    assert shop.driver.history.count("TaskStateEntered") == 3
    assert "TaskStateRedriven" in shop.driver.history


def test_it_may_fail_again_and_be_redriven_again() -> None:
    shop = Shop(machine(a=task("a", Next="b"), b=task("b")), "b")
    shop.fail()
    assert shop.redrive_again() == "failed"
    assert shop.redrive_again() == "failed"
    assert shop.redrive() == 2
    assert shop.calls == {"b": 3}


def test_the_context_tells_which_redrive_it_is() -> None:
    seen = {"count.$": "$$.Execution.RedriveCount", "at.$": "$$.Execution.RedriveTime"}
    shop = Shop(machine(a=task("a", Next="b"), b=task("b", Parameters={"count.$": "$$.Execution.RedriveCount"})), "b")
    shop.fail()
    assert shop.redrive() == {"count": 1}
    shop = Shop(machine(a=task("a", Next="b"), b=task("b", Parameters=seen)))
    shop.fail()
    assert shop.redrive() == {"count": 1, "at": "2025-01-15T10:30:00.000Z"}


def test_retries_begin_anew() -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]
    shop = Shop(machine(a=task("a", Retry=retry)), "a")
    shop.fail()
    assert shop.redrive_again() == "failed"
    assert shop.calls == {"a": 3}
    attempts = [one.attempt for one in shop.driver.instructions if isinstance(one, RunTask)]
    assert attempts == [1, 2, 3, 1, 2, 3]


def test_only_the_branches_that_had_not_succeeded_run_again() -> None:
    branches = [
        machine(a=task("a")),
        machine(b=task("b", Next="c"), c=task("c")),
        machine(w={"Type": "Wait", "Seconds": 60, "Next": "d"}, d=task("d")),
    ]
    shop = Shop(machine(p={"Type": "Parallel", "Branches": branches, "End": True}), "c")
    shop.fail()
    before = len(shop.driver.instructions)
    assert shop.redrive() == [1, 2, 1]
    assert shop.calls == {"c": 1, "d": 1}
    after = shop.driver.instructions[before:]
    assert [(one.branch, one.parent, one.index) for one in after if isinstance(one, Opened)] == [(2, 0, 1), (3, 0, 2)]
    again = [(one.branch, one.type) for one in after if isinstance(one, Noted) and one.type.endswith("Redriven")]
    assert again == [(0, "ParallelStateRedriven"), (2, "TaskStateRedriven"), (3, "WaitStateRedriven")]


def test_only_the_iterations_that_had_not_succeeded_run_again() -> None:
    state = {
        "Type": "Map",
        "MaxConcurrency": 1,
        "ItemProcessor": machine(a=task("a", Next="b"), b=task("b")),
        "End": True,
    }
    shop = Shop(machine(m=state), "b31")
    shop.fail([10, 20, 30, 40])
    assert shop.redrive() == [12, 22, 32, 42]
    assert shop.calls == {"a": 1, "b": 2}, "a of the fourth, b of the third and the fourth"


def test_a_failure_deep_below_goes_on_there() -> None:
    inner = {"Type": "Parallel", "Branches": [machine(x=task("x")), machine(y=task("y"))], "End": True}
    state = {"Type": "Map", "ItemProcessor": machine(p=inner), "End": True}
    shop = Shop(machine(m=state), "y1")
    shop.fail([0, 1, 2])
    assert shop.redrive() == [[1, 1], [2, 2], [3, 3]]
    assert shop.calls["x"] <= 1, "what had not begun when it failed"
    assert shop.calls["y"] <= 2


def test_a_distributed_map_runs_those_again_that_failed_beyond_what_is_tolerated() -> None:
    state = {
        "Type": "Map",
        "ItemProcessor": {
            **machine(a=task("a")),
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        },
        "MaxConcurrency": 1,
        "ToleratedFailureCount": 1,
        "End": True,
    }
    shop = Shop(machine(m=state), "a1", "a3")
    shop.fail([0, 1, 2, 3, 4])
    assert shop.redrive() == [1, 2, 3, 4, 5]
    assert shop.calls == {"a": 3}, "the two that failed, and the last one"


def test_a_state_that_computes_begins_again() -> None:
    shop = Shop(machine(a=task("a", Next="f"), f={"Type": "Fail", "Error": "Refused"}))
    shop.fail()
    assert shop.redrive() == "failed"
    assert shop.calls == {}


def test_what_was_ended_from_outside_goes_on_where_it_stood() -> None:
    shop = Shop(machine(a=task("a", Next="b"), b=task("b")))
    shop.driver.start(0)
    shop.driver.step()
    noted, request = shop.driver.engine.redrive(shop.driver.now_ns)
    assert noted == Noted(0, "TaskStateRedriven", "b")
    assert isinstance(request, RunTask)
    assert (request.task.name, request.payload) == ("b", b"1")


def test_what_has_succeeded_cannot_be_redriven() -> None:
    shop = Shop(machine(a=task("a")))
    shop.driver.run(0)
    with pytest.raises(ValueError, match="succeeded"):
        shop.driver.engine.redrive(0)


def test_a_failure_that_was_caught_is_left_alone() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "z"}]
    split = {"Type": "Parallel", "Branches": [machine(a=task("a")), machine(b=task("b"))], "Catch": catch, "Next": "z"}
    shop = Shop(machine(p=split, z=task("z", InputPath="$", Parameters={"n": 1})), "a", "z")
    shop.fail()
    before = len(shop.driver.instructions)
    assert shop.redrive() == {"n": 1}
    assert not [one for one in shop.driver.instructions[before:] if isinstance(one, Opened | Closed)]
    assert shop.calls == {"z": 1}


@pytest.mark.parametrize(
    "fields",
    [
        {
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}},
        },
        {"Resource": "arn:aws:states:::states:startExecution.sync", "Parameters": {"StateMachineArn": "child"}},
        {"Resource": "arn:aws:states:eu-west-1:123456789012:activity:knit"},
    ],
)
def test_what_waited_for_an_answer_when_it_was_ended_asks_again_under_another_token(fields: Json) -> None:
    driver = Driver(parse(orjson.dumps(machine(t={"Type": "Task", "End": True, **fields}))), lambda request: b"1")
    driver.start(None)
    before = driver.waiting[0]
    assert isinstance(before, RunTask)
    (again,) = (one for one in driver.engine.redrive(driver.now_ns) if isinstance(one, RunTask))
    assert again.token != before.token
    assert (again.attempt, again.starts) == (before.attempt, before.starts)
    if "waitForTaskToken" in fields["Resource"]:
        assert orjson.loads(again.payload) == {"token": again.token}
    assert driver.engine.task_succeeded(0, b"1", driver.now_ns, handed_on=False)
    assert driver.engine.ended


WRITER = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "out"}}


def a_writing_map(**fields: Json) -> Json:
    mode = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    inner = {**machine(a=task("a")), **mode}
    return {"Type": "Map", "ItemProcessor": inner, "ResultWriter": WRITER, "End": True, **fields}


def written(shop: Shop) -> list[tuple[str, Json]]:
    """What was written last: to which kind of file, and each record."""
    return [(kind, orjson.loads(line)) for kind, line in shop.driver.written[-1].parts()]


def test_a_map_whose_results_were_written_runs_what_had_not_succeeded_again_and_writes_all() -> None:
    shop = Shop(machine(m=a_writing_map(MaxConcurrency=2)), "a1", "a2")
    shop.fail([0, 1, 2, 3, 4, 5])
    before = [(kind, one["Status"]) for kind, one in written(shop)]
    assert [kind for kind, _ in before] == ["SUCCEEDED", "FAILED", *["PENDING"] * 4]
    assert [status for _, status in before] == ["SUCCEEDED", "FAILED", "ABORTED", *["PENDING"] * 3]
    first = shop.driver.written[-1]
    assert shop.redrive()["MapRunArn"] == first.arn
    assert shop.calls == {"a": 5}
    last = shop.driver.written[-1]
    assert (last.run_id, last.parameters) == (first.run_id, first.parameters)
    assert [(kind, one["Output"]) for kind, one in written(shop)] == [("SUCCEEDED", str(n)) for n in range(1, 7)]
    assert [one["RedriveCount"] for _, one in written(shop)] == [0, 1, 1, 0, 0, 0]
    assert ["RedriveDate" in one for _, one in written(shop)] == [False, True, True, False, False, False]
    (again,) = [one for one in shop.driver.instructions if isinstance(one, Noted) and one.type == "MapRunRedriven"]
    assert orjson.loads(again.payload) == {"MapRunArn": first.arn, "RedriveCount": 1}


def test_a_map_whose_results_were_written_may_fail_again() -> None:
    shop = Shop(machine(m=a_writing_map(MaxConcurrency=1, ToleratedFailureCount=1)), "a1", "a3")
    shop.fail([0, 1, 2, 3, 4])
    assert shop.redrive_again() == "failed"
    assert shop.calls == {"a": 2}
    assert [kind for kind, _ in written(shop)] == ["SUCCEEDED", "FAILED", "SUCCEEDED", "FAILED", "PENDING"]
    shop.calls.clear()
    shop.redrive()
    assert shop.calls == {"a": 3}
    assert [(kind, one["RedriveCount"]) for kind, one in written(shop)] == [("SUCCEEDED", n) for n in (0, 2, 0, 2, 0)]


def test_batches_that_failed_run_again_as_they_were() -> None:
    state = a_writing_map(MaxConcurrency=1, ItemBatcher={"MaxItemsPerBatch": 2})
    shop = Shop(machine(m=state), "a{'Items': [2, 3]}")
    shop.fail([0, 1, 2, 3, 4])
    shop.redrive()
    outputs = [orjson.loads(one["Output"])["Items"] for _, one in written(shop)]
    assert (outputs, shop.calls) == ([[0, 1], [2, 3], [4]], {"a": 2})
    last = [one for one in shop.driver.instructions if isinstance(one, Noted) and one.type == "MapRunSucceeded"][-1]
    counts = {"total": 5, "pending": 0, "aborted": 0, "succeeded": 5, "failed": 0}
    assert orjson.loads(last.payload)["ItemCounts"] == counts


def test_results_that_could_not_be_written_are_written_without_running_again_what_had_succeeded() -> None:
    shop = Shop(machine(m=a_writing_map()))
    driver = shop.driver
    driver.start([0, 1])
    while not any(isinstance(one, WriteResults) for one in driver.waiting.values()):
        driver.step()
    driver.fail(0, "States.ResultWriterFailed")
    shop.calls.clear()
    shop.redrive()
    assert shop.calls == {}
    assert [kind for kind, _ in written(shop)] == ["SUCCEEDED", "SUCCEEDED"]


def test_a_map_that_was_given_up_while_its_results_were_written_goes_on() -> None:
    branches = [machine(m=a_writing_map(MaxConcurrency=2)), machine(b=task("b"))]
    shop = Shop(machine(p={"Type": "Parallel", "Branches": branches, "End": True}), "a0", "b[0, 1, 2]")
    driver = shop.driver
    driver.start([0, 1, 2])
    (failing,) = [number for number, one in driver.waiting.items() if isinstance(one, RunTask) and one.function == "a"][
        :1
    ]
    driver.answer(failing)
    assert {type(one) for one in driver.waiting.values()} == {RunTask, WriteResults}
    (beside,) = [number for number, one in driver.waiting.items() if isinstance(one, RunTask)]
    driver.answer(beside)
    assert driver.finish is not None
    shop.calls.clear()
    assert shop.redrive()[1] == [0, 1, 2]
    assert shop.calls == {"a": 3, "b": 1}


def test_what_was_tolerated_runs_again_too_where_the_execution_was_ended_from_outside() -> None:
    shop = Shop(machine(m=a_writing_map(MaxConcurrency=1, ToleratedFailureCount=1)), "a0")
    shop.driver.start([0, 1, 2])
    shop.driver.step()
    shop.calls.clear()
    shop.driver.cancel()
    shop.redrive()
    assert shop.calls == {"a": 3}
    assert [kind for kind, _ in written(shop)] == ["SUCCEEDED"] * 3


def test_a_map_that_gives_data_about_its_executions_tells_of_the_last_attempt() -> None:
    shop = Shop(
        machine(m=a_writing_map(MaxConcurrency=1, ResultWriter={"WriterConfig": {"Transformation": "NONE"}})), "a1"
    )
    shop.fail([0, 1])
    records = shop.redrive()
    assert [(one["Status"], one["Output"]) for one in records] == [("SUCCEEDED", "1"), ("SUCCEEDED", "2")]


def test_many_failures_that_were_tolerated_are_taken_back_once_each() -> None:
    shop = Shop(machine(m=a_writing_map(MaxConcurrency=50, ToleratedFailureCount=1999)), "a")
    shop.fail(list(range(2000)))
    before = len(shop.driver.instructions)
    shop.redrive()
    opened = [one.branch for one in shop.driver.instructions[before:] if isinstance(one, Opened)]
    assert len(opened) == len(set(opened)) == 2000
