"""Functions' data on its way through the LocalQueue: whose it is, when it may be used, what may go wrong."""

from __future__ import annotations

import asyncio
import time

import pytest

from actorfaas.actors import local_queue
from actorfaas.actors.local_queue import DATA_ASKS_LIMIT
from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    AssignTask,
    BeatTask,
    Done,
    FailTask,
    InvocationFailed,
    InvocationResult,
    KeepMessage,
    KeptMessage,
    KvCommit,
    KvCommitted,
    KvGet,
    KvKeys,
    KvList,
    KvValue,
    Message,
    MessageKept,
    MessageReceived,
    MessagesTaken,
    ReceiveMessage,
    Refused,
    RestoreMessages,
    SendMessage,
    SucceedTask,
    Task,
    TaskError,
    WorkerReported,
)
from tests.actors.queue_node import Node, result
from tests.actors_kit import Kit


@pytest.fixture
def node(kit: Kit) -> Node:
    return Node(kit)


async def test_data_is_asked_for_in_the_name_of_the_workers_application(node: Node) -> None:
    await node.start(data_layer=True)
    seen: list[Message] = []

    def answered(asked: Message, reply: Message) -> Message:
        seen.append(asked)
        return reply

    node.data_layer.answer(KvGet, lambda asked: answered(asked, KvValue(3, b'"there"')))
    node.data_layer.answer(KvCommit, lambda asked: answered(asked, KvCommitted((4,))))
    node.data_layer.answer(KvList, lambda asked: answered(asked, KvKeys(("a", "b"))))
    _, worker = await node.running()
    assert await worker.ask(KvGet("", "a"), KvValue) == KvValue(3, b'"there"')
    await worker.ask(KvGet("@tenant/map/m", "a"), KvValue)
    assert (await worker.ask(KvCommit("bank", True, b"changes"), KvCommitted)).numbers == (4,)
    assert (await worker.ask(KvList("/set/s", "", "", 10), KvKeys)).keys == ("a", "b")
    with pytest.raises(RequestRefused, match="unauthorized"):
        await worker.ask(KvGet("bank", "a"), KvValue)
    assert seen == [
        KvGet("shop", "a"),
        KvGet("@tenant/map/m", "a"),
        KvCommit("shop", True, b"changes"),
        KvList("shop/set/s", "", "", 10),
    ]


async def test_answers_to_tasks_go_to_the_execution_manager(node: Node) -> None:
    await node.start()
    _, worker = await node.running()
    node.manager.answer(SucceedTask, Done())
    await worker.ask(SucceedTask("t", b"1"), Done)
    node.manager.answer(BeatTask, Refused("task_timed_out", "it is over"))
    with pytest.raises(RequestRefused, match="task_timed_out"):
        await worker.ask(BeatTask("t"), Done)
    worker.tell(result("r"))
    await node.frontend.expect(InvocationResult)
    with pytest.raises(RequestRefused, match="unauthorized"):
        await worker.ask(FailTask("t", "", ""), Done)


async def test_a_refusal_of_the_data_layer_reaches_the_worker(node: Node) -> None:
    await node.start(data_layer=True)
    node.data_layer.answer(KvCommit, Refused("invalid", "it is too large"))
    _, worker = await node.running()
    with pytest.raises(RequestRefused, match="invalid: it is too large"):
        await worker.ask(KvCommit("", True, b"1"), KvCommitted)


async def test_data_needs_a_running_request(node: Node) -> None:
    await node.start(data_layer=True)
    _, worker = await node.running()
    worker.tell(result("r"))
    await node.frontend.expect(InvocationResult)
    with pytest.raises(RequestRefused, match="unauthorized"):
        await worker.ask(KvGet("", "a"), KvValue)
    assert not node.data_layer.received(KvGet)


async def test_a_data_layer_that_restarts_is_waited_for(node: Node) -> None:
    await node.start(data_layer=True)
    _, worker = await node.running()
    asks = [
        asyncio.ensure_future(worker.ask(KvCommit("", True, b"a"), KvCommitted)),
        asyncio.ensure_future(worker.ask(KvCommit("", False, b"b"), KvCommitted)),
    ]
    for _ in asks:
        await node.data_layer.expect(KvCommit)
    (await node.data_layer.expect_caller("local_queue")).close()
    with pytest.raises(RequestRefused) as refused:
        await asks[1]  # it may have been committed: asked again, it would be done twice, or refused
    assert (refused.value.code, refused.value.retryable) == ("unavailable", True)
    again, sender = await node.data_layer.expect_ask(KvCommit)
    sender.reply(KvCommitted((1,)))
    assert again.payload == b"a"
    assert (await asks[0]).numbers == (1,)


async def test_data_asked_for_while_the_data_layer_is_away_waits(node: Node, kit: Kit) -> None:
    await node.start(data_layer=True)
    _, worker = await node.running()
    await kit.stop(node.data_layer)
    ask = asyncio.ensure_future(worker.ask(KvCommit("", False, b"1"), KvCommitted))
    again = await kit.fake("data_layer")
    again.answer(KvCommit, KvCommitted((1,)))
    assert (await ask).numbers == (1,)


