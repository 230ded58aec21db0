"""`actorfaas.local_engine`: running, testing and mocking workflows in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from actorfaas import (
    Context,
    ReceiveTimeout,
    WorkflowFailed,
    choose,
    each,
    event,
    fail,
    function,
    parallel,
    pass_,
    wait,
    when,
    workflow,
)
from actorfaas.api import _registry
from actorfaas.errors import DeclarationError
from actorfaas.testing import MemoryData

Json = Any  # a decoded JSON document


@function
def double(event: int) -> int:
    return 2 * event


@function
def refuse(event: Json) -> Json:
    raise ValueError(f"not {event}")


@function
def recover(event: Json) -> Json:
    return [event["Error"], event["Cause"]]


@function
async def later(event: int) -> int:
    return event + 1


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """What a test declares is forgotten after it."""
    before = list(_registry)
    yield
    _registry[:] = before


class TestRun:
    def test_every_construct(self) -> None:
        made = workflow(
            "w",
            parallel(each(double >> later, items="$.items"), pass_(event.items[0]))
            >> choose(when(event[1] > 1, refuse.catch(ValueError, recover)), otherwise=fail("Small")),
        )
        assert made.run({"items": [2, 3]}) == ["ValueError", "not [[5, 7], 2]"]
        with pytest.raises(WorkflowFailed, match="Small"):
            made.run({"items": [1]})

    def test_a_given_definition_calls_the_functions_of_its_module(self) -> None:
        states = {"a": {"Type": "Task", "Resource": "double", "Next": "b"}, "b": {"Type": "Succeed"}}
        assert workflow("w", asl={"StartAt": "a", "States": states}).run(4) == 8

    def test_time_is_skipped(self) -> None:
        attempts: list[int] = []

        @function
        def third_time(event: int, ctx: Context) -> int:
            attempts.append(ctx.attempt)
            if ctx.attempt < 3:
                raise OSError("busy")
            return event

        done = workflow("w", third_time.retry(OSError, delay_s=60) >> wait(86_400)).test(7)
        assert (done.output, attempts, done.waited_s) == (7, [1, 2, 3], 60 + 120 + 86_400)

    def test_a_functions_own_retries(self) -> None:
        calls: list[int] = []

        @function(retries=2)
        def always(event: int) -> int:
            calls.append(event)
            raise OSError("busy")

        with pytest.raises(OSError, match="busy"):
            workflow("w", always).run(1)
        assert len(calls) == 3

    def test_branches_wait_side_by_side(self) -> None:
        done = workflow("w", parallel(wait(10), wait(30), wait(20))).test()
        assert done.waited_s == 30

    def test_a_failed_branch_stops_the_others(self) -> None:
        done = workflow("w", parallel(wait(10) >> double, refuse)).test(1)
        assert (done.status, done.error, "double" in done.visited) == ("failed", "ValueError", False)

    def test_data_is_shared(self) -> None:
        @function
        def count(event: Json, ctx: Context) -> int:
            ctx.data.put("n", event)
            return ctx.data.counter("visits").add()

        data = MemoryData()
        assert workflow("w", count >> count).run(1, data=data) == 2
        assert (data.get("n"), data.counter("visits").get()) == (1, 2)

    def test_a_task_that_fails_changes_nothing(self) -> None:
        @function(retries=1, retry_delay_s=0)
        def once(event: Json, ctx: Context) -> int:
            visits = ctx.data.counter("visits").add()
            if ctx.attempt == 1:
                raise ValueError
            return visits

        data = MemoryData()
        assert workflow("w", once).run(1, data=data) == 1
        assert data.counter("visits").get() == 1

    def test_messages_reach_tasks_that_come_later(self) -> None:
        @function
        def tell(event: Json, ctx: Context) -> None:
            ctx.send("hear", "all")
            ctx.send("hear", event, index=1)
            ctx.send("late", "alias")

        @function
        def hear(event: Json, ctx: Context) -> list[Json]:
            if event:
                ctx.take_alias("late")
            heard = []
            with contextlib.suppress(ReceiveTimeout):
                while True:
                    heard.append(ctx.receive(5))
            return heard

        done = workflow("w", tell >> pass_([0, 1]) >> each(hear, max_concurrency=1)).run("second")
        assert done == [["all"], ["second", "alias"]]

    def test_a_function_adds_what_runs_next(self) -> None:
        @function
        def split(event: list[int], ctx: Context) -> str:
            for number in event:
                ctx.add_next("double", number)
            return "none"

        made = workflow("w", split.adding(potential_next=double) >> pass_({"all": event}))
        assert made.asl["States"]["split"]["PotentialNext"] == ["double"]
        assert made.run([1, 2]) == {"all": [2, 4]}
        assert (made.run([3]), made.run([])) == ({"all": 6}, {"all": "none"})
        one = made.test_state("split", [3])
        assert (one.next, one.output) == ("double", 3)
        wrong = workflow("w2", split.adding(potential_next=double.named("other"))).test([1])
        assert (wrong.error, wrong.cause) == (
            "NextNotAllowed",
            "state 'split' added 'double' to run next; it may add 'other'",
        )
        with pytest.raises(DeclarationError, match="calls no function"):
            pass_(1).adding(potential_next=double)

    def test_a_definition_that_is_wrong(self) -> None:
        with pytest.raises(DeclarationError, match="'w': /States/double/InputPath"):
            workflow("w", double.reads("no path")).run(1)


class TestTest:
    @pytest.mark.parametrize(
        ("mock", "output"),
        [(5, 5), (lambda value: value - 1, 2), (KeyError("x"), ["KeyError", "'x'"]), (KeyError, ["KeyError", ""])],
    )
    def test_mocks(self, mock: Json, output: Json) -> None:
        made = workflow("w", double.catch(KeyError, recover))
        assert made.test(3, mocks={"double": mock}).output == output

    def test_what_a_failed_run_tells(self) -> None:
        done = workflow("w", double >> refuse >> later).test(3)
        assert (done.status, done.output, done.error, done.cause) == ("failed", None, "ValueError", "not 6")
        assert done.visited == ("double", "refuse")
        assert isinstance(done.exception, ValueError)

    def test_what_the_platform_raised_is_no_exception_of_a_handler(self) -> None:
        done = workflow("w", refuse.catch(ValueError, choose(when(event.x == 1, double)))).test(1)
        assert (done.error, done.exception) == ("States.Runtime", None)

    def test_a_mock_that_nothing_calls(self) -> None:
        with pytest.raises(DeclarationError, match="does not call 'other'"):
            workflow("w", double).test(3, mocks={"other": 1})

    def test_a_function_that_is_not_here(self) -> None:
        states = {"a": {"Type": "Task", "Resource": "elsewhere", "End": True}}
        made = workflow("w", asl={"StartAt": "a", "States": states})
        with pytest.raises(DeclarationError, match="give a mock"):
            made.run(1)
        assert made.test(1, mocks={"elsewhere": 2}).output == 2


class TestState:
    def test_a_task_calls_its_function(self) -> None:
        tried = workflow("w", double.reads(event.n).keeps("$.twice") >> later).test_state("double", {"n": 4})
        assert (tried.status, tried.output, tried.next) == ("SUCCEEDED", {"n": 4, "twice": 8}, "later")
        assert tried.inspection["afterInputPath"] == 4

    def test_failures(self) -> None:
        made = workflow("w", refuse.retry(ValueError).catch(KeyError, recover) >> double)
        assert made.test_state("refuse", 1).status == "RETRIABLE"
        caught = made.test_state("refuse", 1, mock=KeyError("k"))
        assert (caught.status, caught.next, caught.output) == (
            "CAUGHT_ERROR",
            "recover",
            {"Error": "KeyError", "Cause": "'k'"},
        )
        failed = made.test_state("double", "x", mock=OSError("o"))
        assert (failed.status, failed.error, failed.cause, failed.output) == ("FAILED", "OSError", "o", None)

    def test_a_choice(self) -> None:
        made = workflow("w", choose(when(event.n > 1, double), otherwise=later))
        assert [made.test_state("choose", {"n": n}).next for n in (1, 2)] == ["later", "double"]

    def test_a_state_inside_another(self) -> None:
        made = workflow("w", parallel(each(double >> later)))
        assert made.test_state("double", 3).next == "later"
        assert made.test_state("each_double", [1, 2], mock=[3, 5]).output == [3, 5]

    def test_refused(self) -> None:
        made = workflow("w", each(double))
        with pytest.raises(DeclarationError, match="no state 'other'"):
            made.test_state("other")
        with pytest.raises(DeclarationError, match="is tested with the result"):
            made.test_state("each_double", [1])


def test_a_workflow_that_reads_or_writes_objects_needs_a_node() -> None:
    for name, fields in (
        ("reads", {"ItemReader": {"Resource": "file", "Parameters": {"Path": "x"}}}),
        ("writes", {"ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b"}}}),
    ):
        each = {"Type": "Map", "ItemProcessor": {"StartAt": "a", "States": {"a": {"Type": "Pass", "End": True}}}}
        asl = {"StartAt": "each", "States": {"each": {**each, **fields, "End": True}}}
        with pytest.raises(DeclarationError, match="not supported"):
            workflow(name, asl=asl).run([1])


INVOKE = "arn:aws:states:::lambda:invoke"
START = "arn:aws:states:::states:startExecution"


def one_task(resource: str, **fields: Json) -> Json:
    return {"StartAt": "t", "States": {"t": {"Type": "Task", "Resource": resource, "End": True, **fields}}}


class TestOutside:
    """Tasks that somebody outside answers."""

    @pytest.mark.parametrize(
        ("definition", "name"),
        [
            (one_task(f"{INVOKE}.waitForTaskToken", Parameters={"FunctionName": "double", "Payload.$": "$"}), "double"),
            (one_task("arn:aws:states:eu-west-1:123456789012:activity:knit"), "knit"),
            (one_task("arn:aws:states:::sqs:sendMessage.waitForTaskToken"), "sqs_sendMessage"),
        ],
    )
    def test_a_mock_is_the_answer(self, definition: Json, name: str) -> None:
        waiting = workflow("waiting", asl=definition)
        assert waiting.test(5, mocks={name: lambda event: [event]}).output == [5]
        failed = waiting.test(5, mocks={name: KeyError("no")})
        assert (failed.error, failed.status) == ("KeyError", "failed")
        with pytest.raises(DeclarationError, match=f"waits for an answer from outside; give a mock of '{name}'"):
            waiting.run(5)

    @pytest.mark.parametrize(("pattern", "output"), [(".sync", "[5]"), (".sync:2", [5])])
    def test_a_mock_is_what_a_started_workflow_gives(self, pattern: str, output: Json) -> None:
        definition = one_task(f"{START}{pattern}", Parameters={"StateMachineArn": "other", "Input.$": "$"})
        starting = workflow("starting", asl=definition)
        found = starting.test(5, mocks={"other": lambda event: [event]}).output
        assert (found["Output"], found["Status"]) == (output, "SUCCEEDED")
        failed = starting.test(5, mocks={"other": KeyError("no")})
        assert failed.error == "States.TaskFailed"
        assert '"Error":"KeyError"' in failed.cause

    def test_what_is_not_waited_for_needs_no_mock(self) -> None:
        seen: list[Json] = []
        starting = workflow("starting", asl=one_task(START, Parameters={"StateMachineArn": "other", "Input.$": "$"}))
        assert "ExecutionArn" in starting.test(5, mocks={"other": seen.append}).output
        assert seen == [5]
        assert "ExecutionArn" in starting.run(5)
        parameters = {"FunctionName": "double", "InvocationType": "Event", "Payload.$": "$"}
        assert workflow("event", asl=one_task(INVOKE, Parameters=parameters)).run(5)["StatusCode"] == 202

    def test_a_function_stands_in_for_a_service(self) -> None:
        getting = workflow("getting", asl=one_task("arn:aws:states:::dynamodb:getItem"))
        assert getting.test(5, mocks={"dynamodb_getItem": {"Item": 1}}).output == {"Item": 1}

    def test_mocks_of_computed_names_are_believed(self) -> None:
        definition = one_task(f"{START}.sync:2", Parameters={"StateMachineArn.$": "$"})
        found = workflow("computed", asl=definition).test("other", mocks={"other": 1}).output
        assert found["Output"] == 1
