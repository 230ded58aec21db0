"""Executions from start to result: hand-offs, journal, retries, time limits, losses, restarts."""

from __future__ import annotations

import pytest

from actorfaas.core import driving, progress
from actorfaas.messages import AppendHistory, CreateExecution, ExecutionAccepted, FinishExecution, Refused
from tests.core.world import S, World, chain, function, workflow

RETRY = (
    b'{"StartAt":"a","States":{"a":{"Type":"Task","Resource":"a","Next":"b"},"b":{"Type":"Task","Resource":"b",'
    b'"End":true,"Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":2,"MaxAttempts":1}]}}}'
)
LIMITED = (
    b'{"StartAt":"a","States":{"a":{"Type":"Task","Resource":"a","Next":"b"},'
    b'"b":{"Type":"Task","Resource":"b","TimeoutSeconds":3,"End":true}}}'
)
WAITING = (
    b'{"StartAt":"a","States":{"a":{"Type":"Task","Resource":"a","Next":"w"},"w":{"Type":"Wait","Seconds":10,'
    b'"Next":"b"},"b":{"Type":"Task","Resource":"b","End":true}}}'
)


def make(*, look_ahead: int = 2, **changes: object) -> World:
    world = World(look_ahead=look_ahead)
    world.deploy(
        function("a", **changes),
        function("b", **changes),
        function("c", **changes),
        workflows=(
            workflow("abc", chain("a", "b", "c")),
            workflow("abab", chain("a", "b", "a", "b")),
            workflow("retry", RETRY),
            workflow("limited", LIMITED),
            workflow("waiting", WAITING),
        ),
    )
    world.settle()
    return world


def the_busy(world: World) -> str:
    (topic,) = world.busy()
    return topic


def test_results_go_directly_from_worker_to_worker() -> None:
    world = make()
    world.start("abc", "e1", payload=b"5")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"8")
    assert world.handed_over == 2
    assert world.executions.guesses.reservations == 2
    assert world.executions.guesses.wrong == 0


def test_without_look_ahead_every_result_comes_to_the_manager() -> None:
    world = make(look_ahead=0)
    world.start("abc", "e1", payload=b"5")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"8")
    assert world.handed_over == 0


def test_a_function_that_comes_again_is_handed_to_its_only_worker() -> None:
    world = make()
    world.start("abab", "e1", payload=b"0")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"4")
    assert world.handed_over == 3
    assert len(world.instances) == 3


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
    keep = world._keep

    def watch(request: object) -> str:
        kinds.append(type(request))
        return keep(request)  # type: ignore[arg-type]  # handed on as it came

    world._keep = watch  # type: ignore[method-assign]  # the test listens in
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
    world.store_is_up = False
    world.start("abc", "e1", wait_for_commit=True)
    world.run()
    answer = world.answers["e1"]
    assert isinstance(answer, Refused)
    assert (answer.error, answer.retryable) == ("unavailable", True)
    world.store_is_up = True
    world.executions.data_layer_connected(world.now)
    world.flush()
    world.run()
    assert world.outcome("e1")[0] == "cancelled"


def test_an_id_that_exists_is_a_conflict() -> None:
    world = make()
    world.start("abc", "e1")
    world.start("abc", "e1b")
    assert world.executions.refusal is not None
    world.run()
    world.start("abc", "e2")
    del world.answers["e2"]
    world.start("abc", "e2")
    answer = world.answers["e2"]
    assert isinstance(answer, Refused)
    assert answer.error == "conflict"


def test_too_many_executions_are_refused() -> None:
    world = make(queue_limit=1, concurrency=1)
    for number in range(3):
        world.start("abc", f"e{number}")
    answers = [world.answers[f"e{number}"] for number in range(3)]
    assert [type(answer) for answer in answers] == [ExecutionAccepted, ExecutionAccepted, Refused]
    world.run()
    assert world.outcome("e1")[0] == "succeeded"


def test_a_handler_that_raises_fails_the_execution_with_its_error() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.fail(the_busy(world), "KeyError")
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type, finish.error_message) == ("failed", "KeyError", "boom")
    assert world.executions.guesses.wrong == 2


def test_a_state_is_tried_again_as_it_asks() -> None:
    world = make()
    world.start("retry", "e1")
    world.settle()
    world.finish(the_busy(world))
    world.settle()
    world.fail(the_busy(world))
    world.run()
    assert world.store["e1"].finish is None
    world.advance(1.9)
    world.run()
    assert world.store["e1"].finish is None
    world.advance(0.2)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")


