"""Tasks that changed functions' data: committed with the journal, refused, and what happens meanwhile."""

from __future__ import annotations

import pytest

from actorfaas.config import MAX_DATA_BYTES
from actorfaas.core import history
from actorfaas.messages import AddedState, AppendHistory, KvCommit, Message, TaskFinishedAndEffects
from tests.core.branching_rig import SPLIT, define, machine, task
from tests.core.executions_rig import make, the_busy
from tests.core.specs import function
from tests.core.talking_rig import TalkingWorld
from tests.core.world import World
from tests.core.world_node import S


def split_world() -> World:
    world = World()
    world.deploy(function("a"), function("b"), function("c"), workflows=(define("split", SPLIT),))
    world.settle()
    return world


def changing(world: World, execution_id: str = "e1", name: str = "abc", durability: str = "standard") -> str:
    """An execution whose first task has returned with changes; nothing of it has been stored yet."""
    world.start(name, execution_id, durability=durability)
    world.settle()
    topic = the_busy(world)
    world.finish_with(topic, b"changes", payload=b"1")
    deliver_all_but(world, "to_store")
    return topic


def deliver_all_but(world: World, *left: str) -> None:
    while names := [name for name, queue in world.queues.items() if queue and name not in left]:
        world.deliver(names[0])


def requests(world: World) -> list[Message]:
    """What the DataLayer is asked, from now on."""
    seen: list[Message] = []
    keep = world.store.keep

    def watch(request: Message) -> str:
        seen.append(request)
        return keep(request)

    world.store.keep = watch  # type: ignore[method-assign]  # the test listens in
    return seen


def test_changes_are_committed_with_the_journal_of_the_tasks_success() -> None:
    world = make()
    seen = requests(world)
    changing(world)
    assert world.busy() == [], "what follows waits for the commit"
    world.check()
    world.settle()
    (append,) = [one for one in seen if isinstance(one, AppendHistory) and one.payload]
    assert (append.app, append.payload) == ("app", b"changes")
    assert (append.events[-1].type, append.events[-1].payload) == ("TaskSucceeded", b"1")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")
    assert world.store.commits == [b"changes"]


def test_what_was_reserved_for_the_next_state_is_used_after_the_commit() -> None:
    world = make(warm=1)
    world.start("abc", "e1")
    world.settle()
    first = the_busy(world)
    reserved = world.queue.board.workers[first].lease
    world.finish_with(first, b"changes", payload=b"1")
    world.settle()
    assert reserved is not None
    assert the_busy(world) == getattr(reserved, "follower", "")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")


@pytest.mark.parametrize(
    ("code", "error"), [("precondition_failed", "VersionConflict"), ("data_refused", "DataRefused")]
)
def test_changes_that_are_refused_fail_the_task(code: str, error: str) -> None:
    world = make()
    world.store.refuses_data = code
    changing(world)
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", error)
    assert world.types("e1") == ["ExecutionStarted", "TaskStateEntered", "TaskFailed", "ExecutionFailed"]
    assert world.store.commits == []


def test_a_task_whose_changes_were_refused_is_tried_again() -> None:
    world = make(retries=1, retry_delay_s=1.0)
    world.store.refuses_data = "precondition_failed"
    changing(world)
    world.settle()
    world.store.refuses_data = ""
    world.advance(1.0)
    world.settle()
    world.finish_with(the_busy(world), b"again", payload=b"5")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"7")
    assert world.store.commits == [b"again"]


def test_changes_that_were_committed_unheard_are_not_made_again() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    keep = world.store.keep

    def kept_unheard(request: Message) -> str:
        keep(request)
        return "unavailable"

    world.store.keep = kept_unheard  # type: ignore[method-assign]  # the answer is lost on its way
    world.finish_with(the_busy(world), b"changes", payload=b"1")
    world.settle()
    world.store.keep = keep  # type: ignore[method-assign]  # it is back
    world.executions.data_layer_connected(world.now)
    world.flush()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")
    assert world.store.commits == [b"changes"]


def test_while_the_data_layer_is_away_the_execution_waits() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.store.is_up = False
    world.finish_with(the_busy(world), b"changes", payload=b"1")
    world.settle()
    world.advance(60.0)
    assert (world.busy(), world.store.commits) == ([], [])
    world.check()
    world.store.is_up = True
    world.executions.data_layer_connected(world.now)
    world.flush()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")


