"""A template's control socket: what comes with a packet, and what becomes of its descriptors."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from actorfaas.errors import MalformedFrame
from actorfaas.messages import ChildForked, ForkWorker
from actorfaas.wire import decode_one, encode
from actorfaas.worker.control import Control, close_all


@pytest.fixture
def pair() -> Iterator[tuple[Control, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.set_inheritable(ours.fileno(), True)
    control = Control(ours.detach())
    yield control, theirs
    control.close()
    theirs.close()


def test_nothing_of_it_is_inherited_by_what_user_code_starts(pair: tuple[Control, socket.socket]) -> None:
    control, theirs = pair
    with open(os.devnull) as one, open(os.devnull) as other:
        socket.send_fds(theirs, [b"".join(encode(ForkWorker(7)))], [one.fileno(), other.fileno()])
    received = control.receive()
    assert received is not None
    message, descriptors = received
    assert message == ForkWorker(7)
    assert [os.get_inheritable(fd) for fd in (control.fileno(), *descriptors)] == [False] * 3
    close_all(descriptors)


def test_a_packet_without_descriptors_and_an_answer(pair: tuple[Control, socket.socket]) -> None:
    control, theirs = pair
    theirs.send(b"".join(encode(ForkWorker(1))))
    assert control.receive() == (ForkWorker(1), [])
    control.tell(ChildForked(serial=1, pid=2, fork_ns=3))
    assert decode_one(theirs.recv(1000)).message == ChildForked(serial=1, pid=2, fork_ns=3)


def test_too_many_descriptors_are_refused_and_closed(pair: tuple[Control, socket.socket]) -> None:
    control, theirs = pair
    open_before = len(os.listdir("/proc/self/fd"))
    with open(os.devnull) as file:
        socket.send_fds(theirs, [b"".join(encode(ForkWorker(7)))], [file.fileno()] * 9)
    with pytest.raises(MalformedFrame, match="was cut"):
        control.receive()
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_the_supervisor_closed_its_end(pair: tuple[Control, socket.socket]) -> None:
    control, theirs = pair
    theirs.close()
    assert control.receive() is None
