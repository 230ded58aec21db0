"""What the ExecutionManager has learned is there again after a restart, and goes with its version."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from actorfaas.actors.remembering import Remembering
from actorfaas.core.lookahead import Habits
from actorfaas.messages import Done, DropTopic, Refused, RemoveApp, SaveLearned
from actorfaas.states.model import State
from actorfaas.swap.learning import Known, Learning
from tests.actors.manager_node import Node
from tests.actors_kit import Kit
from tests.core.branching_rig import define, machine, task

CHOOSING = machine(
    which={"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 1, "Next": "a"}], "Default": "b"},
    a=task("a"),
    b=task("b"),
)


@pytest.fixture
async def node(kit: Kit) -> Node:
    node = Node(kit)
    node.workflows = (define("choosing", CHOOSING),)
    await node.begin()
    await node.deploy()
    return node


def learning(node: Node) -> Learning:
    return node.manager.paging.steering.learning


def habits(node: Node) -> tuple[Habits, State]:
    plan = node.manager.catalogue.plan("choosing")
    assert plan is not None
    return plan.habits, plan.machine.states["which"]


def runs(record: bytes) -> int:
    return Known.from_bytes(record).costs.run.count


async def test_what_was_learned_survives_a_restart(node: Node) -> None:
    learning(node).ran("a@1", 7_000_000)
    known, which = habits(node)
    known.chose(which, "b")
    await node.restart()
    assert learning(node).of("a@1").costs.run.count == 1
    assert learning(node).of("b@1").costs.run.count == 0
    known, which = habits(node)
    assert dict(known.shares(which)) == {"b": 0.5}


async def test_only_what_has_changed_is_saved_and_not_too_much_at_once(node: Node) -> None:
    for topic in ("a@1", "b@1"):
        learning(node).ran(topic, 7_000_000)
    await node.manager.remembering.save(1)
    assert list(node.learned) == [("a@1", "costs")]
    await node.manager.remembering.save(1)
    assert list(node.learned) == [("a@1", "costs"), ("b@1", "costs")]
    node.learned.clear()
    await node.manager.remembering.save()
    assert not node.learned


async def test_what_could_not_be_saved_is_saved_the_next_time(node: Node) -> None:
    learning(node).ran("a@1", 7_000_000)
    node.store.answer(SaveLearned, Refused("unavailable", "no space is left"))
    with capture_logs() as logs:
        await node.manager.remembering.save()
    assert [one["event"] for one in logs if one["log_level"] == "warning"] == ["what was learned was not saved"]
    learning(node).ran("a@1", 7_000_000)
    node.store.answer(SaveLearned, node.save_learned)
    await node.manager.remembering.save()
    assert runs(node.learned["a@1", "costs"]) == 2


async def test_nothing_is_saved_before_what_is_kept_was_loaded(node: Node) -> None:
    early = Remembering(node.manager, node.manager.catalogue, learning(node))
    learning(node).ran("a@1", 7_000_000)
    await early.save()
    assert not node.learned
    await early.load()
    learning(node).ran("a@1", 7_000_000)
    await early.save()
    assert runs(node.learned["a@1", "costs"]) == 2


async def test_what_a_removed_version_taught_is_forgotten(node: Node) -> None:
    learning(node).ran("a@1", 7_000_000)
    known, which = habits(node)
    known.chose(which, "b")
    await node.manager.remembering.save()
    assert all(node.learned[key] for key in (("a@1", "costs"), ("choosing@1", "habits")))
    await node.frontend.ask("execution_manager", RemoveApp("shop"), Done)
    await node.queue.expect(DropTopic, lambda dropped: dropped.topic == "b@1")
    learning(node).ran("a@1", 7_000_000)  # a fact that comes late
    await node.manager.remembering.save()
    assert node.learned == {("a@1", "costs"): b"", ("choosing@1", "habits"): b""}


@pytest.mark.parametrize("record", [b"no record", b"\x92\xcd\x03\xe7\x90"])
async def test_a_record_of_no_use_is_ignored(node: Node, record: bytes) -> None:
    node.learned = {("a@1", "costs"): record, ("choosing@1", "habits"): record}
    with capture_logs() as logs:
        await node.restart()
    assert len([one for one in logs if one["event"] == "what was learned is of no use"]) == 2
    assert learning(node).of("a@1").costs.run.count == 0
