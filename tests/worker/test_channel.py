"""The blocking connection: frames cut anywhere, large payloads, asks among other messages, broken peers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from actorfaas.errors import AskTimeout, FrameTooLarge, PeerUnavailable, RequestRefused
from actorfaas.messages import KvGet, KvValue, Message, Refused, Retire, Task, TaskCredit, TaskResult
from actorfaas.wire import Decoder, Frame, Kind, encode
from actorfaas.worker.channel import Channel


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    theirs.settimeout(10)
    yield channel, theirs
    channel.close()
    theirs.close()


def task(payload: bytes, request_id: str = "r") -> Task:
    return Task(request_id, "", "", 1, 0, "", 0, "", payload)


def wire(message: Message, kind: int = Kind.TELL, ask_id: int = 0) -> bytes:
    return b"".join(encode(message, kind, ask_id))


def soon() -> int:
    return time.monotonic_ns() + 10_000_000_000


def in_background(theirs: socket.socket, data: bytes) -> threading.Thread:
    thread = threading.Thread(target=theirs.sendall, args=(data,))
    thread.start()
    return thread


def test_messages_that_arrive_together_come_one_by_one(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    messages = [task(b"1"), TaskCredit("r", 3), task(b"x" * 9000), task(b"y" * 9000), Retire()]
    theirs.sendall(b"".join(map(wire, messages)))
    assert [channel.receive() for _ in messages] == messages


def test_a_message_that_arrives_byte_by_byte(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    data = wire(task(b'{"a": 1}'))

    def trickle() -> None:
        for byte in data:
            theirs.sendall(bytes((byte,)))

    thread = threading.Thread(target=trickle)
    thread.start()
    assert channel.receive() == task(b'{"a": 1}')
    thread.join()


@pytest.mark.parametrize("size", [16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 100_000, 20_000_000])
def test_large_payloads_both_ways(pair: tuple[Channel, socket.socket], size: int) -> None:
    channel, theirs = pair
    payload = bytes(range(256)) * (size // 256) + b"!" * (size % 256)
    thread = in_background(theirs, wire(task(payload)) + wire(task(b"after", "r2")))
    received = channel.receive()
    assert isinstance(received, Task)
    assert received.payload == payload
    assert channel.receive() == task(b"after", "r2")
    thread.join()

    sender = threading.Thread(target=channel.tell, args=(TaskResult("r", "", 1, 2, payload),))
    sender.start()
    decoder = Decoder()
    frames: list[Frame] = []
    while not frames:
        frames = list(decoder.feed(theirs.recv(1 << 20)))
    sender.join()
    assert frames[0].message == TaskResult("r", "", 1, 2, payload)


def test_an_ask_sets_other_messages_aside(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.sendall(wire(TaskCredit("r", 2)) + wire(KvValue(4, b"1"), Kind.REPLY, 1))
    assert channel.ask(KvGet("", "k"), soon()) == KvValue(4, b"1")
    assert channel.receive() == TaskCredit("r", 2)


def test_a_refusal_raises(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.sendall(wire(Refused("unavailable", "restarting", True, 1.5), Kind.REPLY, 1))
    with pytest.raises(RequestRefused) as caught:
        channel.ask(KvGet("", "k"), soon())
    assert (caught.value.code, caught.value.retryable, caught.value.retry_after_s) == ("unavailable", True, 1.5)


def test_a_reply_to_nothing_is_skipped(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.sendall(wire(KvValue(4, b"1"), Kind.REPLY, 99) + wire(Retire()))
    assert channel.receive() == Retire()


def test_an_ask_ends_at_its_deadline_and_closes_the_connection(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    with pytest.raises(AskTimeout):
        channel.ask(KvGet("", "k"), time.monotonic_ns() + 20_000_000)
    with pytest.raises(OSError, match="Bad file descriptor"):
        channel.tell(Retire())
    assert theirs.recv(1000)  # the question
    assert theirs.recv(1000) == b""


@pytest.mark.parametrize("sent", [b"", wire(Retire())[:5], wire(task(b"x" * 100_000))[:60_000]])
def test_a_closed_connection(pair: tuple[Channel, socket.socket], sent: bytes) -> None:
    channel, theirs = pair
    theirs.sendall(sent)
    theirs.close()
    with pytest.raises(PeerUnavailable):
        channel.receive()


def test_a_frame_above_the_limit(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.sendall(b"\x00\x00\x00\x05\xff\xff\xff\xff")
    with pytest.raises(FrameTooLarge):
        channel.receive()


def test_a_default_timeout_set_by_user_code_does_not_matter() -> None:
    before = socket.getdefaulttimeout()
    ours, theirs = socket.socketpair()
    socket.setdefaulttimeout(0.001)
    try:
        descriptor = ours.detach()
        channel = Channel(socket.socket(fileno=descriptor))
    finally:
        socket.setdefaulttimeout(before)
    timer = threading.Timer(0.05, theirs.sendall, args=(wire(Retire()),))
    timer.start()
    assert channel.receive() == Retire()
    timer.join()
    channel.close()
    theirs.close()
