"""Histories on their way to the DataLayer: what becomes of requests that it refuses."""

from __future__ import annotations

import pytest

from actorfaas.actors import execution_manager
from actorfaas.batches import with_effects
from actorfaas.messages import (
    AssignTask,
    CreateExecution,
    Done,
    FinishExecution,
    KvCommit,
    KvCommitted,
    TaskFinishedAndEffects,
)
from tests.actors.manager_node import Node
from tests.actors_kit import Kit


@pytest.fixture
async def node(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(execution_manager, "TICK_S", 0.01)
    return await Node(kit).begin()


async def test_what_is_refused_for_now_is_sent_again(node: Node) -> None:
    await node.deploy()
    await node.start("a")
    first, ask = await node.store.expect_ask(CreateExecution)
    ask.refuse("unavailable", "the disk is full", retryable=True)
    assert await node.store.expect(CreateExecution) == first


async def test_an_execution_whose_id_is_somebody_elses_is_given_up(node: Node) -> None:
    await node.deploy()
    await node.start("a")
    _, ask = await node.store.expect_ask(CreateExecution)
    ask.refuse("conflict", "it exists")
    while (await node.pool()).running_executions:
        pass
    assert node.store.received(CreateExecution) == []


async def test_changes_that_expected_other_versions_fail_their_task(node: Node) -> None:
    node.store.answer(CreateExecution, Done())
    await node.deploy()
    await node.report("a@1")
    await node.start("a", durability="express")
    task = await node.queue.expect(AssignTask)
    payload, effects_bytes = with_effects(b"2", (), b"changes")
    place = task.worker_topic, task.task_id, task.execution_id, task.state, task.attempt
    node.from_queue.tell(TaskFinishedAndEffects(*place, "resident", 1, 2, 3, effects_bytes, payload))
    commit, ask = await node.store.expect_ask(KvCommit)
    assert (commit.app, commit.payload) == ("shop", b"changes")
    ask.reply(KvCommitted((0,), conflict=0))
    finish = await node.store.expect(FinishExecution)
    assert (finish.status, finish.error_type) == ("failed", "VersionConflict")
