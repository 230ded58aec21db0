"""Cancelling: answered once the end is stored."""

from __future__ import annotations

import asyncio

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import AssignTask, CancelExecution, CreateExecution, Done, FinishExecution, KillWorker
from tests.actors.manager_node import Node
from tests.actors_kit import Kit


@pytest.fixture
async def node(kit: Kit) -> Node:
    return await Node(kit).begin()


async def test_a_cancelled_execution_ends_with_its_worker(node: Node) -> None:
    node.store.answer(CreateExecution, Done())
    await node.deploy()
    await node.report("a@1")
    await node.start("a", durability="express")
    task = await node.queue.expect(AssignTask)
    cancelled = asyncio.create_task(node.frontend.ask("execution_manager", CancelExecution("e1", "enough"), Done))
    killed = await node.supervisor.expect(KillWorker)
    assert task.worker_topic == f"{killed.function_topic}_{killed.pid}"
    finish, ask = await node.store.expect_ask(FinishExecution)
    assert (finish.status, finish.error_message) == ("cancelled", "enough")
    ask.reply(Done())
    await cancelled
    with pytest.raises(RequestRefused) as refused:
        await node.frontend.ask("execution_manager", CancelExecution("e1", "again"), Done)
    assert refused.value.code == "not_found"


async def test_what_has_ended_by_itself_is_not_cancelled(node: Node) -> None:
    node.store.answer(CreateExecution, Done())
    await node.deploy()
    await node.report("a@1")
    await node.start("a", durability="express")
    node.finished(await node.queue.expect(AssignTask), b"2")
    await node.store.expect_ask(FinishExecution)  # and not answered yet
    with pytest.raises(RequestRefused) as refused:
        await node.frontend.ask("execution_manager", CancelExecution("e1", "late"), Done)
    assert refused.value.code == "conflict"
