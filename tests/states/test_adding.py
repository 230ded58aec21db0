"""States that a task's function has run next, within its PotentialNext."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from actorfaas.errors import DeployError
from actorfaas.states.adding import MAX_ADDED, Added
from actorfaas.states.instructions import Exited, RunTask
from actorfaas.states.model import StateMachine
from actorfaas.states.trial import Mock, try_state
from tests.states.engine_driver import Driver, replayed
from tests.states.machines_kit import INVOKE, definition, driver, failing, machine, task

Json = Any  # a decoded JSON value of any shape


def flow(**more: Json) -> StateMachine:
    """`split` may have `count` or `weigh` (then `pack`) run next; `join` follows it."""
    return machine(
        split=task(Resource="split", Next="join", PotentialNext=["count", "weigh"], **more),
        count=task(Resource="count", Next="join"),
        weigh=task(Resource="weigh", Next="pack"),
        pack={"Type": "Pass", "Next": "join"},
        join=task(Resource="join"),
    )


FUNCTIONS = {
    "split": lambda value: {"split": value},
    "count": lambda value: {"counted": value},
    "weigh": lambda value: {"weighed": value},
    "join": lambda value: {"joined": value},
}


def adding(*added: tuple[str, Json], made: StateMachine | None = None, **more: Json) -> Driver:
    """A run whose task `split` adds these, the first time that it runs."""
    left = [tuple((name, orjson.dumps(value)) for name, value in added)]

    def adds(request: RunTask) -> tuple[Added, ...]:
        return left.pop() if request.function == "split" and left else ()

    return driver(made or flow(), {**FUNCTIONS, **more}, adds=adds)


def output(one: Driver) -> Json:
    finish = one.run("in")
    assert not finish.failed, (finish.error, finish.cause)
    return orjson.loads(finish.payload)


def test_without_any_the_declared_next_state_gets_the_result() -> None:
    assert output(adding()) == {"joined": {"split": "in"}}


def test_one_takes_the_place_of_the_declared_next_state() -> None:
    one = adding(("weigh", 5))
    assert output(one) == {"joined": {"weighed": 5}}
    left = [(event.state, event.next) for event in one.instructions if isinstance(event, Exited)]
    assert left == [("split", "weigh"), ("weigh", "pack"), ("pack", "join"), ("join", "")]


def test_several_run_at_once_and_the_declared_next_state_gets_the_list() -> None:
    one = adding(("weigh", 1), ("count", 2), ("count", 3))
    one.start("in")
    one.step()
    assert [request.function for request in one.waiting.values() if isinstance(request, RunTask)] == [
        "weigh",
        "count",
        "count",
    ]
    while one.finish is None:
        one.step()
    assert orjson.loads(one.finish.payload) == {"joined": [{"weighed": 1}, {"counted": 2}, {"counted": 3}]}
    assert one.history.count("TaskStateEntered") == 5


def test_at_the_end_the_list_is_the_output() -> None:
    made = machine(
        split=task(Resource="split", PotentialNext=["count", "last"]),
        count=task(Resource="count", Next="last"),
        last={"Type": "Pass", "Parameters": {"last.$": "$"}},
    )
    assert output(adding(("count", 1), ("last", 2), made=made)) == [{"last": {"counted": 1}}, {"last": 2}]


def test_what_is_added_may_add_in_turn_and_ends_where_the_outer_one_does() -> None:
    inner = [("count", b"1"), ("count", b"2")]
    made = machine(
        split=task(Resource="split", Next="join", PotentialNext=["more"]),
        more=task(Resource="more", Next="pack", PotentialNext=["count"]),
        count=task(Resource="count", Next="join"),
        pack=task(Resource="pack", Next="join"),
        join=task(Resource="join"),
    )

    def adds(request: RunTask) -> tuple[Added, ...]:
        if request.function == "split":
            return (("more", b"1"), ("more", b"2"))
        return tuple(inner) if request.function == "more" else ()

    done = output(driver(made, FUNCTIONS, adds=adds))
    assert done == {"joined": [[{"counted": 1}, {"counted": 2}]] * 2}


def test_the_list_is_the_result_of_the_task() -> None:
    fields = {"ResultPath": "$.parts", "Assign": {"kept.$": "$[1]"}}
    made = machine(
        split=task(Resource="split", Next="join", PotentialNext=["count"], **fields),
        count=task(Resource="count", Next="join"),
        join={"Type": "Pass", "Parameters": {"got.$": "$", "kept.$": "$kept"}},
    )
    done = driver(made, FUNCTIONS, adds=lambda one: (("count", b"1"),) * 2 * (one.function == "split")).run({"a": 1})
    parts = [{"counted": 1}, {"counted": 1}]
    assert orjson.loads(done.payload) == {"got": {"a": 1, "parts": parts}, "kept": parts[1]}


def test_variables_are_of_what_the_function_returned_where_one_was_added() -> None:
    made = machine(
        split=task(Resource="split", PotentialNext=["count"], Assign={"kept.$": "$.split"}),
        count={"Type": "Pass", "Parameters": {"got.$": "$", "kept.$": "$kept"}},
    )
    assert output(adding(("count", 1), made=made)) == {"got": 1, "kept": "in"}


def test_another_state_fails_the_task_which_can_be_caught() -> None:
    finish = adding(("join", 1)).run("in")
    assert (finish.error, finish.cause) == (
        "NextNotAllowed",
        "state 'split' added 'join' to run next; it may add 'count', 'weigh'",
    )
    caught = flow(Catch=[{"ErrorEquals": ["NextNotAllowed"], "Next": "join"}])
    assert output(adding(("nowhere", 1), made=caught))["joined"]["Error"] == "NextNotAllowed"
    undeclared = adding(("b", 1), made=machine(a=task(Resource="split", Next="b"), b=task(Resource="b"))).run("in")
    assert "it may add none: it has no PotentialNext" in undeclared.cause


def test_too_many_fail_the_task() -> None:
    finish = adding(*[("count", 1)] * (MAX_ADDED + 1)).run("in")
    assert (finish.error, finish.failed) == ("NextNotAllowed", True)


def test_a_branch_that_fails_fails_the_task_which_is_tried_again() -> None:
    retrying = flow(Retry=[{"ErrorEquals": ["Broken"], "MaxAttempts": 1}])
    one = adding(("count", 1), ("weigh", 2), made=retrying, count=failing("Broken"))
    assert output(one) == {"joined": {"split": "in"}}, "the second time it adds nothing"
    assert "TaskStateAborted" in one.history
    finish = adding(("count", 1), ("weigh", 2), count=failing("Broken")).run("in")
    assert finish.error == "Broken"


def test_outputs_are_not_handed_past_the_join() -> None:
    made = flow()
    branch = made.branch_at("count", "join")
    assert made.direct_successor("count") is not None
    assert branch.direct_successor("count") is None


@pytest.mark.parametrize("stop", range(1, 6))
def test_a_replay_is_where_the_execution_is(stop: int) -> None:
    one = adding(("weigh", 1), ("count", 2))
    one.start("in")
    for _ in range(min(stop, 4)):
        one.step()
    again = replayed(one)
    assert [again.outstanding(one.now_ns)] == [one.engine.outstanding(one.now_ns)]


@pytest.mark.parametrize(
    ("potential", "problem"),
    [
        ([], "PotentialNext must be a list of states"),
        ("count", "PotentialNext must be a list of states"),
        ([1], "PotentialNext must be a list of states"),
        (["nowhere"], "/States/a/PotentialNext/0: there is no state 'nowhere'"),
    ],
)
def test_what_is_declared_is_checked(potential: Json, problem: str) -> None:
    with pytest.raises(DeployError, match=problem):
        machine(a=task(PotentialNext=potential))


def test_only_what_a_function_returns_decides_what_runs_next() -> None:
    waiting = task(Resource=f"{INVOKE}.waitForTaskToken", PotentialNext=["b"], Parameters={"FunctionName": "f"})
    with pytest.raises(DeployError, match="only a task that waits for what its function returns has PotentialNext"):
        machine(a=waiting, b=task())
    invoking = task(Resource=INVOKE, PotentialNext=["b"], Parameters={"FunctionName": "f"})
    assert output(
        driver(machine(a=invoking, b=task()), adds=lambda one: (("b", b"1"),) * 2 * (one.task.name == "a"))
    ) == [1, 1]


def test_a_state_that_may_be_added_can_be_reached() -> None:
    machine(a=task(PotentialNext=["b"]), b=task())
    with pytest.raises(DeployError, match="state 'b' cannot be reached"):
        machine(a=task(), b=task())


def test_a_trial_tells_what_was_added() -> None:
    made = orjson.dumps(definition(a=task(PotentialNext=["b"], Next="b"), b=task()))
    one = try_state(made, b"1", state="a", mock=Mock(returned=b"2", added=(("b", b"3"),)))
    assert (one.status, one.output, one.next) == ("SUCCEEDED", b"3", "b")
    assert one.inspection["addedNext"] == [{"state": "b", "input": 3}]
    several = try_state(made, b"1", state="a", mock=Mock(returned=b"2", added=(("b", b"3"), ("b", b"4"))))
    assert (several.status, several.output, several.next) == ("SUCCEEDED", b"[3,4]", "b")
    failed = try_state(made, b"1", state="a", mock=Mock(returned=b"2", added=(("c", b"3"),)))
    assert (failed.status, failed.error) == ("FAILED", "NextNotAllowed")
