"""What executions store, and what they do while they cannot."""

from __future__ import annotations

import pytest

from actorfaas.core import reserving
from actorfaas.messages import AppendHistory, CreateExecution, FinishExecution, Refused
from tests.core.executions_rig import make, the_busy
from tests.core.world_node import S


def test_the_history_says_who_ran_what_and_the_gap_between_states() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.now += 5_000
    world.finish(the_busy(world))
    world.settle()
    world.run()
    events = world.store["e1"].events
    assert [events[seq].type for seq in sorted(events)] == [
        "ExecutionStarted",
        *["TaskStateEntered", "TaskSucceeded", "TaskStateExited"] * 3,
        "ExecutionSucceeded",
    ]
    results = [event for event in events.values() if event.type == "TaskSucceeded"]
    assert [event.payload for event in results] == [b"1", b"2", b"3"]
    assert all(event.worker_topic.startswith(f"{event.state}@1_") for event in results)
    assert all(event.gap_ns == 0 for event in results), "no time passed between the states of this test"


def test_express_executions_write_nothing_before_their_result() -> None:
    world = make()
    world.start("abc", "e1", durability="express")
    kinds: list[type] = []
    keep = world.store.keep

    def watch(request: object) -> str:
        kinds.append(type(request))
        return keep(request)  # type: ignore[arg-type]  # handed on as it came

    world.store.keep = watch  # type: ignore[method-assign]  # the test listens in
    world.run()
    assert kinds == [CreateExecution, FinishExecution]
    assert world.outcome("e1") == ("succeeded", b"3")


def test_a_standard_execution_can_wait_for_the_disk() -> None:
    world = make()
    world.start("abc", "e1", wait_for_commit=True)
    while world.queues["to_queue"]:
        world.deliver("to_queue")
    assert "e1" not in world.answers
    assert world.busy() == []
    world.run()
    assert world.accepted("e1")
    assert world.outcome("e1")[0] == "succeeded"


def test_a_start_that_cannot_be_stored_is_refused_and_leaves_no_running_record() -> None:
    world = make()
    world.store.is_up = False
    world.start("abc", "e1", wait_for_commit=True)
    world.run()
    answer = world.answers["e1"]
    assert isinstance(answer, Refused)
    assert (answer.error, answer.retryable) == ("unavailable", True)
    world.store.is_up = True
    world.executions.data_layer_connected(world.now)
    world.flush()
    world.run()
    assert world.outcome("e1")[0] == "cancelled"


def test_while_the_data_layer_is_away_executions_go_on_and_are_journalled_later() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.store.is_up = False
    world.run()
    assert world.store["e1"].finish is None
    world.store.is_up = True
    world.executions.data_layer_connected(world.now)
    world.flush()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")
    assert world.types("e1").count("TaskSucceeded") == 3


def test_states_wait_while_too_much_is_not_journalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserving, "BACKLOG_BYTES", 100)
    world = make(look_ahead=0)
    world.start("abc", "e1")
    world.settle()
    world.store.is_up = False
    world.finish(the_busy(world), payload=b"1" * 200)
    world.settle()
    assert world.busy() == [], "the next state began although memory is full"
    world.store.is_up = True
    world.executions.data_layer_connected(world.now)
    world.flush()
    world.run()
    assert world.outcome("e1")[0] == "succeeded"


def test_one_request_at_a_time_is_under_way_to_the_data_layer() -> None:
    world = make()
    world.start("abc", "e1")
    for _ in range(6):
        for queue in ("to_queue", "from_queue"):
            while world.deliver(queue):
                pass
        for topic in world.busy():
            world.finish(topic)
    assert len(world.queues["to_store"]) == 1
    batches: list[int] = []
    keep = world.store.keep

    def watch(request: object) -> str:
        if isinstance(request, AppendHistory | FinishExecution):
            batches.append(len(request.events))
        return keep(request)  # type: ignore[arg-type]  # handed on as it came

    world.store.keep = watch  # type: ignore[method-assign]  # the test listens in
    world.run()
    assert batches == [11], "what had gathered was not sent together"
    assert world.now < 2_000 * S


@pytest.mark.parametrize("durability", ["standard", "express"])
def test_an_output_that_is_too_large_fails_the_execution_and_stops_whoever_has_it(durability: str) -> None:
    world = make(max_data_bytes=100)
    world.start("abc", "e1", durability=durability)
    world.settle()
    world.finish(the_busy(world), payload=b"1" * 101)
    second = the_busy(world)
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "States.DataLimitExceeded")
    assert second not in world.instances


@pytest.mark.parametrize("store_is_up", [True, False])
def test_a_start_that_is_cancelled_before_it_is_stored_is_answered(store_is_up: bool) -> None:
    world = make()
    world.store.is_up = store_is_up
    world.start("abc", "e1", wait_for_commit=True)
    assert world.cancel("e1")
    world.run()
    assert world.accepted("e1") == store_is_up
    assert "e1" in world.answers
