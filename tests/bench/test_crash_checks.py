"""The checks of the crash benchmark: they must see what is wrong with a history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from actorfaas.states.parsing import parse
from bench import crash_checks as checks

Json = Any  # a decoded JSON document

MACHINE = parse(
    b'{"StartAt":"a","States":{"a":{"Type":"Task","Resource":"f","Next":"b"},'
    b'"b":{"Type":"Task","Resource":"f","End":true}}}'
)
EXECUTION = {"execution_id": "e", "app": "m", "name": "m", "version": 1, "status": "succeeded", "output": 2}


def history() -> list[Json]:
    """Two tasks, all well."""
    rows = [
        ("ExecutionStarted", "", None),
        ("TaskStateEntered", "a", None),
        ("TaskSucceeded", "a", 1),
        ("TaskStateExited", "a", None),
        ("TaskStateEntered", "b", None),
        ("TaskSucceeded", "b", 2),
        ("TaskStateExited", "b", None),
        ("ExecutionSucceeded", "", None),
    ]
    common = {"branch": 0, "index": None, "attempt": 1, "worker": "", "start_kind": ""}
    return [
        {**common, "seq": seq, "at_ms": seq, "type": type_, "state": state, "payload": payload}
        | {"error_type": "", "error_message": ""}
        for seq, (type_, state, payload) in enumerate(rows, 1)
    ]


def found(events: list[Json], execution: Json = EXECUTION) -> list[str]:
    return [
        *checks.in_order(events),
        *checks.states_whole(events),
        *checks.gives_the_same(events, execution, MACHINE, 0),
    ]


def test_a_whole_history_has_nothing_wrong() -> None:
    assert found(history()) == []
    assert list(checks.were_called(history(), {("a", 1), ("b", 1)})) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda events: events.pop(3), "still at 'a'"),
        (lambda events: events.pop(), "it ends with []"),
        (lambda events: events.insert(3, events[2]), "the task had returned"),
        (lambda events: events.pop(2), "its task has not ended"),
        (lambda events: events[5].update(payload=3), "replay: b'3' instead of 2"),
        (lambda events: events[5].update(at_ms=2), "ms before the one before it"),
        (lambda events: events.append(events[-1]), "['ExecutionSucceeded', 'ExecutionSucceeded']"),
        (lambda events: [events.pop() for _ in range(3)] and events.append(history()[-1]), "replay: it has not ended"),
    ],
)
def test_what_is_wrong_is_told(change: Callable[[list[Json]], object], told: str) -> None:
    events = history()
    change(events)
    assert told in " ".join(found(events))


def test_another_end_is_told() -> None:
    assert "replay: succeeded instead of failed" in " ".join(found(history(), EXECUTION | {"status": "failed"}))


def test_a_task_that_returned_must_have_been_called() -> None:
    assert list(checks.were_called(history(), {("a", 1), ("b", 2)})) == [
        "event 6: 'b' returned, but no function was called"
    ]


def test_calls_are_counted(tmp_path: Any) -> None:
    path = tmp_path / "calls"
    path.write_bytes(b"".join(orjson.dumps(["e", "a", -1, attempt]) + b"\n" for attempt in (1, 1, 2)))
    assert checks.calls_in(path) == {("e", "a", -1, 1): 2, ("e", "a", -1, 2): 1}
