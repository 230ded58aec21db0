"""Pool policy: who gets which worker, when pools grow and shrink. Against the real core of the LocalQueue."""

from __future__ import annotations

import itertools

from actorfaas.core.effects import Tell
from actorfaas.core.pool import NS_PER_S
from actorfaas.messages import (
    ConnectedWorker,
    InvocationFailed,
    InvocationResult,
    KillWorker,
    RetireWorker,
    StartWorkers,
    Subscribe,
)
from tests.core.specs import chain, function, workflow
from tests.core.world import World


def make(*functions: object, max_workers: int = 64) -> World:
    world = World(max_workers=max_workers)
    world.deploy(
        *functions,  # type: ignore[arg-type]  # FunctionSpecs
        workflows=(workflow("ab", chain("a", "b")), workflow("b_only", chain("b"))) if len(functions) > 1 else (),
    )
    return world


def workers_of(world: World, topic: str) -> list[str]:
    return sorted(name for name, one in world.instances.items() if one.function_topic == topic)


def serve(world: World, request: str) -> InvocationResult:
    world.run()
    result = world.published[request]
    assert isinstance(result, InvocationResult), result
    return result


def test_warm_instances_live_from_the_deployment_on_and_are_lent_to_their_topic() -> None:
    world = make(function("a", warm=2))
    world.settle()
    assert len(workers_of(world, "a@1")) == 2
    world.advance(1.0)
    world.settle()
    world.publish("a@1", "r1")
    assert len(world.busy()) == 1, "a lent worker is given a request without the ExecutionManager"
    assert serve(world, "r1").payload == b"2"


def test_no_more_instances_start_than_requests_wait() -> None:
    world = make(function("a", warm=0, concurrency=10))
    for number in range(3):
        world.publish("a@1", f"r{number}")
    world.advance(0.006)
    world.settle()
    assert len(workers_of(world, "a@1")) == 3
    assert {serve(world, f"r{n}").start_kind for n in range(3)} == {"fork"}


def test_a_pool_grows_to_its_concurrency_and_no_further() -> None:
    world = make(function("a", concurrency=4))
    for number in range(20):
        world.publish("a@1", f"r{number}")
    for _ in range(5):
        world.settle()
        world.advance(0.1)
    assert len(workers_of(world, "a@1")) == 4
    world.run()
    assert all(isinstance(result, InvocationResult) for result in world.published.values())


def test_members_unused_for_the_idle_timeout_go_down_to_warm() -> None:
    world = make(function("a", concurrency=6, warm=1, idle_timeout_s=5.0))
    for number in range(6):
        world.publish("a@1", f"r{number}")
        world.advance(0.006)
        world.settle()
    assert len(workers_of(world, "a@1")) == 6
    world.run()
    for _ in range(4):
        world.advance(1.0)
        world.run()
    assert len(workers_of(world, "a@1")) == 6
    for _ in range(8):
        world.advance(1.0)
        world.run()
    assert len(workers_of(world, "a@1")) == 1


def test_members_in_use_are_kept() -> None:
    world = make(function("a", concurrency=6, warm=0, idle_timeout_s=3.0))
    for second in range(12):
        for one in range(2):
            world.publish("a@1", f"r{second}-{one}")
        world.advance(0.006)
        world.run()
        world.advance(1.0)
        world.run()
    assert len(workers_of(world, "a@1")) == 2


def test_fork_and_cold_get_exactly_one_instance_a_request_which_then_ends() -> None:
    world = make(function("a", warm=0))
    for number, kind in enumerate(("fork", "cold", "fork")):
        world.publish(f"a@1!{kind}", f"r{number}")
    world.settle()
    assert len(workers_of(world, "a@1")) == 3
    world.run()
    kinds = [serve(world, f"r{number}").start_kind for number in range(3)]
    assert kinds == ["fork", "cold", "fork"]
    assert workers_of(world, "a@1") == []


def test_a_full_node_takes_idle_workers_of_other_functions() -> None:
    world = make(function("a", warm=2), function("b", warm=0), max_workers=2)
    world.settle()
    world.advance(1.0)
    world.publish("b@1", "r1")
    for _ in range(3):
        world.advance(0.1)
        world.settle()
    assert serve(world, "r1").payload == b"2"
    assert len(world.instances) <= 2


def test_a_full_node_lets_a_busy_pool_give_up_a_member() -> None:
    world = make(function("a", warm=0), function("b", warm=0), max_workers=2)
    for number in range(2):
        world.publish("a@1", f"a{number}")
    world.advance(0.006)
    world.settle()
    world.publish("b@1", "b0")
    for number in range(30):
        world.publish("a@1", f"more{number}")
        world.advance(0.2)
        world.settle()
        for topic in world.busy()[:1]:
            world.finish(topic)
        world.settle()
    assert isinstance(world.published["b0"], InvocationResult) or any("b@1" in topic for topic in world.busy())