def test_an_express_state_with_retries_keeps_the_input_that_was_handed_on() -> None:
    world = make()
    world.start("retry", "e1", durability="express")
    world.settle()
    world.finish(the_busy(world))
    world.settle()
    world.die(the_busy(world))
    world.run()
    world.advance(2.1)
    world.run()
    assert world.handed_over == 1
    assert world.outcome("e1") == ("succeeded", b"2")


def test_a_functions_retries_count_for_single_calls() -> None:
    world = make(retries=1, retry_delay_s=0.5)
    world.start("a", "e1")
    world.settle()
    world.fail(the_busy(world))
    world.settle()
    world.advance(0.6)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"1")


def test_a_worker_that_dies_fails_the_state_and_says_how() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.die(the_busy(world), "was killed by signal 11 (SIGSEGV)")
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "WorkerLost")
    assert "SIGSEGV" in finish.error_message


def test_a_reserved_worker_that_dies_costs_only_the_reservation() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    (reserved,) = [topic for topic in world.instances if topic.startswith("b@1")]
    world.die(reserved)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")


def test_a_handler_over_its_limit_is_killed_and_the_execution_fails() -> None:
    world = make(timeout_s=2.0)
    world.start("abc", "e1")
    world.settle()
    busy = the_busy(world)
    world.advance(2.1)
    world.run()
    assert busy not in world.instances
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "States.Timeout")


def test_a_function_call_over_its_limit_has_timed_out() -> None:
    world = make(timeout_s=2.0)
    world.start("a", "e1")
    world.settle()
    world.advance(2.1)
    world.run()
    assert world.outcome("e1")[0] == "timed_out"


def test_the_limit_of_a_state_counts_from_the_hand_off() -> None:
    world = make()
    world.start("limited", "e1")
    world.settle()
    world.advance(10.0)
    world.finish(the_busy(world))
    world.settle()
    busy = the_busy(world)
    world.advance(2.9)
    world.settle()
    assert world.busy() == [busy]
    world.advance(0.2)
    world.run()
    assert busy not in world.instances
    assert world.store["e1"].finish is not None
    assert world.store["e1"].finish.error_type == "States.Timeout"


def test_an_execution_over_its_own_limit_has_timed_out() -> None:
    world = make()
    world.start("waiting", "e1", timeout_s=5.0)
    world.run()
    world.advance(5.1)
    world.run()
    assert world.outcome("e1")[0] == "timed_out"
    assert world.types("e1")[-1] == "ExecutionTimedOut"


def test_a_cancelled_execution_kills_its_worker_and_frees_the_others() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    busy = the_busy(world)
    assert world.cancel("e1")
    assert not world.cancel("e1")
    world.run()
    assert busy not in world.instances
    assert world.outcome("e1")[0] == "cancelled"
    held = [state.held_by for state in world.dispatch.describe(world.now)]
    assert "e1" not in held


def test_cancelling_while_a_result_is_handed_on_kills_whoever_got_it() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.finish(the_busy(world))
    second = the_busy(world)
    assert world.cancel("e1")
    world.run()
    assert second not in world.instances
    assert world.outcome("e1")[0] == "cancelled"


def test_while_the_data_layer_is_away_executions_go_on_and_are_journalled_later() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.store_is_up = False
    world.run()
    assert world.store["e1"].finish is None
    world.store_is_up = True
    world.executions.data_layer_connected(world.now)
    world.flush()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")
    assert world.types("e1").count("TaskSucceeded") == 3


def test_states_wait_while_too_much_is_not_journalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "BACKLOG_BYTES", 100)
    world = make(look_ahead=0)
    world.start("abc", "e1")
    world.settle()
    world.store_is_up = False
    world.finish(the_busy(world), payload=b"1" * 200)
    world.settle()
    assert world.busy() == [], "the next state began although memory is full"
    world.store_is_up = True
    world.executions.data_layer_connected(world.now)
    world.flush()
    world.run()
    assert world.outcome("e1")[0] == "succeeded"


def test_a_restart_continues_after_the_last_journalled_state() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.finish(the_busy(world))
    world.settle()
    assert any(isinstance(event, str) and event == "TaskSucceeded" for event in world.types("e1"))
    world.restart_manager()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")
    assert world.types("e1").count("TaskSucceeded") == 3, "a finished state was run again"


def test_an_execution_that_was_only_created_before_a_restart_has_a_whole_history() -> None:
    world = make()
    world.start("abc", "e1", wait_for_commit=True)
    world.deliver("to_store")
    world.queues["to_store"].clear()  # the answer is lost with the manager
    assert world.types("e1") == []
    world.restart_manager()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")
    assert world.types("e1")[0] == "ExecutionStarted"
    assert world.types("e1").count("ExecutionStarted") == 1


