"""Executions through restarts of the LocalQueue and the supervisor."""

from __future__ import annotations

from tests.core.executions_rig import make, the_busy
from tests.core.specs import chain, function, workflow
from tests.core.world import World


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


def test_a_worker_whose_end_is_told_before_the_queue_is_seen_to_be_gone_is_lost_with_it() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.die(the_busy(world))
    while world.deliver("from_supervisor"):
        pass
    world.restart_queue()  # what it knew of the task is lost
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")


def test_a_reservation_that_comes_before_the_worker_of_the_state_before_is_kept() -> None:
    world = World()
    world.deploy(function("a"), function("b", warm=0), workflows=(workflow("ab", chain("a", "b")),))
    world.settle()
    world.start("ab", "e1")
    world.deliver("to_queue")
    world.restart_queue()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")
    assert world.handed_over == 1
    assert world.executions.guesses.wrong == 0
