"""The supervisor's end of a control socket: messages and descriptors, back-pressure, the end."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from actorfaas import wire
from actorfaas.errors import MailboxFull, PeerUnavailable
from actorfaas.messages import ChildExited, ForkWorker, LoadFailed, Message
from actorfaas.templates.control import MAX_PACKET_BYTES, ControlChannel, control_pair


class Ends:
    """Both ends of a pair: the channel under test, and the template's socket."""

    def __init__(self) -> None:
        ours, self.theirs = control_pair()
        self.received: list[Message] = []
        self.changed = asyncio.Event()
        self.closed = 0
        self.channel = ControlChannel(ours, self._take, self._end)

    def _take(self, message: Message) -> None:
        self.received.append(message)
        self.changed.set()

    def _end(self) -> None:
        self.closed += 1
        self.changed.set()

    def say(self, message: Message) -> None:
        self.theirs.send(b"".join(wire.encode(message)))

    async def event(self) -> None:
        async with asyncio.timeout(5):
            await self.changed.wait()
        self.changed.clear()


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    made = Ends()
    yield made
    made.channel.close()
    made.theirs.close()


def fill(channel: ControlChannel) -> int:
    """Send until no more is accepted; how many messages were."""
    for sent in range(1_000_000):
        try:
            channel.send(ForkWorker(sent))
        except MailboxFull:
            return sent
    raise AssertionError("the queue has no bound")


def next_packet(sock: socket.socket) -> tuple[Message, list[int]]:
    data, fds, _, _ = socket.recv_fds(sock, 1 << 20, 8)
    return wire.decode_one(data).message, list(fds)


async def test_a_message_arrives_with_its_descriptors_which_are_closed_here(ends: Ends) -> None:
    read, write = os.pipe()
    ends.channel.send(ForkWorker(7), (write,))
    message, fds = next_packet(ends.theirs)
    assert message == ForkWorker(7)
    os.write(fds[0], b"x")
    os.close(fds[0])
    assert os.read(read, 10) == b"x"
    assert os.read(read, 10) == b""  # no copy of the writing end is left in this process
    os.close(read)


async def test_messages_are_received_in_order(ends: Ends) -> None:
    said = [ChildExited(pid, 0, 0, 0) for pid in range(100)]
    for message in said:
        ends.say(message)
    while len(ends.received) < len(said):
        await ends.event()
    assert ends.received == said


async def test_a_large_declaration_fits_one_packet(ends: Ends) -> None:
    message = LoadFailed("import", "ValueError", "x" * 300_000)
    ends.say(message)
    await ends.event()
    assert ends.received == [message]


async def test_what_does_not_fit_the_socket_waits_and_then_the_queue_is_full(ends: Ends) -> None:
    sent = fill(ends.channel)
    received = 0
    ends.theirs.setblocking(False)
    async with asyncio.timeout(10):
        while received < sent:
            try:
                assert next_packet(ends.theirs)[0] == ForkWorker(received)
                received += 1
            except BlockingIOError:
                await asyncio.sleep(0)  # the channel writes again in its turn of the loop


async def test_the_end_is_told_once_after_the_last_message(ends: Ends) -> None:
    ends.say(ChildExited(1, 0, 0, 0))
    ends.theirs.close()
    while not ends.closed:
        await ends.event()
    assert len(ends.received) == 1
    assert ends.closed == 1
    with pytest.raises(PeerUnavailable):
        ends.channel.send(ForkWorker(1))


async def test_after_the_last_word_the_other_side_sees_the_end_and_may_still_speak(ends: Ends) -> None:
    ends.channel.finish_sending()
    assert ends.theirs.recv(10) == b""
    ends.say(ChildExited(1, 0, 0, 0))
    await ends.event()
    assert len(ends.received) == 1
    read, write = os.pipe()
    with pytest.raises(PeerUnavailable):
        ends.channel.send(ForkWorker(1), (write,))
    assert os.read(read, 1) == b""  # closed although it was not sent
    os.close(read)


async def test_last_words_are_drained_without_waiting_for_the_loop(ends: Ends) -> None:
    for pid in range(100):
        ends.say(ChildExited(pid, 0, 0, 0))
    ends.channel.drain_and_close()
    assert len(ends.received) == 100
    assert ends.closed == 0


async def test_nonsense_ends_the_conversation(ends: Ends) -> None:
    ends.theirs.send(b"nonsense")
    await ends.event()
    assert ends.closed == 1
    assert ends.channel.is_closed


def test_room_for_the_largest_packet_costs_nothing_before_it_is_used() -> None:
    code = (
        "import actorfaas.messages, actorfaas.wire, asyncio, mmap\n"
        "def anonymous_kb():\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return next(int(line.split()[1]) for line in lines if line.startswith('RssAnon:'))\n"
        "before = anonymous_kb()\n"
        "import actorfaas.templates.control\n"
        "print((anonymous_kb() - before) * 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < MAX_PACKET_BYTES // 2