def test_a_wait_goes_on_through_a_restart() -> None:
    world = make()
    world.start("waiting", "e1")
    world.run()
    world.advance(6.0)
    world.restart_manager()
    world.run()
    world.advance(3.0)
    world.run()
    assert world.store["e1"].finish is None
    world.advance(1.1)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")


def test_a_stopping_node_ends_the_state_under_way_and_continues_after_the_restart() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.executions.pause(world.now)
    world.flush()
    world.settle()
    assert not world.executions.is_settled()
    world.run()
    assert world.executions.is_settled()
    assert world.types("e1").count("TaskSucceeded") == 1
    world.restart_manager()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")


def test_plain_calls_do_not_notice_a_restart_of_the_manager() -> None:
    world = make()
    world.advance(1.0)
    world.settle()
    world.publish("a@1", "r1")
    busy = the_busy(world)
    world.restart_manager()
    assert world.busy() == [busy]
    world.run()
    assert world.published["r1"] is not None


def test_a_restarted_queue_runs_durable_states_again_and_fails_express_ones() -> None:
    world = make()
    world.start("abc", "durable")
    world.start("abc", "express", durability="express")
    world.settle()
    world.restart_queue()
    world.run()
    assert world.outcome("durable") == ("succeeded", b"3")
    finish = world.store["express"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "WorkerLost")


def test_a_restarted_supervisor_runs_durable_states_again() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.restart_supervisor()
    world.advance(1.1)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")


def test_workers_that_end_before_their_supervisor_is_seen_to_be_gone_are_lost_with_it() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.disconnect(the_busy(world))
    world.settle()
    world.advance(0.001)
    world.restart_supervisor()
    world.settle()
    assert world.dispatch.is_connected
    world.advance(1.1)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")


def test_a_handler_hindered_by_the_platform_is_run_again_in_durable_executions() -> None:
    world = make()
    world.start("abc", "durable")
    world.settle()
    worker = the_busy(world)
    world.fail(worker, "RequestRefused", "unavailable")
    world.run()
    assert world.outcome("durable") == ("succeeded", b"3")
    assert worker in world.instances, "the worker is unharmed"
    world.start("abc", "express", durability="express")
    world.settle()
    world.fail(the_busy(world), "RequestRefused", "unavailable")
    world.run()
    finish = world.store["express"].finish
    assert finish is not None
    assert (finish.status, finish.error_type, finish.error_message) == ("failed", "RequestRefused", "boom")


def test_strategy_fork_gives_every_state_an_instance_of_its_own() -> None:
    world = make()
    before = set(world.instances)
    world.start("abc", "e1", strategy="fork")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")
    assert world.handed_over == 0
    results = [event for event in world.store["e1"].events.values() if event.type == "TaskSucceeded"]
    assert [event.start_kind for event in results] == ["fork"] * 3
    assert not {event.worker_topic for event in results} & before
    assert set(world.instances) == before


def test_strategy_cold_starts_interpreters() -> None:
    world = make(warm=0)
    world.start("abc", "e1", strategy="cold")
    world.run()
    results = [event for event in world.store["e1"].events.values() if event.type == "TaskSucceeded"]
    assert [event.start_kind for event in results] == ["cold"] * 3
    assert world.instances == {}


def test_resident_wins_over_a_functions_own_strategy() -> None:
    world = make(strategy="fork")
    world.start("abc", "e1", strategy="resident")
    world.run()
    assert len(world.instances) == 3
    world.start("abc", "e2")
    world.run()
    assert world.outcome("e2")[0] == "succeeded"


def test_a_state_whose_worker_cannot_be_started_fails_in_words() -> None:
    world = World()
    world.start_fails = True
    world.deploy(function("a", warm=0))
    world.start("a", "e1")
    for _ in range(10):
        world.run()
        world.advance(0.5)
    finish = world.store["e1"].finish
    assert finish is not None
    assert finish.error_type == "WorkerUnavailable"
    assert "no memory" in finish.error_message


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
    keep = world._keep

    def watch(request: object) -> str:
        if isinstance(request, AppendHistory | FinishExecution):
            batches.append(len(request.events))
        return keep(request)  # type: ignore[arg-type]  # handed on as it came

    world._keep = watch  # type: ignore[method-assign]  # the test listens in
    world.run()
    assert batches == [11], "what had gathered was not sent together"
    assert world.now < 2_000 * S


def test_an_output_too_large_to_journal_fails_the_execution_and_stops_whoever_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "MAX_OUTPUT_BYTES", 100)
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.finish(the_busy(world), payload=b"1" * 101)
    second = the_busy(world)
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "States.DataLimitExceeded")
    assert second not in world.instances