def test_requests_fail_when_workers_do_not_start_and_work_again_later() -> None:
    world = make(function("a", warm=0))
    world.start_fails = True
    world.publish("a@1", "r1")
    for _ in range(20):
        world.advance(0.2)
        world.settle()
    failed = world.published["r1"]
    assert isinstance(failed, InvocationFailed)
    assert failed.reason == "unavailable"
    world.start_fails = False
    world.publish("a@1", "r2")
    for _ in range(30):
        world.advance(0.2)
        world.settle()
    assert serve(world, "r2").payload == b"2"


def test_failing_starts_are_tried_again_with_growing_pauses() -> None:
    world = make(function("a", warm=0))
    world.start_fails = True
    world.publish("a@1", "r1")
    for _ in range(150):
        world.advance(0.02)
        world.settle()
    pauses = [after - before for before, after in itertools.pairwise(world.started_at)]
    assert len(pauses) == 2, "after the third failure nothing waits any more"
    assert pauses[1] > pauses[0] >= 100_000_000


def test_a_state_that_waits_gets_a_worker_that_another_had_reserved() -> None:
    world = make(function("a"), function("b", concurrency=1))
    world.settle()
    world.start("ab", "first")
    world.settle()
    assert world.executions.guesses.reservations == 1
    world.start("b_only", "second")
    world.settle()
    assert any("b@1" in topic for topic in world.busy()), "the reservation did not make way"
    assert world.executions.guesses.wrong == 1
    world.run()
    assert world.outcome("first") == ("succeeded", b"2")
    assert world.outcome("second") == ("succeeded", b"1")


def test_a_state_waits_for_a_new_instance_rather_than_taking_the_next_of_another() -> None:
    world = make(function("a"), function("b", concurrency=2))
    world.settle()
    world.start("ab", "first")
    world.settle()
    world.start("b_only", "second")
    world.settle()
    assert world.executions.guesses.wrong == 0
    assert len(workers_of(world, "b@1")) == 2


def test_executions_take_idle_lent_workers_back() -> None:
    world = make(function("a"), function("b"))
    world.settle()
    world.advance(1.0)
    world.settle()
    world.start("ab", "e1")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")
    assert len(world.instances) == 2, "nothing had to be started"


def test_plain_calls_and_executions_share_a_single_worker() -> None:
    world = make(function("a", concurrency=1), function("b"))
    for number in range(5):
        world.publish("a@1", f"r{number}")
        world.start("ab", f"e{number}")
    for _ in range(60):
        world.run()
        world.advance(0.1)
    assert all(isinstance(result, InvocationResult) for result in world.published.values())
    assert {world.outcome(f"e{number}")[0] for number in range(5)} == {"succeeded"}


def test_adopted_workers_go_on_unless_they_had_a_task_of_the_manager_before() -> None:
    world = make(function("a"))
    world.dispatch.effects.clear()
    found = [
        ConnectedWorker("a@1_1", "a@1", 1, "fork", "a@1", "busy", "r", "", 1, 0),
        ConnectedWorker("a@1_2", "a@1", 2, "fork", "", "idle", "", "", 1, 0),
        ConnectedWorker("a@1_3", "a@1", 3, "fork", "", "armed", "t", "e", 1, 0),
        ConnectedWorker("old@1_4", "old@1", 4, "fork", "", "idle", "", "", 1, 0),
    ]
    world.dispatch.adopt(found, world.now)
    messages = [effect.message for effect in world.dispatch.effects]  # type: ignore[union-attr]  # all are Tells
    assert KillWorker("a@1", 3, "stuck") in messages
    assert RetireWorker("old@1_4") in messages
    assert not [message for message in messages if isinstance(message, Subscribe)]
    states = {state.worker_topic: state.held_by for state in world.dispatch.describe(world.now)}
    assert states == {"a@1_1": "a@1", "a@1_2": "", "a@1_3": ""}


def lose_connection(world: World) -> None:
    world.dispatch.effects.clear()
    world.dispatch.detached("a@1_1", world.now)
    world.dispatch.gone("a@1_1", world.now)


def killed(world: World, after_s: float) -> list[int]:
    world.dispatch.tick(world.now + int(after_s * NS_PER_S))
    messages = [effect.message for effect in world.dispatch.effects if isinstance(effect, Tell)]
    return [message.pid for message in messages if isinstance(message, KillWorker)]


def world_with_one_worker() -> World:
    world = make(function("a"))
    world.dispatch.reported("a@1_1", "a@1", 1, "fork", world.now)
    return world


def test_a_process_that_goes_on_without_its_connection_is_killed_once() -> None:
    world = world_with_one_worker()
    lose_connection(world)
    assert killed(world, 2.9) == []
    assert killed(world, 3.0) == [1]
    assert killed(world, 9.0) == [1]


