"""The open-loop client: calls go out on time, and what a server holds up is counted."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from bench import load
from bench.many_functions import Memory, arrivals
from bench.open_loop import OpenLoop
from bench.paging import kind_of

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull"


class Server:
    """Answers the connections it is told to, in order, each once."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"

    def accept(self) -> socket.socket:
        connection, _ = self.listener.accept()
        connection.recv(1 << 16)
        return connection


@pytest.fixture
def server() -> Server:
    return Server()


def run(server: Server, count: int) -> OpenLoop:
    loop = OpenLoop(server.url)
    loop.run([(0.0, load.post(server.url, b"null"))] * count, 0.01, lambda: None)
    server.listener.close()
    return loop


def test_a_call_does_not_wait_for_the_one_before(server: Server) -> None:
    def serve() -> None:
        first, second = server.accept(), server.accept()  # the second is there although the first has no answer
        for connection in (second, first):
            connection.sendall(ANSWER)
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    loop = run(server, 2)
    thread.join()
    assert [answer.status for answer in loop.answers] == [200, 200]
    assert loop.most_at_once == 2


def test_a_lost_connection_is_an_answer_without_status(server: Server) -> None:
    thread = threading.Thread(target=lambda: server.accept().close())
    thread.start()
    loop = run(server, 1)
    thread.join()
    assert [answer.status for answer in loop.answers] == [0]


def test_a_connection_that_the_server_closes_when_idle_is_not_used_again(server: Server) -> None:
    closed = threading.Event()

    def serve() -> None:
        with server.accept() as first:
            first.sendall(ANSWER)
        closed.set()
        with server.accept() as second:
            second.sendall(ANSWER)

    thread = threading.Thread(target=serve)
    thread.start()
    loop = OpenLoop(server.url)
    request = load.post(server.url, b"null")

    def calls() -> Iterator[tuple[float, bytes]]:
        yield 0.0, request
        assert closed.wait(10)
        yield 0.1, request

    loop.run(calls(), 0.01, lambda: None)
    thread.join()
    server.listener.close()
    assert [answer.status for answer in loop.answers] == [200, 200]


def test_latency_counts_from_when_a_call_was_to_be_sent(server: Server) -> None:
    def serve() -> None:
        with server.accept() as connection:
            connection.sendall(ANSWER)

    thread = threading.Thread(target=serve)
    thread.start()
    loop = OpenLoop(server.url)
    loop.run([(-5.0, load.post(server.url, b"null"))], 0.01, lambda: None)
    thread.join()
    server.listener.close()
    assert loop.answers[0].latency_s > 5


def test_arrivals_are_those_of_the_seed_and_skewed() -> None:
    calls = arrivals("http://127.0.0.1:1", rate=100, duration_s=60, seed=3)
    assert calls == arrivals("http://127.0.0.1:1", rate=100, duration_s=60, seed=3)
    assert 5_000 < len(calls) < 7_000
    counts = sorted((sum(one == request for _, one in calls) for request in {one for _, one in calls}), reverse=True)
    assert counts[0] > 10 * counts[-1]


def test_the_longest_time_above_a_limit() -> None:
    memory = Memory([(0, 5), (1, 11), (2, 12), (3, 9), (4, 11), (7, 12)])
    assert memory.longest_s(10) == 3
    assert memory.longest_s(100) == 0


def test_how_an_instance_was_had() -> None:
    head = (
        'HTTP/1.1 200 OK\r\nserver-timing: queue;dur=1.0, page-in;dur=2.0, start;dur=0.3;desc="prefetched", run;dur=1'
    )
    assert kind_of(head) == "prefetched"
    assert kind_of("HTTP/1.1 200 OK") == ""
