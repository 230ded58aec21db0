"""Descriptors between actors: they arrive, in order, acknowledged, and nothing else does."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from actorfaas import wire
from actorfaas.errors import PeerUnavailable, RequestRefused
from actorfaas.messages import DescribeQueue, Message, Refused, StopFunction
from actorfaas.runtime.handover import HandoverClient, HandoverListener
from tests.actors_kit import Kit
from tests.runtime.ends import LOG, trusting


def note(number: int = 0) -> Message:
    return StopFunction(function_topic=f"resize@{number}", deadline_s=1.0)


async def hand_over_pair(kit: Kit, number: int) -> socket.socket:
    """Hand one end of a new pair to the fake peer `queue`; the other end comes back."""
    giver = kit.started("giver")
    ours, theirs = socket.socketpair()
    with theirs:
        await giver.hand_over("queue", note(number), theirs)
    return ours


async def test_a_socket_arrives_and_works(kit: Kit) -> None:
    queue = await kit.fake("queue")
    await kit.fake("giver")
    ours = await hand_over_pair(kit, 3)
    message, received = await queue.expect_socket()
    assert message == note(3)
    assert not os.get_inheritable(received.fileno())
    with ours, received:
        ours.sendall(b"hello")
        assert received.recv(10) == b"hello"


async def test_order_is_kept_and_no_descriptor_leaks(kit: Kit) -> None:
    queue = await kit.fake("queue")
    giver = await kit.fake("giver")
    ours, theirs = socket.socketpair()
    await giver.hand_over("queue", note(), theirs)
    (await queue.expect_socket())[1].close()
    before = len(os.listdir("/proc/self/fd"))
    async with asyncio.TaskGroup() as group:
        for number in range(300):
            group.create_task(giver.hand_over("queue", note(number), theirs))
    for number in range(300):
        message, received = await queue.expect_socket()
        assert message == note(number)
        received.close()
    assert len(os.listdir("/proc/self/fd")) == before
    ours.close()
    theirs.close()


async def test_a_receiver_that_comes_back_is_reached_again(kit: Kit) -> None:
    queue = await kit.fake("queue")
    giver = await kit.fake("giver")
    ours, theirs = socket.socketpair()
    await giver.hand_over("queue", note(1), theirs)
    await kit.stop(queue)
    waiting = asyncio.create_task(giver.hand_over("queue", note(2), theirs))
    await asyncio.sleep(0)
    queue = await kit.fake("queue")
    try:
        await waiting
    except PeerUnavailable:  # it was still on the connection that broke
        await giver.hand_over("queue", note(2), theirs)
    message, received = await queue.expect_socket()
    assert message == note(2)
    for sock in (ours, theirs, received):
        sock.close()


async def test_nobody_there_is_said_after_the_timeout(kit: Kit) -> None:
    giver = await kit.fake("giver")
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(PeerUnavailable, match=r"queue was not reachable for 0\.05 s"):
        await giver.hand_over("queue", note(), theirs, timeout_s=0.05)


async def test_a_refused_handover_closes_the_socket_and_says_why(short_dir: Path) -> None:
    path = short_dir / "q.sock"
    listener = HandoverListener(path, LOG, trusting, lambda message, sock: Refused(error="overloaded", detail="full"))
    client = HandoverClient("queue", path, LOG, trusting)
    ours, theirs = socket.socketpair()
    with ours:
        with theirs, pytest.raises(RequestRefused, match="overloaded: full"):
            await client.hand_over(note(), theirs, timeout_s=5.0)
        assert ours.recv(1) == b""
    client.close()
    listener.close()


async def test_a_receiver_that_dies_before_answering_fails_the_handover(short_dir: Path) -> None:
    path = short_dir / "q.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(str(path))
        server.listen()
        client = HandoverClient("queue", path, LOG, trusting)
        ours, theirs = socket.socketpair()
        waiting = asyncio.create_task(client.hand_over(note(), theirs, timeout_s=5.0))
        await asyncio.sleep(0)
        server.accept()[0].close()
        with pytest.raises(PeerUnavailable, match="the handover connection to queue broke"):
            await waiting
        for sock in (ours, theirs):
            sock.close()
        client.close()


async def test_no_more_is_sent_than_can_be_answered_while_the_sender_is_busy(short_dir: Path) -> None:
    path = short_dir / "q.sock"
    listener = HandoverListener(path, LOG, trusting, lambda message, sock: sock.close())
    client = HandoverClient("queue", path, LOG, trusting)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        await client.hand_over(note(), theirs, timeout_s=5.0)
        asyncio.get_running_loop().remove_reader(client._sock)  # type: ignore[arg-type]  # it is connected
        waiting = [asyncio.create_task(client.hand_over(note(), theirs, timeout_s=30.0)) for _ in range(1000)]
        for _ in range(3000):
            await asyncio.sleep(0)  # all that can be sent is sent, taken, and answered
        assert client._sock is not None
        asyncio.get_running_loop().add_reader(client._sock, client._read_acknowledgements, client._sock)
        await asyncio.gather(*waiting)
    client.close()
    listener.close()


async def test_nothing_is_handed_to_or_taken_from_a_stranger(short_dir: Path) -> None:
    path = short_dir / "q.sock"
    taken: list[Message] = []
    listener = HandoverListener(path, LOG, lambda _: False, lambda message, sock: taken.append(message))
    trusted, wary = HandoverClient("queue", path, LOG, trusting), HandoverClient("queue", path, LOG, lambda _: False)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(PeerUnavailable, match="the handover connection to queue broke"):
            await trusted.hand_over(note(), theirs, timeout_s=5.0)
        with pytest.raises(PeerUnavailable, match="queue was not reachable"):
            await wary.hand_over(note(), theirs, timeout_s=0.05)
    assert not taken
    for one in (trusted, wary, listener):
        one.close()


def packet(message: Message, kind: int = wire.Kind.ASK) -> bytes:
    return b"".join(wire.encode(message, kind, 1))


@pytest.mark.parametrize(
    ("data", "descriptors"),
    [
        (packet(note()), 0),
        (packet(note()), 2),
        (packet(note(), wire.Kind.TELL), 1),
        (packet(note()) + b"more", 1),
        (b"garbage", 1),
        (packet(DescribeQueue()) * 5000, 1),
    ],
    ids=["none", "two", "not an ask", "two frames", "garbage", "too large"],
)
async def test_a_sender_that_breaks_the_rules_is_cut_off(kit: Kit, data: bytes, descriptors: int) -> None:
    queue = await kit.fake("queue")
    await kit.fake("giver")
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as rude:
        rude.connect(str(kit.settings.run_path / "queue.handover.sock"))
        rude.setblocking(False)
        if descriptors:
            socket.send_fds(rude, [data], [rude.fileno()] * descriptors)
        else:
            rude.send(data)
        async with asyncio.timeout(10):
            assert await asyncio.get_running_loop().sock_recv(rude, 100) == b""
    assert len(os.listdir("/proc/self/fd")) == before
    ours = await hand_over_pair(kit, 7)  # others are not concerned
    message, received = await queue.expect_socket()
    assert message == note(7)
    ours.close()
    received.close()
    assert not queue.sockets


async def test_something_that_is_not_a_socket_is_not_taken(kit: Kit) -> None:
    await kit.fake("queue")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as rude, open(os.devnull) as file:
        rude.connect(str(kit.settings.run_path / "queue.handover.sock"))
        rude.setblocking(False)
        socket.send_fds(rude, [packet(note())], [file.fileno()])
        async with asyncio.timeout(10):
            assert await asyncio.get_running_loop().sock_recv(rude, 100) == b""
