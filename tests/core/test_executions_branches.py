"""Executions with many branches at once: Parallel and Map states, what fails in them, and restarts among them."""

from __future__ import annotations

import orjson
import pytest

from actorfaas.core.replay import Replay
from actorfaas.messages import KillWorker
from tests.core.branching_rig import FLOWS, SPLIT, busy_of, define, machine, make, mapped, task
from tests.core.specs import function
from tests.core.world import World
from tests.core.world_node import MS, S


def test_the_branches_of_a_parallel_state_run_at_once_and_hand_on_directly() -> None:
    world = make()
    world.start("split", "e1", payload=b"10")
    world.settle()
    world.finish(busy_of(world, "a@1")[0])
    world.settle()
    assert (len(busy_of(world, "b@1")), len(busy_of(world, "c@1"))) == (1, 1), "one branch waits"
    before = world.handed_over
    world.run()
    assert world.handed_over == before + 1, "b to c inside of the first branch"
    world.advance(1.1)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"4")


def test_branches_may_be_over_as_soon_as_they_have_begun() -> None:
    world = make()
    world.start("at_once", "e1", payload=b"1")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"[1,2,[1,2],[1,1]]")


def test_events_say_which_branch_they_are_about() -> None:
    world = make()
    world.start("split", "e1", payload=b"10")
    world.run()
    world.advance(1.1)
    world.run()
    events = sorted(world.store["e1"].events.values(), key=lambda event: event.seq)
    results = {(event.state, event.branch, event.index) for event in events if event.type == "TaskSucceeded"}
    assert results == {
        *(("first", 0, -1), ("b1", 1, 0), ("c1", 1, 0), ("b2", 2, 1), ("c3", 3, 2), ("last", 0, -1)),
    }
    assert all(event.branch == 0 for event in events if event.state in ("first", "split", "last", ""))


def test_a_map_runs_as_many_iterations_at_once_as_it_may() -> None:
    world = make()
    most = 0
    world.start("mapped", "e1")
    world.settle()
    while world.busy():
        most = max(most, len(world.busy()))
        for topic in world.busy():
            world.finish(topic)
        world.settle()
    assert most == 2
    assert world.outcome("e1") == ("succeeded", b"[2,3,4,5,6]")
    started = [event for event in world.store["e1"].events.values() if event.type == "MapIterationStarted"]
    assert sorted(event.index for event in started) == [0, 1, 2, 3, 4]
    assert world.handed_over >= 3, "b to c, where a worker was free in time"


@pytest.mark.parametrize("durability", ["standard", "express"])
def test_hundreds_of_iterations_leave_nothing_behind(durability: str) -> None:
    world = World(max_workers=20)
    world.deploy(
        *(function(name, concurrency=8) for name in "abc"),
        workflows=(define("many", mapped(300, 0), durability),),
    )
    world.start("many", "e1", durability=durability)
    world.run()
    status, output = world.outcome("e1")
    assert (status, orjson.loads(output)) == ("succeeded", [item + 2 for item in range(300)])
    assert list(world.executions.all()) == []
    assert world.executions._lane_count == 0
    assert world.executions._given_up == {}
    assert world.executions._parked == {}


def test_a_failure_ends_the_other_branches_and_their_workers() -> None:
    world = make()
    world.start("split", "e1")
    world.settle()
    world.finish(busy_of(world, "a@1")[0])
    world.settle()
    (other,) = busy_of(world, "b@1")
    world.fail(busy_of(world, "c@1")[0])
    while world.deliver("from_queue"):
        pass
    assert any(isinstance(order, KillWorker) for order in world.queues["to_supervisor"])
    world.run()
    assert other not in world.instances
    status, _ = world.outcome("e1")
    assert status == "failed"
    assert "ParallelStateFailed" in world.types("e1")
    world.advance(2.0)
    world.run()
    assert busy_of(world, "b@1") == [], "the branch that waited went on"


def test_branches_that_wait_for_a_worker_are_withdrawn() -> None:
    world = make(concurrency=1)
    world.start("nested", "e1")
    world.settle()
    assert len(world.dispatch.pools["b@1"].needed) == 2
    assert world.cancel("e1")
    assert not world.dispatch.pools["b@1"].needed
    world.run()
    assert world.outcome("e1")[0] == "cancelled"


def test_a_parallel_state_is_tried_again_as_a_whole_and_then_caught() -> None:
    world = make()
    world.start("caught", "e1")
    for _ in range(3):
        world.settle()
        world.fail(busy_of(world, "b@1")[0], error_type="Again")
        world.settle()
        assert world.busy() == []
        world.advance(2.1)
    world.settle()
    assert world.busy() == []
    assert world.outcome("e1") == ("succeeded", b'"mended"')
    assert world.types("e1").count("ParallelStateRetried") == 2
    assert world.types("e1").count("ParallelStateStarted") == 3


def test_a_time_limit_ends_all_branches() -> None:
    world = make()
    world.start("mapped", "e1", timeout_s=5.0)
    world.settle()
    busy = world.busy()
    assert len(busy) == 2
    world.advance(5.1)
    world.run()
    assert world.outcome("e1")[0] == "timed_out"
    assert not set(busy) & set(world.instances)


def test_a_stopping_node_ends_the_states_under_way_and_continues_with_all_branches() -> None:
    world = make()
    world.start("mapped", "e1")
    world.settle()
    world.executions.pause(world.now)
    world.flush()
    world.settle()
    world.run()
    assert world.executions.is_settled()
    assert world.types("e1").count("TaskSucceeded") == 2
    world.restart_manager()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"[2,3,4,5,6]")
    assert world.types("e1").count("TaskSucceeded") == 11, "a finished state was run again"