def test_what_happens_in_other_branches_meanwhile_is_taken_in_afterwards() -> None:
    world = split_world()
    world.start("split", "e1")
    world.settle()
    world.finish(the_busy(world))
    world.settle()
    (b1,) = [topic for topic in world.busy() if topic.startswith("b@")]
    (c3,) = [topic for topic in world.busy() if topic.startswith("c@")]
    world.finish_with(b1, b"changes")
    deliver_all_but(world, "to_store")
    world.finish(c3)
    deliver_all_but(world, "to_store")
    world.advance(1.0)  # the Wait state of the second branch is over
    deliver_all_but(world, "to_store")
    world.check()
    assert [event for event in world.types("e1") if event == "WaitStateExited"] == []
    world.settle()
    types = world.types("e1")
    assert types.index("WaitStateExited") > [i for i, type_ in enumerate(types) if type_ == "TaskSucceeded"][1]
    world.run()
    assert world.outcome("e1")[0] == "succeeded"


def test_a_restart_before_the_commit_runs_the_task_again_and_after_it_does_not() -> None:
    for is_stored in (False, True):
        world = split_world()
        world.start("split", "e1")
        world.settle()
        world.finish_with(the_busy(world), b"first", payload=b"1")
        deliver_all_but(world, *(() if is_stored else ("to_store",)))
        if not is_stored:
            world.queues["to_store"].clear()
        world.restart_manager()
        world.settle()
        assert the_busy(world).startswith("a@") if not is_stored else len(world.busy()) == 2
        world.run()
        world.advance(1.0)
        world.run()
        assert world.outcome("e1")[0] == "succeeded"
        assert world.store.commits == [b"first"] * is_stored


def test_an_execution_that_is_cancelled_before_its_commit_was_sent_changes_nothing() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.store.is_up = False
    world.finish_with(the_busy(world), b"changes")
    world.settle()
    assert world.cancel("e1")
    world.check()
    world.store.is_up = True
    world.executions.data_layer_connected(world.now)
    world.flush()
    world.run()
    assert (world.outcome("e1")[0], world.store.commits) == ("cancelled", [])
    assert world.types("e1")[-2:] == ["TaskFailed", "ExecutionAborted"]
    assert world.executions._backlog_bytes == 0


@pytest.mark.parametrize("code", ["", "precondition_failed"])
def test_an_execution_that_is_cancelled_while_its_commit_is_under_way(code: str) -> None:
    world = make()
    changing(world)
    world.store.refuses_data = code
    assert world.cancel("e1")
    world.check()
    world.run()
    assert world.outcome("e1")[0] == "cancelled"
    assert world.store.commits == ([] if code else [b"changes"])
    assert world.types("e1")[2] == ("TaskFailed" if code else "TaskSucceeded")
    assert world.executions._backlog_bytes == 0


def test_an_express_execution_commits_before_it_goes_on() -> None:
    world = make()
    seen = requests(world)
    changing(world, durability="express")
    assert world.busy() == []
    world.settle()
    (commit,) = [one for one in seen if isinstance(one, KvCommit)]
    assert commit == KvCommit("app", False, b"changes")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")


@pytest.mark.parametrize(
    ("code", "error"),
    [("precondition_failed", "VersionConflict"), ("invalid", "DataRefused"), ("unavailable", "DataUnavailable")],
)
def test_an_express_execution_whose_changes_were_not_made_fails(code: str, error: str) -> None:
    world = make()
    world.store.refuses_data = code
    changing(world, durability="express")
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", error)


ADDING = machine(
    a=task("a", Next="c", PotentialNext=["b"]),
    b=task("b", Next="c"),
    c=task("c"),
)


def adding_world(max_data_bytes: int = MAX_DATA_BYTES) -> World:
    world = World(max_data_bytes=max_data_bytes)
    world.deploy(function("a"), function("b"), function("c"), workflows=(define("adding", ADDING),))
    world.settle()
    return world


