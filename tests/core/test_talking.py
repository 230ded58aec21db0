"""Messages between tasks of standard executions: on disk before their sender goes on, and after a restart."""

from __future__ import annotations

import pytest

from actorfaas.core import committing
from actorfaas.core.talking import OVER
from actorfaas.messages import Done, RestoreMessages, SendMessage, TakeAlias
from tests.core.talking_rig import TalkingWorld

RESTARTS = ["restart_queue", "restart_manager", "restart_supervisor"]


def restart(world: TalkingWorld, what: str) -> None:
    getattr(world, what)()
    world.settle()


def test_a_sender_goes_on_once_its_message_is_on_disk() -> None:
    world = TalkingWorld()
    world.asks("a", SendMessage("c", -1, b"1"))
    while world.deliver("from_queue") or world.deliver("to_queue"):
        pass
    assert "a" not in world.heard
    world.settle()
    assert "a" in world.heard
    assert world.events("MessageSent") == [b'{"to":"c","index":-1,"message":1}']


def test_an_express_execution_journals_nothing() -> None:
    world = TalkingWorld("express")
    world.sends("a", "b", b"1")
    assert world.receives("b") == b"1"
    world.run()
    assert world.events("MessageSent") == world.events("MessagesReceived") == []


@pytest.mark.parametrize("what", RESTARTS)
def test_a_message_of_a_task_that_has_ended_survives(what: str) -> None:
    world = TalkingWorld()
    for number in range(12):
        world.sends("a", "c", b"%d" % number)
    world.finish(world.at("a"))
    world.finish(world.at("b"))
    world.settle()
    restart(world, what)
    assert [world.receives("c") for _ in range(13)] == [*(b"%d" % number for number in range(12)), b""]


@pytest.mark.parametrize("what", RESTARTS)
def test_what_a_task_received_is_there_for_its_next_attempt(what: str) -> None:
    world = TalkingWorld()
    world.sends("a", "b", b"1")
    world.sends("a", "b", b"2")
    assert world.receives("b") == b"1"
    restart(world, what)
    assert [world.receives("b") for _ in range(3)] == [b"1", b"2", b""]


@pytest.mark.parametrize("how", ["fails", "dies"])
def test_what_a_failed_attempt_received_is_there_for_the_next(how: str) -> None:
    world = TalkingWorld()
    world.sends("a", "b", b"1")
    assert world.receives("b") == b"1"
    if how == "fails":
        world.fail(world.at("b"))
    else:
        world.die(world.at("b"))
    world.settle()
    world.advance(2)
    world.settle()
    assert world.receives("b") == b"1"


@pytest.mark.parametrize("what", RESTARTS)
def test_what_a_task_received_that_succeeded_is_gone(what: str) -> None:
    world = TalkingWorld()
    world.sends("a", "b", b"1")
    world.sends("a", "c", b"2")
    assert world.receives("b") == b"1"
    world.finish(world.at("b"))
    world.settle()
    restart(world, what)
    assert world.events("MessagesReceived") == [b"[%d]" % number_of(world, b"1")]
    assert [world.receives("c") for _ in range(2)] == [b"2", b""]


def number_of(world: TalkingWorld, message: bytes) -> int:
    (number,) = [
        seq for seq, event in world.store["e1"].events.items() if event.payload.endswith(b":" + message + b"}")
    ]
    return number


def test_a_receivers_success_that_nobody_heard_of_does_not_count() -> None:
    world = TalkingWorld()
    world.sends("a", "b", b"1")
    assert world.receives("b") == b"1"
    world.finish(world.at("b"))
    restart(world, "restart_manager")
    assert world.receives("b") == b"1"


@pytest.mark.parametrize("is_restarted", [False, True])
def test_what_a_task_received_is_there_again_when_its_changes_are_refused(is_restarted: bool) -> None:
    world = TalkingWorld()
    world.sends("a", "b", b"1")
    assert world.receives("b") == b"1"
    world.store.refuses_data = "precondition_failed"
    world.finish_with(world.at("b"), b"changes")
    world.settle()
    if is_restarted:
        restart(world, "restart_manager")
    world.store.refuses_data = ""
    world.advance(2)
    world.settle()
    assert world.receives("b") == b"1"
    world.finish_with(world.at("b"), b"changes")
    world.settle()
    restart(world, "restart_queue")
    assert world.receives("c") == b""


def test_a_message_that_comes_during_a_commit_waits_for_it() -> None:
    world = TalkingWorld()
    world.finish_with(world.at("b"), b"changes")
    world.deliver("from_queue")
    world.sends("a", "c", b"1")
    assert world.receives("c") == b"1"
    world.run()
    assert world.outcome("e1")[0] == "succeeded"


def test_what_a_task_sent_before_it_returned_is_kept_although_a_commit_was_under_way() -> None:
    world = TalkingWorld()
    world.finish_with(world.at("b"), b"changes")
    world.asks("a", SendMessage("c", -1, b"1"))
    world.finish(world.at("a"))
    while world.deliver("from_queue"):
        pass
    world.settle()
    assert world.heard["a"] == Done()
    assert world.receives("c") == b"1"


def test_much_that_nobody_received_is_restored_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "RESTORED_BYTES", 2)
    world = TalkingWorld()
    for payload in (b"1", b"2", b"345", b"6"):
        world.sends("a", "b", payload)
    world.restart_queue()
    restored = [one.messages for one in world.queues["to_queue"] if isinstance(one, RestoreMessages)]
    assert [[one.payload for one in part] for part in restored] == [[b"1", b"2"], [b"345"], [b"6"]]
    world.settle()
    assert [world.receives("b") for _ in range(5)] == [b"1", b"2", b"345", b"6", b""]


def test_an_attempt_that_is_over_sends_nothing() -> None:
    world = TalkingWorld()
    world.asks("a", SendMessage("c", -1, b"1"))
    world.cancel("e1")
    world.settle()
    assert world.heard["a"] == OVER


def test_what_is_not_json_is_refused() -> None:
    world = TalkingWorld()
    world.asks("a", SendMessage("c", -1, b"{"))
    world.settle()
    assert getattr(world.heard["a"], "error", "") == "invalid"
    world.asks("a", SendMessage("", -1, b"1"))
    assert getattr(world.heard["a"], "error", "") == "invalid"


def test_what_was_not_received_is_there_after_a_redrive() -> None:
    world = TalkingWorld()
    world.sends("a", "b", b"1")
    for _ in range(2):
        assert world.receives("b") == b"1"
        world.fail(world.at("b"))
        world.settle()
        world.advance(2)
        world.settle()
    assert world.store["e1"].finish is not None
    world.redrive("e1")
    assert world.receives("b") == b"1"


def test_a_success_that_waits_for_another_branchs_commit_keeps_what_it_received() -> None:
    world = TalkingWorld()
    world.sends("a", "b", b"1")
    assert world.receives("b") == b"1"
    world.finish_with(world.at("a"), b"changes")
    world.finish(world.at("b"))
    while world.deliver("from_queue"):
        pass
    restart(world, "restart_queue")
    world.asks("c", TakeAlias("b"))
    assert world.receives("c") == b""
    world.run()
    assert world.outcome("e1")[0] == "succeeded"
