"""Actors over real sockets: messages, asks, facts, failures, overflow, reconnection, stopping."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine

import pytest

from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused
from actorfaas.messages import (
    ActorDescription,
    ChunkCredit,
    DescribeActor,
    DescribeQueue,
    Done,
    KvGet,
    KvList,
    KvValue,
    Message,
    NewFunctionWorker,
)
from actorfaas.runtime.actor import Actor, Connection, Overflow, Sender
from actorfaas.runtime.channel import attach
from tests.actors_kit import FakePeer, Kit
from tests.runtime.ends import LOG, RecordingOwner

GET = KvGet(namespace="n", key="k")


class Subject(Actor):
    """Does a little of everything an actor may do."""

    name = "subject"
    peers = ("friend",)

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit.settings)
        self.log_of: list[str] = []
        self.gate = asyncio.Event()
        self.gone = asyncio.Event()
        self.torn_down = asyncio.Event()
        self.held: list[Sender] = []

    def receive(self, message: Message, sender: Sender) -> Awaitable[None] | None:
        match message:
            case KvGet():
                sender.reply(KvValue(version=1, payload=sender.actor.encode()))
            case KvList():
                raise LookupError("no keys here")
            case DescribeQueue():
                return self._wait_then_answer(sender)
            case ChunkCredit(chunks=chunks):
                self.log_of.append(f"credit {chunks}")
            case NewFunctionWorker(pid=pid):
                self.log_of.append(f"worker {pid} on {sender.actor}")
            case _:
                self.held.append(sender)
        return None

    async def _wait_then_answer(self, sender: Sender) -> None:
        await self.gate.wait()
        sender.reply(Done())

    def peer_connected(self, connection: Connection) -> None:
        self.log_of.append(f"{connection.actor} {'out' if connection.is_outgoing else 'in'}")

    def peer_disconnected(self, connection: Connection) -> None:
        self.log_of.append(f"{connection.actor} gone")
        self.gone.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until disconnections have made a condition true."""
        async with asyncio.timeout(10):
            while not condition():
                self.gone.clear()
                await self.gone.wait()

    async def tear_down(self) -> None:
        self.torn_down.set()


class Forgetful(Subject):
    """Refuses what its inbox has no room for."""

    overflow = Overflow.REFUSE


async def pair(kit: Kit, subject: Subject) -> tuple[Subject, FakePeer]:
    """The subject and its friend, each connected to the other."""
    friend = await kit.fake("friend", peers=("subject",))
    return await kit.start(subject), friend


async def begun(ask: Coroutine[None, None, Message]) -> asyncio.Task[Message]:
    """The ask as a task that has already been sent."""
    task = asyncio.create_task(ask)
    await asyncio.sleep(0)
    return task


async def test_tells_and_asks_both_ways(kit: Kit) -> None:
    subject, friend = await pair(kit, Subject(kit))
    answer = await friend.ask("subject", GET, KvValue)
    assert answer.payload == b"friend"
    friend.answer(KvGet, KvValue(version=2, payload=b""))
    assert (await subject.ask("friend", GET, KvValue)).version == 2
    subject.tell("friend", DescribeQueue())
    await friend.expect(DescribeQueue)


async def test_facts_arrive_in_the_order_of_the_messages(kit: Kit) -> None:
    subject, friend = await pair(kit, Subject(kit))
    for number in range(3):
        friend.tell("subject", ChunkCredit(request_id="r", chunks=number))
    await friend.ask("subject", GET, KvValue)
    await kit.stop(friend)
    await subject.until(lambda: subject.log_of.count("friend gone") == 2)
    about_incoming = [entry for entry in subject.log_of if entry != "friend out"]
    assert about_incoming[:4] == ["friend in", "credit 0", "credit 1", "credit 2"]
    assert about_incoming[4:] == ["friend gone", "friend gone"]
    assert not subject.is_connected("friend")
    with pytest.raises(PeerUnavailable, match="friend is not connected"):
        subject.tell("friend", DescribeQueue())
    with pytest.raises(PeerUnavailable):
        await subject.ask("friend", GET, KvValue)