@pytest.mark.parametrize("writes", [b"", b"changes"])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_states_that_a_task_adds_run_next(writes: bytes, is_restarted: bool) -> None:
    world = adding_world()
    world.start("adding", "e1")
    world.settle()
    added = (AddedState("b", b"10"), AddedState("b", b"20"))
    world.finish_with(the_busy(world), writes, payload=b"0", added=added)
    world.settle()
    if is_restarted:
        world.restart_manager()
        world.settle()
    assert sorted(world.busy()) == sorted(topic for topic in world.busy() if topic.startswith("b@"))
    assert len(world.busy()) == 2
    world.run()
    assert world.outcome("e1") == ("succeeded", b"[11,21]")
    events = world.store["e1"].events
    (next_,) = [event for event in events.values() if event.type == "TaskNextAdded"]
    assert next_.payload == b'[{"state":"b","input":10},{"state":"b","input":20}]'
    assert world.store.commits == [writes] * bool(writes)


def test_states_that_an_attempt_added_are_not_those_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BATCH_EVENTS", 1)
    world = adding_world()
    world.start("adding", "e1")
    world.settle()
    world.finish_with(the_busy(world), b"", payload=b"0", added=(AddedState("b", b"10"),))
    deliver_all_but(world, "to_store")
    world.deliver("to_store")
    world.restart_node()
    world.settle()
    world.finish(the_busy(world), payload=b"5")
    world.settle()
    world.restart_manager()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"6")


def test_a_result_and_the_inputs_of_added_states_share_the_limit() -> None:
    world = adding_world(max_data_bytes=100)
    world.start("adding", "e1")
    world.settle()
    world.finish_with(the_busy(world), b"", payload=b"1" * 60, added=(AddedState("b", b"1" * 60),))
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "States.DataLimitExceeded")


def test_one_that_is_added_takes_the_place_of_the_declared_next_state() -> None:
    world = adding_world()
    world.start("adding", "e1")
    world.settle()
    world.finish_with(the_busy(world), b"", payload=b"0", added=(AddedState("b", b"10"),))
    world.settle()
    world.restart_manager()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"12")


def test_an_added_state_that_is_not_declared_fails_the_task() -> None:
    world = adding_world()
    world.start("adding", "e1")
    world.settle()
    world.finish_with(the_busy(world), b"", added=(AddedState("c", b"1"),))
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "NextNotAllowed")


def test_an_added_state_whose_commit_was_refused_is_forgotten() -> None:
    world = World()
    world.deploy(
        function("a", retries=1, retry_delay_s=1.0), function("b"), function("c"), workflows=(define("adding", ADDING),)
    )
    world.settle()
    world.start("adding", "e1")
    world.settle()
    world.store.refuses_data = "precondition_failed"
    world.finish_with(the_busy(world), b"changes", added=(AddedState("b", b"1"),))
    world.settle()
    world.restart_manager()
    world.settle()
    world.advance(1.0)
    world.run()
    assert "b" not in [event.state for event in world.store["e1"].events.values() if event.type == "TaskStateEntered"]
    assert world.outcome("e1")[0] == "succeeded"


def test_an_input_that_is_not_json_fails_the_task() -> None:
    world = adding_world()
    world.start("adding", "e1")
    world.settle()
    world.finish_with(the_busy(world), b"", added=(AddedState("b", b"{"),))
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert finish.error_type == "BadResult"


def test_effects_that_cannot_be_read_fail_the_task() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    worker = the_busy(world)
    task = world.instances[worker].tasks[0]
    fact = TaskFinishedAndEffects(worker, task.request_id, "e1", "a", 1, "fork", 1, 2, 3, 5, b"garbage")
    world.executions.task_finished_with_effects(fact, world.now)
    world.flush()
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "BadResult")


def test_a_time_limit_that_passes_during_a_commit_ends_the_execution() -> None:
    world = make()
    world.start("abc", "e1", timeout_s=5.0)
    world.settle()
    world.store.is_up = False
    world.finish_with(the_busy(world), b"changes")
    world.settle()
    world.now += 6 * S
    world.executions.tick(world.now)
    world.flush()
    world.store.is_up = True
    world.executions.data_layer_connected(world.now)
    world.flush()
    world.run()
    assert world.outcome("e1")[0] == "timed_out"


def test_what_was_handed_on_during_a_commit_runs_again_when_the_queue_is_lost() -> None:
    world = TalkingWorld()
    world.finish_with(world.at("a"), b"changes")
    world.finish(world.at("b"))
    while world.deliver("from_queue"):
        pass
    assert world.handed_over == 1
    world.restart_queue()
    world.settle()
    assert world.at("c")
    world.run()
    assert world.outcome("e1")[0] == "succeeded"
