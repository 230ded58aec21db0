"""The LocalQueue actor over real sockets: who may say what, handover, time, restarts around it."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from actorfaas.core.queue.records import STREAM_WINDOW_BYTES
from actorfaas.errors import PeerUnavailable, RequestRefused
from actorfaas.messages import (
    ActorDescription,
    AssignTask,
    AttachWorker,
    ChunkCredit,
    DeclareTopic,
    DescribeActor,
    DescribeQueue,
    Done,
    DropTopic,
    InvocationChunk,
    InvocationFailed,
    InvocationResult,
    LeaseExpired,
    Message,
    NewFunctionWorker,
    Publish,
    QueueDescription,
    ReleaseAssignment,
    ReleaseIdle,
    ReleaseWorker,
    Retire,
    RetireWorker,
    SetNextTopic,
    Subscribe,
    Task,
    TaskChunk,
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
from actorfaas.runtime.channel import Connection
from tests.actors.queue_node import TO_QUEUE, Node, S, result
from tests.actors_kit import Kit


@pytest.fixture
def node(kit: Kit) -> Node:
    return Node(kit)


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


async def test_what_a_worker_says_at_great_length_is_not_passed_on(node: Node) -> None:
    await node.start()
    name, worker = await node.running()
    worker.tell(result("r", topic="x" * 2 * 1024 * 1024))
    failed = await node.frontend.expect(InvocationFailed)
    assert failed.reason == "worker_lost"
    assert len(failed.error_message) < 1000
    assert (await node.manager.expect(WorkerDetached)).worker_topic == name


async def test_a_result_for_a_long_topic_is_refused_in_few_words(node: Node) -> None:
    await node.start()
    _, worker = await node.running()
    worker.tell(result("r", topic="x" * 100_000))
    failed = await node.frontend.expect(InvocationFailed)
    assert failed.reason == "worker_lost"
    assert len(failed.error_message) < 1000


async def test_a_hand_off_reaches_the_next_worker_and_the_execution_manager(node: Node) -> None:
    await node.start()
    first, worker1 = await node.worker()
    second, worker2 = await node.worker()
    for name in (first, second):
        await node.manager.expect(WorkerReported, lambda reported, name=name: reported.worker_topic == name)  # type: ignore[misc]  # a default binds the loop's variable
    deadline_ns = time.monotonic_ns() + 60 * S
    assign = node.manager.tell
    assign("local_queue", AssignTask(first, "t1", "x", "A", 1, -1, deadline_ns, second, False, False, False, "", b"0"))
    assign("local_queue", AssignTask(second, "t2", "x", "B", 1, -1, deadline_ns, "", True, False, False, "", b""))
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
    node.manager.tell("local_queue", Subscribe(name, "f@1"))
    node.manager.tell("local_queue", ReleaseWorker(name))
    assert await node.manager.expect(WorkerReleased) == WorkerReleased(name, "f@1")
    deadline_ns = time.monotonic_ns() + 60 * S
    node.manager.tell(
        "local_queue", AssignTask(name, "t", "x", "A", 1, -1, deadline_ns, "", True, False, False, "", b"")
    )
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
    [DeclareTopic("f@1", 1, "stay"), Unsubscribe("w"), Subscribe("w", "f@1"), RetireWorker("w"), NewFunctionWorker(1)],
    ids=lambda message: type(message).__name__,
)
async def test_topics_and_workers_are_the_execution_managers_to_command(node: Node, message: Message) -> None:
    await node.start()
    with pytest.raises(RequestRefused, match="unauthorized"):
        await node.frontend.ask("local_queue", message, Done)


async def test_only_the_supervisor_is_believed_about_deaths(node: Node) -> None:
    await node.start()
    name, worker = await node.running()
    node.frontend.tell("local_queue", WorkerExited("f@1", name, node.pid, 1, 0, "invented", 0))
    assert (await node.describe()).workers[0].activity == "busy"
    worker.close()
    await node.manager.expect(WorkerDetached)
    node.supervisor.tell("local_queue", WorkerExited("f@1", name, node.pid, 1, 0, "exited with status 1", 0))
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


@pytest.mark.parametrize(
    ("question", "expect"), [(DescribeQueue(), QueueDescription), (DescribeActor(), ActorDescription)]
)
async def test_a_worker_may_ask_for_nothing_but_data(node: Node, question: Message, expect: type[Message]) -> None:
    await node.start()
    name, worker = await node.running()
    asked = asyncio.ensure_future(worker.ask(question, expect))
    assert (await node.manager.expect(WorkerDetached)).worker_topic == name
    with pytest.raises(PeerUnavailable):
        await asked


async def test_pieces_for_a_slow_reader_stay_with_the_worker(node: Node) -> None:
    await node.start()
    await node.topic()
    _, worker = await node.worker("f@1")
    node.publish("r", stream=True)
    await node.workers.expect(Task)
    piece = b"x" * (2 * STREAM_WINDOW_BYTES)
    for _ in range(16):
        worker.tell(TaskChunk("r", "bytes", piece))
    await node.frontend.expect(InvocationChunk)
    held_back = worker.write_buffer_bytes
    assert held_back > 8 * len(piece)  # what is on its way is one piece and what sockets hold
    await node.describe()
    assert not node.frontend.received(InvocationChunk)
    for _ in range(15):
        node.frontend.tell("local_queue", ChunkCredit("r", 1))
        await node.frontend.expect(InvocationChunk)
    worker.tell(TaskResult("r", "reply", 0, 0, b"null"))
    node.frontend.tell("local_queue", ChunkCredit("r", 1))
    assert (await node.frontend.expect(InvocationResult)).chunks == 16


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


# --- others come and go -----------------------------------------------------------------------------------------------


async def test_what_happened_without_an_execution_manager_is_told_to_the_next(node: Node) -> None:
    await node.start(manager=False)
    name, worker = await node.worker()
    await node.until_described(lambda seen: bool(seen.workers))
    await node.start_manager()
    assert (await node.manager.expect(WorkerReported)).worker_topic == name
    await node.topic()
    deadline_ns = time.monotonic_ns() + 60 * S
    node.manager.tell(
        "local_queue", AssignTask(name, "t", "x", "A", 1, -1, deadline_ns, "", False, False, False, "", b"")
    )
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


async def test_a_message_that_cannot_be_sent_does_not_silence_the_queue(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.start()
    tell = Connection.tell

    def tell_or_fail(connection: Connection, message: Message) -> None:
        if isinstance(message, InvocationFailed) and message.request_id == "unsendable":
            raise ValueError("it cannot be encoded")
        tell(connection, message)

    monkeypatch.setattr(Connection, "tell", tell_or_fail)
    node.publish("unsendable")  # no topic is declared: each is answered with a failure
    node.publish("next")
    assert (await node.frontend.expect(InvocationFailed)).request_id == "next"
