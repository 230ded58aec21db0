"""Streams of a real node whose callers do not behave: nobody else waits for them, and nothing piles up."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.system.kit import Node, eventually, has_ended, node_with

pytestmark = pytest.mark.system

PIECE_BYTES = 4_000_000
HELD_LIMIT_BYTES = 60_000_000
"""Sixteen pieces of credit would be more than this for one caller alone."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node"), "steady", "streaming") as running:
        yield running


def begin(node: Node, piece_bytes: int) -> tuple[socket.socket, int]:
    """A caller that reads the first piece, which is the instance's pid, and then no more."""
    caller = socket.create_connection(("127.0.0.1", node.port), timeout=20)
    body = str(piece_bytes).encode()
    caller.sendall(
        b"POST /v1/invoke/endless HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    read = b""
    while read.partition(b"\r\n\r\n")[2].count(b"\n") < 2:
        read += caller.recv(1)
    return caller, int(read.rpartition(b"\r\n")[2])


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * 4096


def rests(pid: int) -> Callable[[], bool]:
    """Whether a process has not run for the last 20 questions."""
    seen: deque[str] = deque(maxlen=20)

    def question() -> bool:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
        seen.append(next(line for line in lines if line.startswith("voluntary_ctxt_switches")))
        return len(seen) == 20 and len(set(seen)) == 1

    return question


def test_the_worker_of_a_caller_who_left_while_it_waited_for_credit_is_free_again(node: Node) -> None:
    """Its deadline of 300 s is far off: nothing but the caller's leaving can end it in time."""
    for _ in range(2):  # the second one needs the place of the first: concurrency is 1
        caller, pid = begin(node, PIECE_BYTES)
        caller.close()
        eventually(partial(has_ended, pid), "the end of the worker")
    assert node.call("alive").status_code == 200


def test_what_a_caller_does_not_read_stays_with_the_worker(node: Node) -> None:
    before = {name: resident_bytes(pid) for name, pid in node.actor_pids().items()}
    caller, pid = begin(node, PIECE_BYTES)
    try:
        eventually(rests(pid), "the worker at rest, its pipe to the LocalQueue full")
        assert node.call("alive").status_code == 200
        for name, actor in node.actor_pids().items():
            assert resident_bytes(actor) - before[name] < HELD_LIMIT_BYTES
    finally:
        caller.close()
    eventually(lambda: has_ended(pid), "the end of the worker")
