"""`actorfaas load`: what is asked for becomes a plan; results, reports and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.fake_node import FakeNode, document, problem

TRACE = "HashFunction,minute_1,minute_2\nf00d,1,2\nbeef,3,0\n"


@pytest.fixture
def node(fake: FakeNode) -> FakeNode:
    """A node with two functions and a workflow, all of which answer at once."""
    fake.on("GET", "/v1/functions", document({"functions": [{"name": "hello_a"}, {"name": "hello_b"}]}))
    fake.on("GET", "/v1/workflows", document({"workflows": [{"name": "flow"}]}))
    timing = 'queue;dur=0.1, start;dur=0.2;desc="resident", run;dur=0.1'
    for name in ("hello_a", "hello_b", "flow"):
        fake.on("POST", f"/v1/invoke/{name}", document(None, Server_Timing=timing))
    return fake


def invoked(node: FakeNode) -> list[str]:
    return [one.path.rpartition("/")[2] for one in node.asked if one.method == "POST"]


def loaded(cli: Cli, *arguments: str) -> Any:
    result = cli("load", *arguments, "--quiet", "-o", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.system
def test_names_with_weights_and_inputs(cli: Cli, node: FakeNode) -> None:
    arguments = ("hello_a=3", "flow", "--input", 'flow={"a": 1}', "-d", "[1]", "--strategy", "fork", "-H", "X-Of: test")
    result = loaded(cli, *arguments, "--arrivals", "burst 40 every 1s 1s")
    assert result["calls"]["ok"] == len(invoked(node)) == 40
    assert invoked(node).count("hello_a") > invoked(node).count("flow") > 0
    for one in (one for one in node.asked if one.method == "POST"):
        assert one.body == (b'{"a": 1}' if one.path.endswith("flow") else b"[1]")
        assert one.headers["Actorfaas-Strategy"] == "fork"
        assert one.headers["X-Of"] == "test"
    assert result["by_kind"]["resident"]["count"] == 40


@pytest.mark.system
def test_the_token_is_sent(cli: Cli, node: FakeNode) -> None:
    loaded(cli, "flow", "--token", "s3cret", "--arrivals", "burst 1 every 1s 1s")
    assert node.last.headers["Authorization"] == "Bearer s3cret"


@pytest.mark.system
def test_a_trace_bound_to_a_pattern(cli: Cli, node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(TRACE)
    result = loaded(cli, "hello_*", "--trace", "trace.csv", "--speed", "600")
    assert sorted(invoked(node)) == ["hello_a"] * 3 + ["hello_b"] * 3
    assert result["plan"]["arrivals"] == "trace of 2 functions, 600 times as fast"


@pytest.mark.system
def test_a_row_bound_by_name(cli: Cli, node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(TRACE)
    loaded(cli, "hello_b=f00", "--trace", "trace.csv", "--speed", "600", "--first-minute", "1")
    assert invoked(node) == ["hello_b"] * 2


@pytest.mark.system
def test_a_script(cli: Cli, node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from actorfaas.load import Load, call\n"
        "load = Load(call('flow', lambda chance: chance.randint(1, 6)), arrivals='burst 9 every 1s 1s',"
        " fail_if=['errors>0'])\n"
    )
    result = loaded(cli, "script.py")
    assert result["thresholds"] == [{"fail_if": "errors>0", "measured": "0 (0 %)", "failed": False}]
    rolled = {int(one.body) for one in node.asked if one.method == "POST"}
    assert len(rolled) > 1
    assert rolled <= set(range(1, 7))


@pytest.mark.system
def test_any_address_and_files(cli: Cli, fake: FakeNode, tmp_path: Path) -> None:
    fake.on("GET", "/here", document(None))
    arguments = ("--url", f"{fake.url}/here?a=1", "--closed", "--connections", "2", "--calls", "20", "--duration", "1m")
    result = cli("load", *arguments, "--json", "r.json", "--html", "r.html")
    assert result.exit_code == 0
    assert len(fake.asked) == 20
    assert fake.last.query == {"a": "1"}
    assert "corrected" in result.stdout
    assert json.loads((tmp_path / "r.json").read_text())["calls"]["ok"] == 20
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


@pytest.mark.system
def test_a_condition_that_holds_is_a_failure(cli: Cli, node: FakeNode) -> None:
    node.on("POST", "/v1/invoke/flow", problem(500, "function_failed", "no"))
    result = cli("load", "flow", "--arrivals", "burst 2 every 1s 1s", "--fail-if", "errors>10%")
    assert result.exit_code == 1
    assert "FAILED: errors>10%; measured 2 (100 %)" in result.stderr
    assert "500 function_failed" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say what to call"),
        (("flow", "--rate", "5/s", "--closed"), "exclude each other"),
        (("flow", "--arrivals", "pause 1s", "--duration", "3s"), "its own durations"),
        (("flow", "--rate", "many"), "is no rate"),
        (("flow=much",), "no weight"),
        (("flow=0",), "above 0"),
        (("nobody",), "no function or workflow nobody"),
        (("flow", "--input", "other=1"), "is not called"),
        (("flow", "--input", "flow"), "NAME=INPUT"),
        (("flow", "-d", "{"), "no JSON"),
        (("flow", "-H", "X"), "no header"),
        (("flow", "--closed", "--connections", "1", "--processes", "2"), "one connection for each process"),
        (("flow", "--fail-if", "p99"), "no condition"),
        (("none.py",), "no load script"),
        (("a.py", "flow"), "stands alone"),
        (("a.py", "-d", "1"), "inputs of its own"),
        (("flow", "--method", "PUT"), "bare --url"),
        (("--url", "http://h/", "--strategy", "fork"), "bare --url has none"),
        (("flow", "--calls", "3"), "--closed"),
        (("flow", "--minutes", "3"), "for a --trace"),
        (("flow", "--speed", "3"), "for a --trace"),
        (("--url", "ftp://h/"), "no address"),
        (("--url", "http://h:99999/"), "no address"),
        (("--url", "http://h/", "--method", "HEAD"), "--method"),
        (("flow", "--html", "missing/r.html"), "no folder missing"),
        (("--url", "http://127.0.0.1:1/", "--input", "a=1"), "for NAMEs"),
    ],
)
def test_what_cannot_be_done_is_said(cli: Cli, node: FakeNode, arguments: tuple[str, ...], said: str) -> None:
    result = (
        cli("load", *arguments)
        if "--url" in arguments
        else cli("load", *arguments, "--url", node.url * bool(arguments))
    )
    assert result.exit_code == 2
    assert said in result.stderr
    assert invoked(node) == []


def test_a_trace_needs_names(cli: Cli, node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(TRACE)
    assert "needs names" in cli("load", "--url", node.url, "--trace", "trace.csv").stderr
    assert "none left" in cli("load", "hello_*", "flow", "--trace", "trace.csv").stderr


@pytest.mark.parametrize("text", ["x = 1\n", "load = 3\n"])
def test_a_script_without_a_load(cli: Cli, tmp_path: Path, text: str) -> None:
    (tmp_path / "script.py").write_text(text)
    assert "has no `load = Load(...)`" in cli("load", "script.py").stderr