async def test_a_peer_that_comes_back_is_connected_again(kit: Kit) -> None:
    subject, friend = await pair(kit, Subject(kit))
    await kit.stop(friend)
    with pytest.raises(PeerUnavailable, match="friend was not reachable for 0"):
        await subject.wait_for_peer("friend", 0.01)
    friend = await kit.fake("friend")
    await subject.wait_for_peer("friend")
    subject.tell("friend", DescribeQueue())
    await friend.expect(DescribeQueue)


async def test_a_peer_that_was_not_declared_is_a_mistake(kit: Kit) -> None:
    subject = await kit.start(Subject(kit))
    with pytest.raises(ValueError, match="stranger is not among the peers of subject: friend"):
        subject.tell("stranger", DescribeQueue())


async def test_receive_that_raises_refuses_the_ask_and_goes_on(kit: Kit) -> None:
    subject, friend = await pair(kit, Subject(kit))
    with pytest.raises(RequestRefused) as caught:
        await friend.ask("subject", KvList(namespace="", prefix="", after="", limit=1), Done)
    assert caught.value.code == "internal"
    assert "LookupError: no keys here" in caught.value.detail
    friend.tell("subject", KvList(namespace="", prefix="", after="", limit=1))
    assert await friend.ask("subject", GET, KvValue)
    assert subject.failure is None


async def test_an_awaited_receive_holds_back_the_next_message(kit: Kit) -> None:
    subject, friend = await pair(kit, Subject(kit))
    first = await begun(friend.ask("subject", DescribeQueue(), Done))
    second = await begun(friend.ask("subject", GET, KvValue))
    with pytest.raises(AskTimeout):
        await friend.ask("subject", GET, KvValue, timeout_s=0.02)
    assert not second.done()
    subject.gate.set()
    await asyncio.gather(first, second)


async def test_the_kernel_describes_every_actor_even_a_busy_one(kit: Kit) -> None:
    subject, friend = await pair(kit, Subject(kit))
    waiting = await begun(friend.ask("subject", DescribeQueue(), Done))
    friend.tell("subject", ChunkCredit(request_id="r", chunks=1))
    await friend.ask("subject", DescribeActor(), ActorDescription)  # what came in the same burst is being handled now
    found = await friend.ask("subject", DescribeActor(), ActorDescription)
    assert (found.actor, found.pid, found.connections) == ("subject", os.getpid(), 2)
    assert (found.mailbox_length, found.mailbox_limit) == (1, kit.settings.mailbox_limit)
    assert found.open_files > 3
    assert found.rss_bytes > 1_000_000
    assert found.tasks >= 1
    subject.gate.set()
    await waiting


async def test_a_full_inbox_that_pauses_loses_nothing(kit: Kit) -> None:
    kit.configure(mailbox_limit=10)
    subject, friend = await pair(kit, Subject(kit))
    waiting = await begun(friend.ask("subject", DescribeQueue(), Done))
    for number in range(50_000):
        friend.tell("subject", ChunkCredit(request_id="r" * 20, chunks=number))
    with pytest.raises(AskTimeout):
        await friend.ask("subject", DescribeActor(), ActorDescription, timeout_s=0.05)  # not even read
    assert len(subject._inbox) < 20_000, "the rest waits in the socket and with the sender"
    subject.gate.set()
    await waiting
    await friend.ask("subject", GET, KvValue)
    arrived = [entry for entry in subject.log_of if entry.startswith("credit")]
    assert arrived == [f"credit {number}" for number in range(50_000)]


