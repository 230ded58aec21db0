"""What executions that executions start are called, and what their end looks like."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from actorfaas.core.children import child_id, depth_of, ending, started
from actorfaas.ids import new_id
from actorfaas.messages import ExecutionState
from actorfaas.states.resources import Pattern


def ended(status: str, payload: bytes = b"", error: str = "", cause: str = "") -> ExecutionState:
    return ExecutionState(
        execution_id="exe_1-1",
        name="child",
        app="shop",
        version=3,
        kind="workflow",
        durability="standard",
        status=status,
        error_type=error,
        error_message=cause,
        started_at_ms=10,
        ended_at_ms=20,
        redrive_count=0,
        redriven_at_ms=0,
        execution_name="",
        events=(),
        payload=payload,
    )


def test_an_attempt_starts_the_same_execution_however_often() -> None:
    assert child_id("e.0.5", 1) == child_id("e.0.5", 1)
    assert len({child_id(token, depth) for token in ("e.0.5", "e.0.6", "e.1.5") for depth in (0, 1, 2)}) == 9
    assert len(child_id("e.0.5", 0)) == len(new_id("exe"))


@pytest.mark.parametrize(
    ("execution_id", "depth"),
    [
        (child_id("e.0.5", 0), 0),
        (child_id("e.0.5", 1), 1),
        (child_id("e.0.5", 50), 50),
        ("exe_01m8c6ykt9zs88vzmywmggtxek", 0),
        ("mine-7", 0),
        ("exe_mine-7", 0),
    ],
)
def test_an_id_says_how_many_wait_for_it(execution_id: str, depth: int) -> None:
    assert depth_of(execution_id) == depth


@pytest.mark.parametrize(("pattern", "output"), [("sync", '{"a": 1}'), ("sync:2", {"a": 1})])
def test_the_output_is_text_or_json(pattern: Pattern, output: object) -> None:
    succeeded, described = ending(ended("succeeded", b'{"a": 1}'), b"5", pattern)
    found = orjson.loads(described)
    assert succeeded
    assert found.pop("Output") == output
    assert found == {
        "ExecutionArn": "exe_1-1",
        "Input": "5" if pattern == "sync" else 5,
        "InputDetails": {"Included": True},
        "Name": "exe_1-1",
        "OutputDetails": {"Included": True},
        "StartDate": 10,
        "StateMachineArn": "shop:child:3",
        "Status": "SUCCEEDED",
        "StopDate": 20,
    }


@pytest.mark.parametrize(
    ("status", "called"), [("failed", "FAILED"), ("timed_out", "TIMED_OUT"), ("cancelled", "ABORTED")]
)
def test_a_failure_has_no_output(status: str, called: str) -> None:
    succeeded, described = ending(ended(status, b"", "Bad", "it is"), b"5", "sync:2")
    found = orjson.loads(described)
    assert not succeeded
    assert (found["Status"], found["Error"], found["Cause"]) == (called, "Bad", "it is")
    assert "Output" not in found
    assert "Error" not in orjson.loads(ending(ended(status), b"5", "sync:2")[1])


def test_an_execution_that_has_a_name_says_so() -> None:
    named = replace(ended("succeeded", b"1"), execution_name="first")
    assert orjson.loads(ending(named, b"5", "sync:2")[1])["Name"] == "first"


def test_what_was_started_is_named() -> None:
    assert orjson.loads(started("exe_1", 7)) == {"ExecutionArn": "exe_1", "StartDate": 7}
