"""The pure parts of the benchmarks, and their HTTP client against a socket."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from bench import load
from bench.measure import Summary, paired_ratio, percentile
from bench.report import Budget, Report, options


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 5), (90, 9), (91, 10), (100, 10)])
def test_percentile_is_the_nearest_rank(percent: float, expected: int) -> None:
    assert percentile(list(range(10, 0, -1)), percent) == expected


def test_percentile_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


def test_summary_counts_and_orders() -> None:
    summary = Summary.of([3.0, 1.0, 2.0])
    assert (summary.count, summary.p50, summary.maximum) == (3, 2.0, 3.0)


def test_paired_ratio_cancels_a_drifting_machine() -> None:
    assert paired_ratio([1.0, 10.0, 2.0], [2.0, 20.0, 4.0]) == 0.5


@pytest.mark.parametrize(("at_most", "value", "met"), [(True, 1.0, True), (True, 1.1, False), (False, 0.9, False)])
def test_a_budget_knows_its_direction(at_most: bool, value: float, met: bool) -> None:
    assert Budget("b", 1.0, value, "ms", at_most).met is met


def test_report_writes_json_with_facts(tmp_path: Path) -> None:
    report = Report("example", seed=7, rows=[{"name": "a", "value": 1.5}])
    report.budget("fast", 2.0, 1.5, "ms")
    report.finish(options("doc", ["--json", str(tmp_path / "out.json")]))
    stored = json.loads((tmp_path / "out.json").read_text())
    assert stored["seed"] == 7
    assert stored["budgets"] == [
        {"name": "fast", "goal": 2.0, "value": 1.5, "unit": "ms", "at_most": True, "met": True}
    ]
    assert {"cores", "kernel", "python", "commit"} <= stored["machine"].keys()


def serve(responses: list[bytes]) -> str:
    """A socket that answers one connection's requests with the given responses, then closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listener:
            served, _ = listener.accept()
            with served:
                for response in responses:
                    if served.recv(1 << 16):
                        for i in range(0, len(response), 7):  # in pieces, as a network may
                            served.sendall(response[i : i + 7])

    threading.Thread(target=answer, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/x"


def test_client_counts_successes_and_failures() -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull"
    busy = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}"
    url = serve([ok, busy, ok])
    outcome = load.run(url, load.post(url, b"{}"), connections=1, duration_s=10, max_calls=3)
    assert len(outcome.latencies_s) == 2
    assert outcome.failures == {"429": 1}


def test_calls_one_by_one_come_with_their_timing() -> None:
    url = serve([b"HTTP/1.1 200 OK\r\nServer-Timing: run;dur=1\r\nContent-Length: 4\r\n\r\nnull"] * 2)
    calls = list(load.one_by_one(url, load.post(url, b"null"), 2))
    assert [timing for _, timing in calls] == ["run;dur=1"] * 2
    assert all(took_ms > 0 for took_ms, _ in calls)


def test_a_failure_among_calls_one_by_one_is_an_error() -> None:
    url = serve([b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"])
    with pytest.raises(ConnectionError, match="500"):
        list(load.one_by_one(url, load.post(url, b"null"), 1))


def test_client_reports_a_closed_connection() -> None:
    url = serve([])
    outcome = load.run(url, load.post(url, b"{}"), connections=1, duration_s=10, max_calls=1)
    assert sum(outcome.failures.values()) == 1
    assert outcome.latencies_s == []


def test_request_carries_headers_and_length() -> None:
    request = load.post("http://127.0.0.1:1/v1/invoke/f", b"[1]", {"Actorfaas-Strategy": "fork"})
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/invoke/f HTTP/1.1\r\nHost: 127.0.0.1:1")
    assert b"Actorfaas-Strategy: fork" in head
    assert b"Content-Length: 3" in head
    assert body == b"[1]"
