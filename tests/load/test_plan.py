"""Plans: endpoints, weights, and what each process sends."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from actorfaas.errors import ConfigError
from actorfaas.load.arrivals import parse
from actorfaas.load.http_requests import invocation_url, render
from actorfaas.load.plan import Closed, Endpoint, Plan, Target, calls, share
from actorfaas.load.traces import Replay, Row

HERE = Endpoint("127.0.0.1", 80)
TWO = (Target("a", (b"a1", b"a2"), 3.0), Target("b", (b"b",), 1.0))


def test_endpoints() -> None:
    assert Endpoint.of("http://h:81/x") == Endpoint("h", 81)
    assert Endpoint.of("https://h/x") == Endpoint("h", 443, tls=True)
    with pytest.raises(ConfigError, match="no address"):
        Endpoint.of("ftp://h/")


def test_calls_follow_the_weights_and_the_seed() -> None:
    plan = Plan(HERE, TWO, parse("constant 1000/s 4s"), seed=5)
    made = list(calls(plan))
    assert made == list(calls(plan))
    counts = Counter(call.request for call in made)
    assert 2800 < counts[b"a1"] + counts[b"a2"] < 3200
    assert 0.8 < counts[b"a1"] / counts[b"a2"] < 1.25
    assert counts.total() == 4000


@pytest.mark.parametrize("processes", [2, 3])
def test_what_is_sent_does_not_depend_on_the_number_of_processes(processes: int) -> None:
    alone = list(calls(Plan(HERE, TWO, parse("poisson 100/s 5s"))))
    shared = Plan(HERE, TWO, parse("poisson 100/s 5s"), processes=processes)
    assert sorted(call for number in range(processes) for call in calls(shared, number)) == sorted(alone)


def test_a_trace_says_which_target() -> None:
    plan = Plan(HERE, TWO, Replay((Row("x", (0, 2)), Row("y", (1, 0))), minute_s=1.0))
    assert [call.target for call in calls(plan)] == [1, 0, 0]
    assert plan.duration_s == 2


def test_a_closed_loop_has_no_end() -> None:
    plan = Plan(HERE, TWO, Closed(4, 10.0))
    assert len(list(islice(calls(plan), 1000))) == 1000
    assert not plan.is_open


def test_shares() -> None:
    assert [share(10, number, 3) for number in range(3)] == [4, 3, 3]


@pytest.mark.parametrize(("duration", "width_s"), [("5s", 0.1), ("2m", 1), ("10m", 5), ("24h", 1800)])
def test_the_course_has_few_steps(duration: str, width_s: float) -> None:
    assert Plan(HERE, TWO, parse(f"poisson 1/s {duration}")).width_s == width_s


def test_a_request() -> None:
    request = render("POST", "http://user@h:1/a b?q=1", b"[1]", {"X": "y"})
    assert request == (
        b"POST /a%20b?q=1 HTTP/1.1\r\nHost: h:1\r\nUser-Agent: actorfaas-load\r\nX: y\r\n"
        b"Content-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]"
    )
    assert render("GET", "http://h/?a b=%20&c=d").startswith(b"GET /?a%20b=%20&c=d HTTP/1.1\r\n")
    assert b"Content-Length" not in render("GET", "http://h/")
    assert render("POST", "http://h").startswith(b"POST / ")
    with pytest.raises(ConfigError, match="line break"):
        render("GET", "http://h/", headers={"X": "a\r\nY: b"})


def test_where_a_function_is_called() -> None:
    assert invocation_url("http://h:1/", "a/b") == "http://h:1/v1/invoke/a%2Fb"
