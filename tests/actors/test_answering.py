"""Messages that tasks send, as the ExecutionManager answers them; tokens and activities are in `test_children`."""

from __future__ import annotations

import asyncio
import time

import pytest

from actorfaas.actors import answering
from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    ActivityTask,
    AppendHistory,
    AssignTask,
    CreateExecution,
    Done,
    KeepMessage,
    KeptMessage,
    MessageKept,
    PollActivity,
    RestoreMessages,
)
from tests.actors.manager_node import Node
from tests.actors_kit import Kit


@pytest.fixture
async def node(kit: Kit) -> Node:
    made = await Node(kit).begin()
    for request in (CreateExecution, AppendHistory):
        made.store.answer(request, Done())
    await made.deploy()
    return made


async def test_a_message_is_answered_on_disk_and_told_a_new_local_queue(node: Node) -> None:
    await node.report("a@1")
    await node.start("ab", "e1")
    task = await node.queue.expect(AssignTask)
    assert task.is_standard
    node.store.answer(AppendHistory, lambda _: None)
    sent = KeepMessage("e1", task.task_id, "b", -1, b"[1]")
    asking = asyncio.create_task(node.from_queue.ask(sent, MessageKept))
    append, ask = await node.store.expect_ask(AppendHistory)
    while append.events[-1].type != "MessageSent":
        ask.reply(Done())
        append, ask = await node.store.expect_ask(AppendHistory)
    assert not asking.done()
    ask.reply(Done())
    kept = await asking
    assert kept == MessageKept(append.events[-1].seq)
    await node.kit.stop(node.queue)
    again = await node.kit.fake("local_queue")
    restored = await again.expect(RestoreMessages)
    assert restored == RestoreMessages("e1", (KeptMessage(kept.number, "b", -1, b"[1]"),))


async def test_a_message_of_an_attempt_that_is_over_is_refused(node: Node) -> None:
    with pytest.raises(RequestRefused, match="cancelled: this attempt is over"):
        await node.from_queue.ask(KeepMessage("e9", "e9.b.0.1", "b", -1, b"1"), MessageKept)


async def test_so_many_workers_outside_may_wait(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "MAX_POLLS", 0)
    wanted = PollActivity("p1", "knit", "ada", time.monotonic_ns() + 1_000_000_000)
    with pytest.raises(RequestRefused, match="overloaded"):
        await node.frontend.ask("execution_manager", wanted, ActivityTask)
