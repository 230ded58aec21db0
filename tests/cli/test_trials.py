"""`actorfaas test-state`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.fake_node import FakeNode, document, problem

Json = Any  # a decoded JSON document

STATE = {"Type": "Pass", "Result": 1, "End": True}
WHOLE = {"StartAt": "a", "States": {"a": STATE}}


def trial(status: str = "SUCCEEDED", output: Json = 1, **more: Json) -> Json:
    return {"status": status, "output": output, "error": "", "cause": "", "next_state": "", **more}


def answers(fake: FakeNode, tried: Json) -> None:
    fake.on("POST", "/v1/test-state", document(tried))


def sent(fake: FakeNode) -> Json:
    return json.loads(fake.last.body)


def test_a_state_of_a_deployed_workflow(cli: Cli, fake: FakeNode) -> None:
    answers(fake, trial(next_state="b"))
    result = cli("test-state", "flow", "a", '{"x": 1}')
    assert (result.exit_code, result.stdout) == (0, "status  SUCCEEDED\nnext    b\noutput\n1\n")
    assert sent(fake) == {"workflow": "flow", "state": "a", "input": {"x": 1}, "inspection_level": "INFO"}


def test_everything_that_can_be_said(cli: Cli, fake: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("a\n1\n")
    answers(fake, trial("FAILED", None, error="E", cause="c"))
    counts = ("--retries", "2", "--failed-iterations", "1", "--items", "items.csv")
    objects = ("--variables", '{"v": 1}', "--context", '{"c": 2}')
    result = cli("test-state", "flow", "a", "--level", "debug", "--error", "E", "--cause", "c", *counts, *objects)
    assert (result.exit_code, result.stdout) == (1, "status  FAILED\nerror   E\ncause   c\n")
    assert sent(fake) == {
        "workflow": "flow",
        "state": "a",
        "input": {},
        "inspection_level": "DEBUG",
        "mock": {"error": "E", "cause": "c"},
        "variables": {"v": 1},
        "context": {"c": 2},
        "retries": 2,
        "failed_iterations": 1,
        "items": "a\n1\n",
    }


def test_files(cli: Cli, fake: FakeNode, tmp_path: Path) -> None:
    answers(fake, trial())
    (tmp_path / "whole.asl.json").write_text(json.dumps(WHOLE))
    (tmp_path / "state.json").write_text(json.dumps(STATE))
    assert cli("test-state", "whole.asl.json", "a", "--result", "[1]").exit_code == 0
    assert (sent(fake)["definition"], sent(fake)["mock"]) == (WHOLE, {"result": [1]})
    assert cli("test-state", "state.json", "", "-d").exit_code == 2
    assert cli("test-state", "state.json").exit_code == 0
    assert (sent(fake)["definition"], sent(fake)["state"]) == (STATE, "")
    (tmp_path / "wrong.json").write_text(json.dumps({"StartAt": "b", "States": {"a": STATE}}))
    assert "there is no state 'b'" in cli("test-state", "wrong.json", "a").stderr


def test_what_was_inspected(cli: Cli, fake: FakeNode) -> None:
    answers(fake, trial("RETRIABLE", None, error="E", inspection={"input": {"x": 1}}, call={"worker": "w"}))
    found = cli("test-state", "flow", "a").stdout
    assert found == 'status  RETRIABLE\nerror   E\ninput\n{\n  "x": 1\n}\ncall\n{\n  "worker": "w"\n}\n'
    assert json.loads(cli("-o", "json", "test-state", "flow", "a").stdout)["call"] == {"worker": "w"}


@pytest.mark.parametrize(
    "wrong",
    [
        ("--result", "1", "--error", "E"),
        ("--cause", "c"),
        ("--result", "{"),
        ("--variables", "["),
        ("--retries", "-1"),
        ("{",),
    ],
)
def test_what_cannot_be_meant(cli: Cli, fake: FakeNode, wrong: tuple[str, ...]) -> None:
    assert cli("test-state", "flow", "a", *wrong).exit_code == 2
    assert fake.asked == []


def test_what_the_node_says(cli: Cli, fake: FakeNode) -> None:
    fake.on("POST", "/v1/test-state", problem(400, "invalid", "the definition has no state 'z'"))
    result = cli("test-state", "flow", "z")
    assert (result.exit_code, "has no state 'z'" in result.stderr) == (1, True)
    assert cli("test-state", "flow", "a", "--items", "missing.csv").exit_code == 1