def test_what_waits_for_the_journal_waits_in_every_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    world = make(look_ahead=0)
    world.start("nested", "e1")
    world.settle()
    monkeypatch.setattr("actorfaas.core.reserving.BACKLOG_BYTES", 100)
    world.store.is_up = False
    world.start("mapped", "e2")
    world.finish(busy_of(world, "b@1")[0], payload=b"1" * 200)
    world.settle()
    assert world.executions._is_full()
    for topic in world.busy():
        world.finish(topic)
    world.settle()
    assert len(world.executions._parked) == 2, "c of both iterations"
    world.store.is_up = True
    world.executions.data_layer_connected(world.now)
    world.flush()
    world.run()
    assert (world.outcome("e1")[0], world.outcome("e2")) == ("succeeded", ("succeeded", b"[2,3,4,5,6]"))


@pytest.mark.parametrize("name", FLOWS)
def test_every_journal_leads_to_where_the_execution_stands(name: str) -> None:
    world = make()
    world.start(name, "e1", payload=b"1")
    for number in range(200):
        world.settle()
        compare(world)
        if world.store["e1"].finish is not None:
            break
        busy = world.busy()
        if not busy:
            world.advance(1.0)
        elif number % 7 == 3:
            world.fail(busy[number % len(busy)], error_type="Again")
        else:
            world.finish(busy[number % len(busy)])
    assert world.store["e1"].finish is not None


def compare(world: World) -> None:
    """A new engine, given the journal, stands where the running one does."""
    running = world.executions.execution("e1")
    for found in world.store.unfinished():
        assert running is not None
        replay = Replay(world.executions._engine("e1", running.plan, found.events[0].at_ms, running.terms))
        replay.run(found.events, found.input, world.now // S)
        assert not replay.unwritten
        assert replay.engine.outstanding(0) == running.engine.outstanding(0)
        assert list(replay.branches) == list(running.lanes)
        assert {branch: replay.unopened.get(branch, 0) for branch in running.lanes} == {
            branch: lane.unopened for branch, lane in running.lanes.items()
        }


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("restart", ["restart_manager", "restart_queue", "restart_supervisor"])
def test_a_restart_amid_branches_changes_no_result(name: str, restart: str) -> None:
    expected = make()
    expected.start(name, "e1", payload=b"1")
    run_through(expected, "", 0)
    for at in range(1, 12, 2):
        world = make()
        world.start(name, "e1", payload=b"1")
        run_through(world, restart, at)
        assert world.outcome("e1") == expected.outcome("e1"), f"after {restart} at step {at}"
        assert list(world.executions.all()) == []


def run_through(world: World, restart: str, at: int) -> None:
    """Let one worker after the other return; at one step a part of the platform restarts."""
    for number in range(200):
        if number == at and restart:
            getattr(world, restart)()
        world.settle()
        if world.store["e1"].finish is not None:
            return
        busy = world.busy()
        if busy:
            world.finish(busy[number % len(busy)])
        else:
            world.advance(1.0)
    raise AssertionError("it never ends")


def test_a_function_that_parameters_name_is_called_or_not_served() -> None:
    world = World()
    invoke = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName.$": "$.name", "Payload.$": "$.value"},
        "OutputPath": "$.Payload",
        "End": True,
    }
    world.deploy(function("a"), function("b"), workflows=(define("named", machine(call=invoke)),))
    world.settle()
    world.start("named", "e1", payload=b'{"name":"b","value":3}')
    world.start("named", "e2", payload=b'{"name":"z","value":3}')
    world.run()
    assert world.outcome("e1") == ("succeeded", b"4")
    finish = world.store["e2"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "WorkerUnavailable")


def test_the_gap_after_branches_is_counted_from_the_last_of_them() -> None:
    world = World()
    world.deploy(*(function(name) for name in "abc"), workflows=(define("split", SPLIT),))
    world.settle()
    world.start("split", "e1")
    for _ in range(30):
        world.settle()
        if not world.busy():
            world.advance(1.0)
        for topic in world.busy():
            world.now += S
            world.finish(topic)
    results = [event for event in world.store["e1"].events.values() if event.type == "TaskSucceeded"]
    (last,) = [event for event in results if event.state == "last"]
    before = max(event.at_ms for event in results if event is not last)
    assert last.at_ms - last.gap_ns // MS == before


def test_tasks_of_a_map_item_may_have_a_time_limit_from_the_item() -> None:
    world = World()
    limited = machine(
        each={
            "Type": "Map",
            "ItemProcessor": machine(one=task("a", TimeoutSecondsPath="$.limit", OutputPath="$.limit")),
            "End": True,
        }
    )
    world.deploy(function("a"), workflows=(define("limited", limited),))
    world.settle()
    world.start("limited", "e1", payload=b'[{"limit":1},{"limit":50}]')
    world.settle()
    world.advance(4.0)
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "States.Timeout")


@pytest.mark.parametrize("durability", ["standard", "express"])
def test_results_that_are_too_large_together_fail_their_state(durability: str) -> None:
    world = make(max_data_bytes=100)
    world.start("mapped", "e1", durability=durability)
    world.settle()
    while busy := world.busy():
        for topic in busy:
            world.finish(topic, b"1" * 60)
        world.settle()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "States.DataLimitExceeded")
    assert list(world.executions.all()) == []