def test_a_process_that_ends_with_its_connection_is_not_killed() -> None:
    world = world_with_one_worker()
    lose_connection(world)
    world.dispatch.reaped("a@1_1")
    assert killed(world, 9.0) == []
    world.dispatch.reported("a@1_2", "a@1", 2, "fork", world.now)
    world.dispatch.supervisor_lost(world.now)  # its workers die with it
    assert killed(world, 9.0) == []


def test_the_processes_that_a_lost_local_queue_leaves_are_killed() -> None:
    world = world_with_one_worker()
    world.dispatch.effects.clear()
    world.dispatch.queue_lost(world.now)
    assert killed(world, 3.0) == [1]


def test_workers_that_ended_unheard_are_forgotten() -> None:
    world = make(function("a", warm=1))
    world.settle()
    (worker,) = world.instances
    del world.instances[worker]
    world.now += 11_000_000_000
    world.dispatch.reconcile((), world.now, world.now)
    assert worker not in world.dispatch.pools["a@1"].workers


def test_a_lent_worker_that_came_back_unheard_is_used_again() -> None:
    world = make(function("a", warm=1, concurrency=1))
    world.settle()
    world.advance(1.0)
    assert world.queues["to_queue"], "it is being lent"
    world.reconcile()  # what lends it comes first; still, it was not lent when this was asked
    world.settle()
    (worker,) = world.instances
    assert world.dispatch.pools["a@1"].lent.keys() == {worker}
    assert world.queue.unsubscribe(worker) == ""  # its answer comes when nobody waits for it any more
    world.publish("a@1", "r1")
    world.advance(0.1)
    world.run()
    assert world.published["r1"] is None
    world.reconcile()
    world.settle()
    world.advance(0.1)
    world.run()
    assert isinstance(world.published["r1"], InvocationResult)


def test_starts_that_fail_with_their_template_are_tried_anew_when_it_is_back() -> None:
    world = make(function("a", warm=0, concurrency=8))
    world.settle()
    world.dispatch.template_ready("a@1", False, world.now)
    world.start("a", "e1")
    for _ in range(5):  # they were under way when the template ended
        world.dispatch.start_failed("a@1", "fork", "the template of a@1 was killed", world.now)
    world.executions.settle(world.now)
    world.flush()
    world.run()
    assert world.store["e1"].finish is None, "what waits was given up"
    world.dispatch.template_ready("a@1", True, world.now)
    world.flush()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"1")


def test_a_function_whose_template_cannot_be_made_fails_what_comes() -> None:
    world = make(function("a", warm=0))
    world.dispatch.template_ready("a@1", False, world.now)
    world.dispatch.cannot_start("a@1", "its folder is gone")
    world.publish("a@1", "r1")
    world.start("a", "e1")
    for _ in range(5):
        world.advance(0.1)
        world.run()
    failed = world.published["r1"]
    assert isinstance(failed, InvocationFailed)
    assert failed.reason == "unavailable"
    finish = world.store["e1"].finish
    assert finish is not None
    assert "its folder is gone" in finish.error_message


def test_the_workers_of_a_removed_pool_are_told_to_exit_once_they_have_finished() -> None:
    world = make(function("a", warm=2))
    world.settle()
    world.advance(1.0)
    world.settle()
    world.publish("a@1", "r1")
    busy = world.busy()
    assert len(busy) == 1
    world.dispatch.remove_pool("a@1", world.now)
    world.flush()
    world.settle()
    assert workers_of(world, "a@1") == busy, "the idle one has left"
    assert serve(world, "r1").payload == b"2"
    world.settle()
    assert workers_of(world, "a@1") == []


def test_a_plain_call_gets_the_only_worker_although_it_is_reserved() -> None:
    world = make(function("a"), function("b", concurrency=1))
    world.settle()
    world.start("ab", "e1")
    world.settle()
    world.publish("b@1", "r1")
    for _ in range(5):
        world.advance(0.1)
        world.settle()
    busy = workers_of(world, "b@1")
    assert [topic for topic in world.busy() if topic in busy] == busy, "it waits for the state before to end"
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")
    assert isinstance(world.published["r1"], InvocationResult)


def test_a_reservation_called_back_may_be_confirmed_late() -> None:
    world = make(function("a"), function("b", concurrency=1))
    world.settle()
    world.start("ab", "first")
    world.settle()
    reserved = workers_of(world, "b@1")
    world.advance(20.0)
    world.settle()
    world.start("b_only", "second")
    world.advance(0.5)  # the LocalQueue has not said yet that the reserved worker is free
    world.settle()
    assert workers_of(world, "b@1") == reserved, "it was taken for stuck"


def test_only_instances_that_are_kept_get_a_control_group() -> None:
    world = make(function("a", warm=1))
    world.publish("a@1!fork", "r1")
    while world.queues["from_queue"]:
        world.deliver("from_queue")
    asked = [one for one in world.queues["to_supervisor"] if isinstance(one, StartWorkers)]
    assert [(one.start_kind, one.pooled) for one in asked] == [("fork", True), ("fork", False)]
