"""One execution of a state machine, without any platform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from actorfaas.errors import DeployError
from actorfaas.states import run
from actorfaas.states.context import ExecutionContext
from actorfaas.states.engine import Engine, Entered, Exited, Finish, Instruction, RunTask, Sleep
from actorfaas.states.model import Retrier, StateMachine, Task, single_task
from actorfaas.states.parsing import parse
from actorfaas.states.resources import Resource
from tests.core.specs import chain

S = 1_000_000_000


def engine_of(machine: StateMachine, retries: Mapping[str, tuple[Retrier, ...]] | None = None) -> Engine:
    return Engine(machine, retries=retries or {}, context=ExecutionContext("e1", 0, "app:flow:1", "flow"))


def machine(**states: Any) -> StateMachine:  # Any: JSON of any shape
    return parse(orjson.dumps({"StartAt": next(iter(states)), "States": states}), refused=())


def plain_task(function: str, following: str = "") -> Task:
    return Task(function, function, Resource("function", function), next=following)


def task_of(instructions: list[Instruction]) -> RunTask:
    (found,) = [one for one in instructions if isinstance(one, RunTask)]
    return found


def sleep_of(instructions: list[Instruction]) -> Sleep:
    (found,) = [one for one in instructions if isinstance(one, Sleep)]
    return found


def finish_of(instructions: list[Instruction]) -> Finish:
    found = instructions[-1]
    assert isinstance(found, Finish)
    return found


def test_an_invalid_definition_is_refused_with_its_problems() -> None:
    with pytest.raises(DeployError, match="/States/a: a Map state needs an ItemProcessor"):
        parse(b'{"StartAt": "a", "States": {"a": {"Type": "Map"}}}')


def test_tasks_follow_each_other_and_the_last_output_is_the_result() -> None:
    engine = engine_of(parse(chain("f", "g")))
    assert task_of(engine.begin(b"1", 0)) == RunTask(0, plain_task("f", "g"), 1, b"1", function="f")
    done = engine.task_succeeded(0, b"2", 0, handed_on=False)
    assert done[:2] == [Exited(0, "f", "Task", b"2", "g"), Entered(0, "g", "Task", b"2")]
    assert task_of(done).payload == b"2"
    assert engine.task_succeeded(0, b"3", 0, handed_on=False) == [
        Exited(0, "g", "Task", b"3", ""),
        Finish("", "", b"3"),
    ]
    assert engine.ended


def test_a_task_that_has_its_input_already_is_not_run_again() -> None:
    engine = engine_of(parse(chain("f", "g")))
    engine.begin(b"1", 0)
    assert engine.task_succeeded(0, None, 0, handed_on=True) == [
        Exited(0, "f", "Task", None, "g"),
        Entered(0, "g", "Task", None),
    ]
    assert engine.state_of(0) == "g"
    assert not engine.has_input(0)
    assert finish_of(engine.task_succeeded(0, b"3", 0, handed_on=False)).payload == b"3"


def test_only_tasks_follow_directly() -> None:
    mixed = machine(
        a={"Type": "Task", "Resource": "f", "Next": "p"},
        p={"Type": "Pass", "Next": "b"},
        b={"Type": "Task", "Resource": "g", "End": True},
    )
    assert mixed.direct_successor("a") is None
    assert mixed.direct_successor("p") is None
    assert mixed.direct_successor("b") is None
    assert parse(chain("f", "g")).direct_successor("f") == plain_task("g")
    engine = engine_of(mixed)
    engine.begin(b"1", 0)
    with pytest.raises(ValueError, match="no successor"):
        engine.task_succeeded(0, b"2", 0, handed_on=True)


def test_pass_hands_on_its_input_or_its_result() -> None:
    assert finish_of(engine_of(machine(p={"Type": "Pass", "End": True})).begin(b"1", 0)).payload == b"1"
    result = machine(p={"Type": "Pass", "Result": {"x": [1]}, "Next": "s"}, s={"Type": "Succeed"})
    done = engine_of(result).begin(b"1", 0)
    assert done == [
        Entered(0, "p", "Pass", b"1"),
        Exited(0, "p", "Pass", b'{"x":[1]}', "s"),
        Entered(0, "s", "Succeed", b'{"x":[1]}'),
        Exited(0, "s", "Succeed", b'{"x":[1]}', ""),
        Finish("", "", b'{"x":[1]}'),
    ]


def test_wait_hands_on_its_input_after_its_seconds() -> None:
    engine = engine_of(machine(w={"Type": "Wait", "Seconds": 3, "End": True}))
    assert sleep_of(engine.begin(b"1", 10 * S)) == Sleep(0, "w", 13 * S)
    assert engine.timer_fired(0, 13 * S) == [Exited(0, "w", "Wait", b"1", ""), Finish("", "", b"1")]


def test_fail_ends_with_its_error() -> None:
    failing = machine(f={"Type": "Fail", "Error": "Broken", "Cause": "it is"})
    assert finish_of(engine_of(failing).begin(b"1", 0)) == Finish("Broken", "it is", b"", failed=True)


def test_retries_back_off_and_then_the_execution_fails() -> None:
    retry = [{"ErrorEquals": ["ValueError"], "IntervalSeconds": 2, "MaxAttempts": 2, "BackoffRate": 3}]
    engine = engine_of(machine(a={"Type": "Task", "Resource": "f", "End": True, "Retry": retry}))
    engine.begin(b"1", 0)
    assert engine.task_failed(0, "ValueError", "x", 0) == [Sleep(0, "a", 2 * S)]
    assert task_of(engine.timer_fired(0, 2 * S)).attempt == 2
    assert engine.task_failed(0, "ValueError", "x", 0) == [Sleep(0, "a", 6 * S)]
    assert task_of(engine.timer_fired(0, 6 * S)).attempt == 3
    assert engine.task_failed(0, "ValueError", "x", 0) == [Finish("ValueError", "x", b"", failed=True)]


@pytest.mark.parametrize(("interval_s", "rate", "waits_s"), [(0.0, 2.0, 0.0), (1.0, 1e300, 99_999_999.0)])
def test_a_back_off_beyond_all_numbers_has_a_longest_wait(interval_s: float, rate: float, waits_s: float) -> None:
    engine = engine_of(single_task("f"), {"f": (Retrier(("States.ALL",), interval_s, 2000, rate),)})
    engine.begin(b"1", 0)
    for _ in range(1100):
        slept = sleep_of(engine.task_failed(0, "ValueError", "no", 0))
        engine.timer_fired(0, 0)
    assert slept.until_ns == waits_s * S


def test_each_retrier_counts_for_itself() -> None:
    retry = [
        {"ErrorEquals": ["States.Timeout"], "MaxAttempts": 1},
        {"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 1},
    ]
    engine = engine_of(machine(a={"Type": "Task", "Resource": "f", "End": True, "Retry": retry}))
    engine.begin(b"1", 0)
    assert isinstance(engine.task_failed(0, "States.Timeout", "", 0)[0], Sleep)
    engine.timer_fired(0, S)
    assert isinstance(engine.task_failed(0, "KeyError", "", S)[0], Sleep)
    engine.timer_fired(0, 2 * S)
    assert finish_of(engine.task_failed(0, "States.Timeout", "", 0)).error == "States.Timeout"


def test_retries_begin_anew_in_the_next_state() -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}]
    fields = {"Type": "Task", "Resource": "f", "Retry": retry}
    engine = engine_of(machine(a={**fields, "Next": "b"}, b={**fields, "End": True}))
    engine.begin(b"1", 0)
    engine.task_failed(0, "E", "", 0)
    engine.timer_fired(0, 0)
    assert task_of(engine.task_succeeded(0, b"2", 0, handed_on=False)).attempt == 1
    assert isinstance(engine.task_failed(0, "E", "", 0)[0], Sleep)


def test_a_functions_own_retries_count_only_where_the_state_has_none() -> None:
    own = {"f": (Retrier(("States.ALL",), 0.5, 1, 2.0),)}
    engine = engine_of(single_task("f"), own)
    engine.begin(b"1", 0)
    assert engine.task_failed(0, "E", "", 0) == [Sleep(0, "f", S // 2)]
    declared = machine(a={"Type": "Task", "Resource": "f", "End": True, "Retry": []})
    engine = engine_of(declared, own)
    engine.begin(b"1", 0)
    assert finish_of(engine.task_failed(0, "E", "", 0)).error == "E"


def test_a_lost_task_is_run_again_as_the_same_attempt() -> None:
    engine = engine_of(parse(chain("f", "g")))
    engine.begin(b"1", 0)
    assert engine.run_again(0, 0) == [RunTask(0, plain_task("f", "g"), 1, b"1", function="f")]
    engine.task_succeeded(0, None, 0, handed_on=True)
    assert "was not kept" in finish_of(engine.run_again(0, 0)).cause


def test_an_ended_execution_takes_nothing_more() -> None:
    engine = engine_of(single_task("f"))
    engine.begin(b"1", 0)
    engine.task_succeeded(0, b"2", 0, handed_on=False)
    with pytest.raises(ValueError, match="no task is under way"):
        engine.task_succeeded(0, b"2", 0, handed_on=False)


def test_what_is_under_way_can_be_asked_for_again() -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2}]
    waiting = machine(
        w={"Type": "Wait", "Seconds": 3, "Next": "a"}, a={"Type": "Task", "Resource": "f", "End": True, "Retry": retry}
    )
    engine = engine_of(waiting)
    began = engine.begin(b"1", 10 * S)
    assert engine.outstanding(12 * S) == began[-1:] == [Sleep(0, "w", 13 * S)]
    entered = engine.timer_fired(0, 13 * S)
    assert engine.outstanding(20 * S) == entered[-1:]
    assert task_of(entered).attempt == 1
    assert engine.task_failed(0, "E", "", 20 * S) == engine.outstanding(21 * S) == [Sleep(0, "a", 22 * S)]
    again = engine.timer_fired(0, 22 * S)
    assert engine.outstanding(23 * S) == again
    assert task_of(again).attempt == 2
    engine.task_succeeded(0, b"2", 24 * S, handed_on=False)
    assert engine.outstanding(25 * S) == []


def test_a_loop_that_never_ends_is_ended() -> None:
    forever = {"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": False, "Next": "p"}], "Default": "p"}
    engine = engine_of(machine(c=forever, p={"Type": "Pass", "Next": "c"}))
    last = finish_of(engine.begin(b"1", 0))
    assert last == Finish(
        "States.Runtime", "The execution reached the maximum number of history events (25000).", b"", failed=True
    )


def test_loops_in_the_items_of_loops_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MAX_AT_ONCE", 30_000)

    def looping(inner: dict[str, Any]) -> dict[str, Any]:
        again = {"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": False, "Next": "m"}], "Default": "m"}
        items = {"ItemProcessor": inner | {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}}
        each = {"Type": "Map", "ToleratedFailurePercentage": 100, "ResultPath": None, "Next": "c"}
        return {"StartAt": "c", "States": {"c": again, "m": each | items}}

    innermost = {"StartAt": "a", "States": {"a": {"Type": "Pass", "End": True}}}
    done = engine_of(parse(orjson.dumps(looping(looping(looping(innermost)))))).begin(b"[[[1]]]", 0)
    last = finish_of(done)
    assert (last.error, last.failed) == ("States.Runtime", True)
    assert "30000 history events" in last.cause
    assert len(done) < 40_000


def test_items_that_wait_for_nothing_are_not_begun_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MAX_AT_ONCE", 100)
    processor = {"StartAt": "a", "States": {"a": {"Type": "Pass", "End": True}}}
    config = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    each = {"Type": "Map", "ToleratedFailurePercentage": 100, "ItemProcessor": processor | config, "End": True}
    done = engine_of(machine(m=each)).begin(orjson.dumps(list(range(1_000))), 0)
    assert finish_of(done).error == "States.Runtime"
    assert len(done) < 300


def test_a_task_is_not_tried_again_for_ever() -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 99_999_999}]
    engine = engine_of(machine(a={"Type": "Task", "Resource": "f", "End": True, "Retry": retry}))
    engine.begin(b"1", 0)
    attempts = 1
    while not engine.ended:
        engine.task_failed(0, "E", "", 0)
        attempts += isinstance(engine.timer_fired(0, 0)[0], RunTask)
    assert attempts == (25_000 - 2) // 3


def test_a_thousand_states_do_not_recurse() -> None:
    chained = {f"s{n}": {"Type": "Pass", "Next": f"s{n + 1}"} for n in range(3000)}
    done = engine_of(machine(**chained, s3000={"Type": "Succeed"})).begin(b"[1]", 0)
    assert finish_of(done) == Finish("", "", b"[1]")


def test_payloads_that_nothing_looks_at_are_not_decoded() -> None:
    plain = machine(
        a={"Type": "Task", "Resource": "f", "Next": "p"},
        p={"Type": "Pass", "Next": "w"},
        w={"Type": "Wait", "Seconds": 1, "Next": "par"},
        par={
            "Type": "Parallel",
            "Branches": [{"StartAt": "i", "States": {"i": {"Type": "Task", "Resource": "f", "End": True}}}],
            "Next": "s",
        },
        s={"Type": "Succeed"},
    )
    engine = engine_of(plain)
    engine.begin(b"?", 0)
    engine.task_succeeded(0, b"no JSON", 0, handed_on=False)
    assert task_of(engine.timer_fired(0, S)).payload == b"no JSON"
    assert finish_of(engine.task_succeeded(1, b"nor this", 0, handed_on=False)).payload == b"[nor this]"
