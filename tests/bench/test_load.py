"""How benchmarks call: what is noted of each call, closed and open."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from actorfaas.load import arrivals
from actorfaas.load.plan import Endpoint, Plan, Target, calls
from bench import load
from bench.many_functions import Memory, plan
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
def server() -> Iterator[Server]:
    made = Server()
    with made.listener:
        yield made


def watched(server: Server, spec: str) -> load.Noted:
    target = Target("x", (load.post(server.url, b"null"),))
    looks: list[int] = []
    noted = load.watched(Plan(Endpoint.of(server.url), (target,), arrivals.parse(spec)), 0.01, lambda: looks.append(1))
    assert looks
    return noted


def test_a_call_does_not_wait_for_the_one_before(server: Server) -> None:
    def serve() -> None:
        first, second = server.accept(), server.accept()  # the second is there although the first has no answer
        for connection in (second, first):
            connection.sendall(ANSWER)
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    noted = watched(server, "burst 2 every 1s 1s")
    thread.join()
    assert [answer.error for answer in noted.answers] == ["", ""]
    assert noted.most_at_once == 2


def test_a_lost_connection_is_an_error(server: Server) -> None:
    thread = threading.Thread(target=lambda: server.accept().close())
    thread.start()
    noted = watched(server, "burst 1 every 1s 1s")
    thread.join()
    assert [bool(answer.error) for answer in noted.answers] == [True]


def test_what_fails_while_looking_is_not_lost(server: Server) -> None:
    target = Target("x", (load.post(server.url, b"null"),))
    made = Plan(Endpoint.of(server.url), (target,), arrivals.parse("pause 1s"))

    def fail() -> None:
        raise RuntimeError("no such group")

    with pytest.raises(RuntimeError, match="no such group"):
        load.watched(made, 0.01, fail)


def test_arrivals_are_those_of_the_seed_and_skewed() -> None:
    made = list(calls(plan("http://127.0.0.1:1", rate=100, duration_s=60, seed=3)))
    assert made == list(calls(plan("http://127.0.0.1:1", rate=100, duration_s=60, seed=3)))
    assert 5_000 < len(made) < 7_000
    counts = Counter(one.target for one in made)
    assert max(counts.values()) > 10 * min(counts.values())


def test_the_longest_time_above_a_limit() -> None:
    memory = Memory([(0, 5), (1, 11), (2, 12), (3, 9), (4, 11), (7, 12)])
    assert memory.longest_s(10) == 3
    assert memory.longest_s(100) == 0


def test_how_an_instance_was_had() -> None:
    assert kind_of('queue;dur=1.0, page-in;dur=2.0, start;dur=0.3;desc="prefetched", run;dur=1') == "prefetched"
    assert kind_of("") == ""
