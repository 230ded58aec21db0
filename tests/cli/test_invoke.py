"""`cli.invoke`: inputs, exact results, asynchronous executions, timing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actorfaas.cli.invoke import timing_in_words
from actorfaas.ids import STRATEGY_MEANINGS
from tests.cli.conftest import Cli
from tests.fake_node import JSON, FakeNode, Reply, document, problem


def execution(status: str, **members: Any) -> dict[str, Any]:  # an execution's document
    state = {"name": "a", "status": "succeeded", "worker": "a@1_9", "start_kind": "fork", "gap_ms": 0.25, "run_ms": 1.5}
    made = {"execution_id": "exe_1", "name": "flow", "status": status, "output": None, "error": None, "states": [state]}
    return made | members


@pytest.fixture
def hello(fake: FakeNode) -> FakeNode:
    """A node with a function whose result is not the way json.dumps writes."""
    headers = {"X-Request-Id": "req_1", "Server-Timing": "queue;dur=0.1", "Actorfaas-Worker": "hello@1_7"}
    fake.on("POST", "/v1/invoke/hello", Reply(200, b'{"a":  1.50}', JSON | headers))
    return fake


@pytest.mark.parametrize(
    ("arguments", "stdin", "sent"),
    [
        ((), b"", b""),
        (("--data", '{"n": 1}'), b"", b'{"n": 1}'),
        (("-d", "null"), b"", b"null"),
        (('{"n": 1}',), b"", b'{"n": 1}'),
        (("-d", "-"), b"2", b"2"),
        (("-",), b"[1,\n2]\n", b"[1,\n2]\n"),
        (("-",), b"", b""),
    ],
)
def test_the_input(cli: Cli, hello: FakeNode, arguments: tuple[str, ...], stdin: bytes, sent: bytes) -> None:
    result = cli("invoke", "hello", *arguments, stdin=stdin)
    assert result.exit_code == 0
    assert hello.last.body == sent


@pytest.mark.parametrize("arguments", [("--file", "in.json"), ("-d", "@in.json"), ("@in.json",)])
def test_the_input_from_a_file(cli: Cli, hello: FakeNode, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "in.json").write_bytes(b'"\xc3\xa4"')
    assert cli("invoke", "hello", *arguments).exit_code == 0
    assert hello.last.body == b'"\xc3\xa4"'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "Ada"), "the input is not JSON"),
        (("Ada",), "the input is not JSON"),
        (("[1, NaN]",), "the input is not JSON: NaN is no JSON value"),
        (("--data", ""), "the input is empty"),
        (("@missing.json",), "missing.json cannot be read: No such file"),
        (("--stream", "--wait"), "--stream shows a call as it runs"),
        (("--data", "1", "-"), "give the input once"),
        (("-",), "standard input is not JSON"),
        (("--timeout", "0"), "0"),
        (("--strategy", "magic"), "magic"),
        (("--file", "missing.json"), "missing.json"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_sent(
    cli: Cli, hello: FakeNode, arguments: tuple[str, ...], message: str
) -> None:
    result = cli("invoke", "hello", *arguments, stdin=b"{")
    assert result.exit_code == 2
    assert message in result.stderr
    assert hello.asked == []


def test_the_result_is_written_exactly(cli: Cli, hello: FakeNode) -> None:
    result = cli("invoke", "hello")
    assert result.stdout_bytes == b'{"a":  1.50}'
    assert result.stderr == ""


def test_options(cli: Cli, hello: FakeNode) -> None:
    cli("invoke", "hello", "--strategy", "cold", "--timeout", "2", "--idempotency-key", "k")
    headers = hello.last.headers
    assert (headers["Actorfaas-Strategy"], headers["Actorfaas-Timeout"]) == ("cold", "2")
    assert headers["Idempotency-Key"] == "k"


def test_help_explains_every_strategy(cli: Cli) -> None:
    lines = [line.strip() for line in cli("invoke", "--help").stdout.splitlines()]
    assert {f"{name}: {meaning}" for name, meaning in STRATEGY_MEANINGS.items()} <= set(lines)


def test_timing_goes_to_standard_error(cli: Cli, hello: FakeNode) -> None:
    result = cli("invoke", "hello", "--timing")
    assert result.stdout_bytes == b'{"a":  1.50}'
    assert "ms in all, queue 0.10 ms" in result.stderr
    assert "request req_1 by hello@1_7" in result.stderr


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ('queue;dur=0.031, start;dur=0.2;desc="fork", run;dur=12', "queue 0.03 ms, start 0.20 ms (fork), run 12.00 ms"),
        (
            'queue;dur=1.2, page-in;dur=12.8, start;dur=0.2;desc="prefetched", run;dur=1',
            "queue 1.20 ms, page-in 12.80 ms, start 0.20 ms (prefetched), run 1.00 ms",
        ),
        ('run;dur=1.5, gap;dur=0.1, states;desc="2"', "run 1.50 ms, gap 0.10 ms, 2 states"),
        ("", "the node sent no Server-Timing"),
    ],
)
def test_timing_is_told_in_words(header: str, words: str) -> None:
    assert timing_in_words(header) == words


def test_timing_of_a_workflow_shows_its_states(cli: Cli, fake: FakeNode) -> None:
    fake.on("POST", "/v1/invoke/flow", document(1, Actorfaas_Execution="exe_1"))
    fake.on("GET", "/v1/executions/exe_1", document(execution("succeeded")))
    result = cli("invoke", "flow", "--timing")
    assert result.stdout == "1"
    assert "a@1_9" in result.stderr
    assert "1.500" in result.stderr


def test_a_stream_is_written_as_it_is(cli: Cli, fake: FakeNode) -> None:
    reply = Reply(headers={"Content-Type": "application/x-ndjson"}, pieces=[b"1\n", b"2\n"])
    fake.on("POST", "/v1/invoke/s", reply)
    assert cli("invoke", "s", "--stream").stdout_bytes == b"1\n2\n"
    assert cli("invoke", "s").stdout_bytes == b"1\n2\n"


@pytest.mark.parametrize(("flags", "written"), [(("--stream",), b"1\n"), ((), b"")])
def test_an_interrupted_stream(cli: Cli, fake: FakeNode, flags: tuple[str, ...], written: bytes) -> None:
    headers = {"Content-Type": "application/x-ndjson", "X-Request-Id": "req_2"}
    fake.on("POST", "/v1/invoke/s", Reply(headers=headers, pieces=[b"1\n"], cut=True))
    result = cli("invoke", "s", *flags)
    assert result.exit_code == 1
    assert result.stdout_bytes == written
    assert "actorfaas logs --request req_2" in result.stderr


class TestAsynchronous:
    @pytest.fixture(autouse=True)
    def accepted(self, fake: FakeNode) -> None:
        fake.on("POST", "/v1/invoke/flow", Reply(202, b"", {"Location": "/v1/executions/exe_1"}))

    def test_the_id_is_the_result(self, cli: Cli, fake: FakeNode) -> None:
        result = cli("invoke", "flow", "--async")
        assert result.stdout == "exe_1\n"
        assert "actorfaas show exe_1" in result.stderr
        assert json.loads(cli("-o", "json", "invoke", "flow", "--async").stdout) == {"execution_id": "exe_1"}
        assert fake.last.headers["Prefer"] == "respond-async"

    def test_waiting_asks_until_it_has_ended(self, cli: Cli, fake: FakeNode) -> None:
        ended = execution("succeeded", output={"ü": 1})
        fake.on("GET", "/v1/executions/exe_1", document(execution("running")), document(ended))
        result = cli("invoke", "flow", "--wait")
        assert (result.exit_code, result.stdout) == (0, '{"ü":1}')
        assert [asked.query for asked in fake.asked[1:]] == [{"wait": "30"}, {"wait": "30"}]

    @pytest.mark.parametrize(("status", "code"), [("failed", 1), ("cancelled", 1), ("timed_out", 124)])
    def test_an_execution_that_fails(self, cli: Cli, fake: FakeNode, status: str, code: int) -> None:
        error = {"error_type": "OrderRejected", "error_message": "no stock"}
        fake.on("GET", "/v1/executions/exe_1", document(execution(status, error=error)))
        result = cli("invoke", "flow", "--wait")
        assert (result.exit_code, result.stdout) == (code, "")
        assert "OrderRejected: no stock" in result.stderr
        assert "execution exe_1" in result.stderr

    def test_waiting_goes_on_when_the_node_is_away_for_a_moment(
        self, cli: Cli, fake: FakeNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("actorfaas.cli.invoke.RETRY_S", 0.0)
        away = problem(503, "restarting", "coming back", retryable=True)
        fake.on("GET", "/v1/executions/exe_1", away, away, document(execution("succeeded", output=1)))
        result = cli("invoke", "flow", "--wait")
        assert (result.exit_code, result.stdout) == (0, "1")
        assert result.stderr.count("coming back; asking again") == 1

    def test_waiting_ends_when_the_node_stays_away(
        self, cli: Cli, fake: FakeNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("actorfaas.cli.invoke.RETRY_S", 0.0)
        monkeypatch.setattr("actorfaas.cli.invoke.LOST_LIMIT_S", 0.0)
        fake.on("GET", "/v1/executions/exe_1", problem(503, "restarting", "coming back", retryable=True))
        assert cli("invoke", "flow", "--wait").exit_code == 1

    def test_waiting_no_longer_than_asked(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/executions/exe_1", document(execution("running")))
        result = cli("invoke", "flow", "--wait", "--timeout", "0.05")
        assert result.exit_code == 124
        assert "exe_1 is still running" in result.stderr