async def test_a_full_inbox_that_refuses_says_so_and_counts(kit: Kit) -> None:
    kit.configure(mailbox_limit=10)
    subject, friend = await pair(kit, Forgetful(kit))
    waiting = await begun(friend.ask("subject", DescribeQueue(), Done))
    await friend.ask("subject", DescribeActor(), ActorDescription)  # the ask has left the inbox and is being handled
    for number in range(15):
        friend.tell("subject", ChunkCredit(request_id="r", chunks=number))
    with pytest.raises(RequestRefused) as caught:
        await friend.ask("subject", GET, KvValue)
    assert (caught.value.code, caught.value.retryable) == ("overloaded", True)
    assert (await friend.ask("subject", DescribeActor(), ActorDescription)).messages_refused == 6
    subject.gate.set()
    await waiting
    assert await friend.ask("subject", GET, KvValue)
    assert [entry for entry in subject.log_of if entry.startswith("credit")] == [f"credit {n}" for n in range(10)]


async def test_stopping_refuses_every_open_ask(kit: Kit) -> None:
    subject, friend = await pair(kit, Subject(kit))
    asks: list[Message] = [DescribeQueue(), GET, Done()]  # under way, unread, and unread
    waiting = [await begun(friend.ask("subject", message, Done)) for message in asks]
    with pytest.raises(AskTimeout):
        await friend.ask("subject", GET, KvValue, timeout_s=0.02)
    await kit.stop(subject, deadline_s=0.1)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [getattr(error, "code", error) for error in results] == ["stopping"] * 3
    assert subject.torn_down.is_set()
    assert not kit.settings.socket_path("subject").exists()


async def test_an_ask_taken_but_never_answered_is_refused_at_the_stop(kit: Kit) -> None:
    subject, friend = await pair(kit, Subject(kit))
    waiting = await begun(friend.ask("subject", Done(), Done))
    await friend.ask("subject", GET, KvValue)
    assert len(subject.held) == 1
    await kit.stop(subject)
    with pytest.raises(RequestRefused, match="stopping"):
        await waiting


async def test_messages_flow_while_draining(kit: Kit) -> None:
    class Draining(Subject):
        async def drain(self, deadline_s: float) -> None:
            await self.gate.wait()

        def receive(self, message: Message, sender: Sender) -> None:
            sender.reply(Done())
            self.gate.set()

    subject, friend = await pair(kit, Draining(kit))
    stopping = asyncio.create_task(kit.stop(subject, deadline_s=10.0))
    await asyncio.sleep(0)
    assert not stopping.done()
    assert await friend.ask("subject", GET, Done) == Done()
    await stopping


async def test_a_failed_task_fails_the_actor(kit: Kit) -> None:
    subject = await kit.start(Subject(kit))

    async def fail() -> None:
        raise RuntimeError("broken")

    subject.spawn(fail(), "work")
    assert str(await subject.run_until_failure()) == "broken"
    subject.failure = None  # seen; the kit would raise it


async def test_spawned_tasks_are_cancelled_at_the_stop(kit: Kit) -> None:
    subject = await kit.start(Subject(kit))
    task = subject.spawn(asyncio.Event().wait(), "wait for ever")
    await kit.stop(subject)
    assert task.cancelled()


async def test_an_adopted_socket_is_a_connection_at_once(kit: Kit) -> None:
    subject = await kit.start(Subject(kit))
    ours, theirs = socket.socketpair()
    connection = subject.adopt(theirs, "resize@3_4711")
    connection.tell(ChunkCredit(request_id="r", chunks=1))  # before it has a transport
    owner = RecordingOwner()
    worker = Connection("queue", owner, LOG, ask_timeout_s=5.0)
    await attach(worker, ours)
    assert await owner.until_count(1) == [ChunkCredit(request_id="r", chunks=1)]
    assert connection.credentials.pid == os.getpid()
    worker.tell(NewFunctionWorker(pid=4711))
    assert (await worker.ask(GET, KvValue)).payload == b"resize@3_4711"
    worker.close()
    await subject.until(lambda: "resize@3_4711 gone" in subject.log_of)
    assert subject.log_of == ["worker 4711 on resize@3_4711", "resize@3_4711 gone"]
    assert connection.is_closed
    await owner.until(lambda: bool(owner.closed))
