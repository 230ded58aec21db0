"""The LocalQueue actor over real sockets: who may say what, handover, time, functions' data, restarts around it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import pytest

from actorfaas.actors.local_queue import DATA_ASKS_LIMIT, LocalQueue
from actorfaas.errors import PeerUnavailable, RequestRefused
from actorfaas.messages import (
    AssignTask,
    AttachWorker,
    DeclareTopic,
    DescribeQueue,
    Done,
    DropTopic,
    InvocationFailed,
    InvocationResult,
    KvDelete,
    KvGet,
    KvKeys,
    KvList,
    KvPut,
    KvValue,
    LeaseExpired,
    Message,
    NewFunctionWorker,
    Publish,
    QueueDescription,
    Refused,
    ReleaseAssignment,
    ReleaseIdle,
    Retire,
    RetireWorker,
    SetNextTopic,
    Subscribe,
    Task,
    TaskFinished,
    TaskResult,
    TopicDemand,
    TopicUsage,
    Unsubscribe,
    WorkerDetached,
    WorkerExited,
    WorkerReleased,
    WorkerReported,
)
from actorfaas.runtime.actor import Connection
from tests.actors_kit import PATIENCE_S, FakePeer, Kit

S = 1_000_000_000
TO_QUEUE = ("local_queue",)


class Node:
    """A LocalQueue with scripted actors around it and workers at the other end of real socket pairs."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.pid = 100

    async def start(self, data_layer: bool = False, manager: bool = True) -> Node:
        if data_layer:
            self.data_layer = await self.kit.fake("data_layer")
        self.queue = await self.kit.start(LocalQueue(self.kit.settings))
        self.frontend = await self.kit.fake("frontend", TO_QUEUE)
        self.supervisor = await self.kit.fake("fw_supervisor", TO_QUEUE)
        self.workers = await self.kit.fake("workers")
        if manager:
            await self.start_manager()
        return self

    async def start_manager(self) -> None:
        self.manager = await self.kit.fake("execution_manager", TO_QUEUE)

    async def worker(self, topic: str = "") -> tuple[str, Connection]:
        """A worker that has reported itself, lent to `topic` unless that is ""."""
        self.pid += 1
        name = f"f@1_{self.pid}"
        ours, theirs = socket.socketpair()
        await self.supervisor.hand_over("local_queue", AttachWorker(name, "f@1", "shop", self.pid, "fork"), theirs)
        theirs.close()
        connection = self.workers.adopt(ours, name)
        connection.tell(NewFunctionWorker(self.pid))
        if topic:
            await self.manager.expect(WorkerReported, lambda reported: reported.worker_topic == name)
            self.manager.tell("local_queue", Subscribe(name, topic))
        return name, connection

    async def topic(self, name: str = "f@1", limit: int = 10) -> None:
        await self.manager.ask("local_queue", DeclareTopic(name, limit, False), Done)

    def publish(self, request_id: str, timeout_s: float = 60, publisher: FakePeer | None = None) -> None:
        deadline_ns = time.monotonic_ns() + int(timeout_s * 1e9)
        request = Publish("f@1", request_id, deadline_ns, 1, 0, False, "", b'"in"')
        (publisher or self.frontend).tell("local_queue", request)

    async def describe(self) -> QueueDescription:
        return await self.frontend.ask("local_queue", DescribeQueue(), QueueDescription)

    async def until_described(self, holds: Callable[[QueueDescription], bool]) -> None:
        """Ask again and again until the description is as wanted."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds(await self.describe()):
                pass

    async def running(self, request_id: str = "r") -> tuple[str, Connection]:
        """A worker that runs a request."""
        await self.topic()
        name, worker = await self.worker("f@1")
        self.publish(request_id)
        await self.workers.expect(Task)
        return name, worker


@pytest.fixture
def node(kit: Kit) -> Node:
    return Node(kit)


def result(request_id: str, topic: str = "reply", payload: bytes = b'"out"') -> TaskResult:
    return TaskResult(request_id, topic, 0, 0, payload)


async def test_an_invocation_from_publisher_to_worker_and_back(node: Node) -> None:
    await node.start()
    await node.topic()
    name, worker = await node.worker("f@1")
    node.publish("r")
    task = await node.workers.expect(Task)
    assert (task.request_id, task.payload) == ("r", b'"in"')
    started_ns = time.monotonic_ns()
    worker.tell(TaskResult("r", "reply", started_ns, time.monotonic_ns(), b'"out"'))
    answer = await node.frontend.expect(InvocationResult)
    assert (answer.request_id, answer.worker_topic, answer.payload) == ("r", name, b'"out"')
    assert answer.queue_ns >= 0
    assert answer.start_ns >= 0
    assert answer.run_ns >= 0


async def test_a_hand_off_reaches_the_next_worker_and_the_execution_manager(node: Node) -> None:
    await node.start()
    first, worker1 = await node.worker()
    second, worker2 = await node.worker()
    for name in (first, second):
        await node.manager.expect(WorkerReported, lambda reported, name=name: reported.worker_topic == name)  # type: ignore[misc]  # a default binds the loop's variable
    deadline_ns = time.monotonic_ns() + 60 * S
    assign = node.manager.tell
    assign("local_queue", AssignTask(first, "t1", "x", "A", 1, deadline_ns, second, False, False, "", b"0"))
    assign("local_queue", AssignTask(second, "t2", "x", "B", 1, deadline_ns, "", True, False, "", b""))
    assign("local_queue", SetNextTopic(second, "t2", "w9"))
    await node.workers.expect(Task, lambda task: task.request_id == "t1")
    worker1.tell(result("t1", second, b"1"))
    task = await node.workers.expect(Task)
    assert (task.request_id, task.payload, task.next_topic) == ("t2", b"1", "w9")
    assert (await node.manager.expect(TaskFinished)).handed_to == second
    worker2.tell(result("t2", "w9", b"2"))
    finished = await node.manager.expect(TaskFinished)
    assert (finished.handed_to, finished.payload) == ("", b"2")


async def test_the_execution_manager_lends_takes_back_and_retires(node: Node) -> None:
    await node.start()
    await node.topic()
    name, _ = await node.worker("f@1")
    await node.manager.ask("local_queue", Unsubscribe(name), Done)
    with pytest.raises(RequestRefused, match="not_found"):
        await node.manager.ask("local_queue", Unsubscribe(name), Done)
    node.manager.tell("local_queue", Subscribe(name, "f@1"))
    node.manager.tell("local_queue", ReleaseIdle("f@1", 1))
    assert await node.manager.expect(WorkerReleased) == WorkerReleased(name, "f@1")
    deadline_ns = time.monotonic_ns() + 60 * S
    node.manager.tell("local_queue", AssignTask(name, "t", "x", "A", 1, deadline_ns, "", True, False, "", b""))
    node.manager.tell("local_queue", ReleaseAssignment(name, "t"))
    assert await node.manager.expect(WorkerReleased) == WorkerReleased(name, "")
    node.manager.tell("local_queue", RetireWorker(name))
    await node.workers.expect(Retire)
    node.publish("waits")
    await node.manager.expect(TopicDemand)
    node.manager.tell("local_queue", DropTopic("f@1", "unavailable"))
    assert (await node.frontend.expect(InvocationFailed)).reason == "unavailable"
    described = await node.describe()
    assert described.topics == ()
    assert [(worker.worker_topic, worker.activity) for worker in described.workers] == [(name, "retiring")]


# --- rights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [DeclareTopic("f@1", 1, False), Unsubscribe("w"), Subscribe("w", "f@1"), RetireWorker("w"), NewFunctionWorker(1)],
    ids=lambda message: type(message).__name__,
)
async def test_topics_and_workers_are_the_execution_managers_to_command(node: Node, message: Message) -> None:
    await node.start()
    with pytest.raises(RequestRefused, match="unauthorized"):
        await node.frontend.ask("local_queue", message, Done)


async def test_only_the_supervisor_is_believed_about_deaths(node: Node) -> None:
    await node.start()
    name, worker = await node.running()
    node.frontend.tell("local_queue", WorkerExited("f@1", name, node.pid, 1, 0, "invented", 0, 0))
    assert (await node.describe()).workers[0].activity == "busy"
    worker.close()
    await node.manager.expect(WorkerDetached)
    node.supervisor.tell("local_queue", WorkerExited("f@1", name, node.pid, 1, 0, "exited with status 1", 0, 0))
    failed = await node.frontend.expect(InvocationFailed)
    assert (failed.reason, failed.error_message) == ("worker_lost", "the worker exited with status 1")


async def test_a_worker_that_breaks_its_rights_is_cut_off_and_nobody_else(node: Node) -> None:
    await node.start()
    name, worker = await node.running("r")
    other, good = await node.worker("f@1")
    worker.tell(result("r", "f@1_9999"))
    worker.tell(Publish("f@1", "smuggled", time.monotonic_ns() + 60 * S, 1, 0, False, "", b""))  # in the same burst
    failed = await node.frontend.expect(InvocationFailed)
    assert (failed.request_id, failed.reason) == ("r", "worker_lost")
    assert (await node.manager.expect(WorkerDetached)).worker_topic == name
    await node.workers.until(lambda: name in node.workers.gone or None, "the end of the connection")
    node.publish("s")
    assert (await node.workers.expect(Task)).request_id == "s"
    good.tell(result("s"))
    assert (await node.frontend.expect(InvocationResult)).worker_topic == other
    assert not node.workers.received(Task)


async def test_a_worker_may_ask_for_nothing_but_data(node: Node) -> None:
    await node.start()
    name, worker = await node.running()
    asked = asyncio.ensure_future(worker.ask(DescribeQueue(), QueueDescription))
    assert (await node.manager.expect(WorkerDetached)).worker_topic == name
    with pytest.raises(PeerUnavailable):
        await asked


async def test_a_socket_without_a_worker_is_closed(node: Node) -> None:
    await node.start()
    ours, theirs = socket.socketpair()
    await node.supervisor.hand_over("local_queue", NewFunctionWorker(1), theirs)
    theirs.close()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    assert await asyncio.wait_for(loop.sock_recv(ours, 1), 10) == b""
    ours.close()


async def test_what_is_no_message_ends_that_workers_connection_only(node: Node) -> None:
    await node.start()
    ours, theirs = socket.socketpair()
    await node.supervisor.hand_over("local_queue", AttachWorker("bad", "f@1", "shop", 7, "fork"), theirs)
    theirs.close()
    ours.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00junk")
    assert (await node.manager.expect(WorkerDetached)).worker_topic == "bad"
    ours.close()
    await node.running()


# --- time -----------------------------------------------------------------------------------------------------------


async def test_an_overrun_deadline_is_told_to_caller_and_execution_manager(node: Node) -> None:
    await node.start()
    await node.topic()
    name, worker = await node.worker("f@1")
    node.publish("r", timeout_s=0.05)
    began = time.monotonic()
    await node.workers.expect(Task)
    assert (await node.frontend.expect(InvocationFailed)).reason == "timeout"
    assert time.monotonic() - began >= 0.04
    assert await node.manager.expect(LeaseExpired) == LeaseExpired(name, "r")
    worker.tell(result("r"))
    worker.close()
    await node.manager.expect(WorkerDetached)
    assert not node.frontend.received(InvocationResult)


async def test_use_is_reported(node: Node) -> None:
    await node.start()
    _, worker = await node.running()
    worker.tell(result("r"))
    usage = await node.manager.expect(TopicUsage)
    assert (usage.topic, usage.members, usage.busy_peak, usage.delivered, usage.failed) == ("f@1", 1, 1, 1, 0)


async def test_demand_repeats_while_requests_wait(node: Node) -> None:
    await node.start()
    await node.topic()
    node.publish("r")
    first = await node.manager.expect(TopicDemand)
    second = await node.manager.expect(TopicDemand)
    assert (first.waiting, second.waiting) == (1, 1)
    assert second.oldest_wait_ns > first.oldest_wait_ns


# --- functions' data --------------------------------------------------------------------------------------------------


async def test_data_is_asked_for_in_the_name_of_the_workers_application(node: Node) -> None:
    await node.start(data_layer=True)
    seen: list[Message] = []

    def answered(asked: Message, reply: Message) -> Message:
        seen.append(asked)
        return reply

    node.data_layer.answer(KvGet, lambda asked: answered(asked, KvValue(3, b'"there"')))
    node.data_layer.answer(KvPut, lambda asked: answered(asked, KvValue(4, b"")))
    node.data_layer.answer(KvDelete, lambda asked: answered(asked, Done()))
    node.data_layer.answer(KvList, lambda asked: answered(asked, KvKeys(("a", "b"))))
    _, worker = await node.running()
    assert await worker.ask(KvGet("somebody else's", "a"), KvValue) == KvValue(3, b'"there"')
    assert (await worker.ask(KvPut("", "a", -1, b"1"), KvValue)).version == 4
    await worker.ask(KvDelete("", "a", 4), Done)
    assert (await worker.ask(KvList("", "", "", 10), KvKeys)).keys == ("a", "b")
    assert seen == [
        KvGet("shop", "a"),
        KvPut("shop", "a", -1, b"1"),
        KvDelete("shop", "a", 4),
        KvList("shop", "", "", 10),
    ]


async def test_a_refusal_of_the_data_layer_reaches_the_worker(node: Node) -> None:
    await node.start(data_layer=True)
    node.data_layer.answer(KvPut, Refused("precondition_failed", "it has version 2"))
    _, worker = await node.running()
    with pytest.raises(RequestRefused, match="precondition_failed: it has version 2"):
        await worker.ask(KvPut("", "a", 1, b"1"), KvValue)


async def test_data_needs_a_running_request(node: Node) -> None:
    await node.start(data_layer=True)
    _, worker = await node.running()
    worker.tell(result("r"))
    await node.frontend.expect(InvocationResult)
    with pytest.raises(RequestRefused, match="unauthorized"):
        await worker.ask(KvGet("", "a"), KvValue)
    assert not node.data_layer.received(KvGet)


async def test_without_a_data_layer_data_is_unavailable(node: Node) -> None:
    await node.start()
    _, worker = await node.running()
    with pytest.raises(RequestRefused) as refused:
        await worker.ask(KvGet("", "a"), KvValue)
    assert (refused.value.code, refused.value.retryable) == ("unavailable", True)


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


# --- others come and go -----------------------------------------------------------------------------------------------


async def test_what_happened_without_an_execution_manager_is_told_to_the_next(node: Node) -> None:
    await node.start(manager=False)
    name, worker = await node.worker()
    await node.until_described(lambda seen: bool(seen.workers))
    await node.start_manager()
    assert (await node.manager.expect(WorkerReported)).worker_topic == name
    await node.topic()
    deadline_ns = time.monotonic_ns() + 60 * S
    node.manager.tell("local_queue", AssignTask(name, "t", "x", "A", 1, deadline_ns, "", False, False, "", b""))
    await node.workers.expect(Task)
    await node.kit.stop(node.manager)
    worker.tell(result("t", "request_next_fw", b"kept"))
    await node.until_described(lambda seen: seen.workers[0].activity == "idle")
    await node.start_manager()
    assert (await node.manager.expect(TaskFinished)).payload == b"kept"


async def test_requests_of_a_frontend_that_died_are_dropped(node: Node) -> None:
    await node.start()
    _, worker = await node.running("runs")
    node.publish("waits")
    await node.until_described(lambda seen: seen.topics[0].waiting == 1)
    await node.kit.stop(node.frontend)
    other = await node.kit.fake("frontend", TO_QUEUE)
    node.publish("new", publisher=other)
    worker.tell(result("runs"))
    assert (await node.workers.expect(Task)).request_id == "new"
    worker.tell(result("new"))
    assert (await other.expect(InvocationResult)).request_id == "new"


async def test_stopping_lets_requests_end_and_refuses_new_ones(node: Node) -> None:
    await node.start()
    _, worker = await node.running("r")
    stopping = asyncio.ensure_future(node.kit.stop(node.queue, deadline_s=10))
    await asyncio.sleep(0)  # the stop begins
    node.publish("new")
    refused = await node.frontend.expect(InvocationFailed)
    assert (refused.request_id, refused.reason, refused.retryable) == ("new", "stopping", True)
    worker.tell(result("r"))
    assert (await node.frontend.expect(InvocationResult, lambda answer: answer.request_id == "r")).payload
    await stopping


async def test_stopping_answers_what_does_not_end_in_time(node: Node) -> None:
    await node.start()
    await node.running("r")
    await node.kit.stop(node.queue, deadline_s=0.05)
    failed = await node.frontend.expect(InvocationFailed)
    assert (failed.request_id, failed.reason) == ("r", "stopping")
