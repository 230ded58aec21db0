"""The ExecutionManager over its socket, between scripted peers and (where said) the real LocalQueue."""

from __future__ import annotations

import asyncio

import pytest

from actorfaas.actors import paging
from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    AppendHistory,
    AssignTask,
    CreateExecution,
    Done,
    FinishExecution,
    MemoryMeasured,
    Message,
    PagingMode,
    Subscribe,
)
from actorfaas.runtime.actor import Connection
from tests.actors.manager_node import Node
from tests.actors_kit import Kit


@pytest.fixture
async def node(kit: Kit) -> Node:
    return await Node(kit).begin()


async def test_a_workflow_is_handed_from_worker_to_worker_and_journalled(node: Node) -> None:
    node.store.answer(CreateExecution, Done())
    node.store.answer(AppendHistory, Done())
    await node.deploy()
    a, b = await node.report("a@1"), await node.report("b@1")
    await node.start("ab")
    armed = await node.queue.expect(AssignTask, lambda task: task.armed)
    first = await node.queue.expect(AssignTask, lambda task: not task.armed)
    assert (first.worker_topic, first.next_topic, first.payload) == (a, b, b"1")
    assert (armed.worker_topic, armed.state, armed.payload) == (b, "b", b"")
    node.finished(first, b"2", handed_to=b)
    node.finished(armed, b"3")
    finish, ask = await node.store.expect_ask(FinishExecution)
    assert (finish.status, finish.payload) == ("succeeded", b"3")
    ask.reply(Done())
    pool = await node.pool()
    assert {worker.state for worker in pool.workers} == {"resident"}
    assert (pool.running_executions, pool.reservations, pool.wrong_guesses) == (0, 1, 0)


async def test_a_message_that_cannot_be_sent_does_not_hold_back_what_follows(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.store.answer(CreateExecution, Done())
    await node.deploy()
    await node.report("a@1")
    await node.report("b@1")
    tell = Connection.tell

    def tell_or_fail(connection: Connection, message: Message) -> None:
        if isinstance(message, AssignTask) and message.armed:
            raise ValueError("it cannot be encoded")
        tell(connection, message)

    monkeypatch.setattr(Connection, "tell", tell_or_fail)
    await node.start("ab")
    await node.pool()
    assert (await node.queue.expect(AssignTask)).state == "a"


async def test_an_idle_worker_is_lent_back_to_its_topic(node: Node) -> None:
    await node.deploy()
    worker = await node.report("a@1")
    lent = await node.queue.expect(Subscribe)
    assert (lent.worker_topic, lent.topic) == (worker, "a@1")


async def test_stopping_lets_the_state_under_way_end_and_be_journalled(node: Node) -> None:
    node.store.answer(CreateExecution, Done())
    await node.deploy()
    await node.report("a@1")
    await node.start("ab")
    task = await node.queue.expect(AssignTask, lambda one: not one.armed)
    stopping = node.frontend.spawn(node.kit.stop(node.manager, 10.0), "stop")
    await asyncio.sleep(0)  # its first step
    with pytest.raises(RequestRefused) as refused:
        await node.start("ab", "e2")
    assert refused.value.code == "stopping"
    node.finished(task, b"2")
    while "TaskSucceeded" not in [event.type for event in (await _appended(node)).events]:
        pass
    await stopping
    assert node.queue.received(AssignTask) == [], "another state began"


async def _appended(node: Node) -> AppendHistory:
    message, ask = await node.store.expect_ask(AppendHistory)
    ask.reply(Done())
    return message


async def test_what_all_functions_use_is_told_while_the_swapper_is_busy(
    kit: Kit, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "_DESCRIBE_TIMEOUT_S", 0.05)
    swapper = await kit.fake("swapper")
    manager = await swapper.expect_caller("execution_manager")
    manager.tell(PagingMode("outside", "it can", 500))
    manager.tell(MemoryMeasured(300, -1.0, 4000, 1000))
    while (pool := await node.pool()).memory_usage_bytes == 0:
        pass
    assert (pool.memory_usage_bytes, pool.memory_budget_bytes) == (300, 500)
    assert (pool.swap_total_bytes, pool.swap_used_bytes) == (4000, 1000)