async def test_without_a_data_layer_data_is_unavailable(node: Node, kit: Kit) -> None:
    kit.configure(ask_timeout_s=0.2)
    await node.start()
    _, worker = await node.running()
    with pytest.raises(RequestRefused) as refused:
        await worker.ask(KvGet("", "a"), KvValue, 10.0)
    assert (refused.value.code, refused.value.retryable) == ("unavailable", True)


async def test_a_handler_hears_that_the_data_layer_is_away_before_its_own_time_is_up(node: Node) -> None:
    await node.start()
    await node.topic()
    _, worker = await node.worker("f@1")
    node.publish("r", timeout_s=1.0)
    await node.workers.expect(Task)
    with pytest.raises(RequestRefused, match="unavailable"):
        await worker.ask(KvGet("", "a"), KvValue, 10.0)
    worker.tell(TaskError("r", 0, 0, "unavailable", "RequestRefused", "away", "", False))
    assert (await node.frontend.expect(InvocationFailed)).reason == "unavailable"


async def test_a_data_layer_that_does_not_answer_is_a_timeout(node: Node, kit: Kit) -> None:
    kit.configure(ask_timeout_s=0.2)
    await node.start(data_layer=True)
    _, worker = await node.running()
    with pytest.raises(RequestRefused, match="timeout"):
        await worker.ask(KvGet("", "a"), KvValue, 10.0)


async def test_one_worker_may_ask_only_so_much_at_once(node: Node) -> None:
    await node.start(data_layer=True)
    _, worker = await node.running()
    asks = [asyncio.ensure_future(worker.ask(KvGet("", str(i)), KvValue)) for i in range(DATA_ASKS_LIMIT)]
    pending = [await node.data_layer.expect_ask(KvGet) for _ in asks]
    with pytest.raises(RequestRefused, match="overloaded"):
        await worker.ask(KvGet("", "one more"), KvValue)
    for _, sender in pending:
        sender.reply(KvValue(1, b"1"))
    assert {value.version for value in await asyncio.gather(*asks)} == {1}
    node.data_layer.answer(KvGet, KvValue(2, b"2"))
    assert (await worker.ask(KvGet("", "again"), KvValue)).version == 2


async def test_values_on_their_way_are_bounded_in_bytes_for_all_workers(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a bound, workers could fill the one connection to the DataLayer until it is broken off for everybody."""
    monkeypatch.setattr(local_queue, "DATA_BYTES_LIMIT", 1000)
    await node.start(data_layer=True)
    _, worker = await node.running()
    first = asyncio.ensure_future(worker.ask(KvCommit("", True, b"x" * 900), KvCommitted))
    _, storing = await node.data_layer.expect_ask(KvCommit)
    with pytest.raises(RequestRefused, match="overloaded"):
        await worker.ask(KvCommit("", True, b"x" * 200), KvCommitted)
    storing.reply(KvCommitted((1,)))
    assert (await first).numbers == (1,)
    node.data_layer.answer(KvCommit, KvCommitted((2,)))
    assert (await worker.ask(KvCommit("", True, b"x" * 2000), KvCommitted)).numbers == (2,)


async def test_a_message_of_a_standard_execution_is_journalled_before_it_is_received(node: Node) -> None:
    await node.start()
    deadline_ns = time.monotonic_ns() + 60_000_000_000
    names = [await node.worker() for _ in range(2)]
    for (name, _), state in zip(names, "AB", strict=True):
        await node.manager.expect(WorkerReported)
        task = AssignTask(name, state, "x", state, 1, -1, deadline_ns, "", False, True, True, "", b"")
        node.manager.tell("local_queue", task)
        await node.workers.expect(Task)
    (_, sender), (_, receiver) = names
    sending = asyncio.ensure_future(sender.ask(SendMessage("B", -1, b"1"), Done))
    sent, journalling = await node.manager.expect_ask(KeepMessage)
    assert sent == KeepMessage("x", "A", "B", -1, b"1")
    with pytest.raises(RequestRefused, match="timeout"):
        await receiver.ask(ReceiveMessage(0), MessageReceived)
    journalling.reply(MessageKept(5))
    await sending
    assert (await receiver.ask(ReceiveMessage(0), MessageReceived)).payload == b"1"
    node.manager.tell("local_queue", RestoreMessages("x", (KeptMessage(6, "B", -1, b"2"),)))
    assert (await receiver.ask(ReceiveMessage(60_000_000_000), MessageReceived)).payload == b"2"
    node.manager.answer(KeepMessage, Refused("cancelled", "it is over"))
    for message, code in ((SendMessage("B", -1, b"3"), "cancelled"), (SendMessage("", -1, b"3"), "invalid")):
        with pytest.raises(RequestRefused, match=code):
            await sender.ask(message, Done)
    receiver.tell(result("B", "request_next_fw"))
    assert await node.manager.expect(MessagesTaken) == MessagesTaken("x", "B", (5, 6))
