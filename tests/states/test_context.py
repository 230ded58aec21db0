"""The context object and the timestamps in it."""

from __future__ import annotations

import pytest

from actorfaas.states.context import execution_context, item_context, state_context
from actorfaas.states.timestamps import format_timestamp, parse_timestamp

S = 1_000_000_000


def test_what_a_state_sees() -> None:
    execution = execution_context(
        execution_id="arn:e",
        execution_name="e",
        execution_input={"a": 1},
        started_ms=1_736_937_000_000,
        machine_id="arn:m",
        machine_name="m",
        redrives=1,
        redriven_ms=1_736_937_000_001,
    )
    context = state_context(execution, state="s", entered_ms=1_736_937_001_500, retries=2, task_token="t")
    assert context == {
        "Execution": {
            "Id": "arn:e",
            "Input": {"a": 1},
            "StartTime": "2025-01-15T10:30:00.000Z",
            "Name": "e",
            "RoleArn": "",
            "RedriveCount": 1,
            "RedriveTime": "2025-01-15T10:30:00.001Z",
        },
        "StateMachine": {"Id": "arn:m", "Name": "m"},
        "State": {"Name": "s", "EnteredTime": "2025-01-15T10:30:01.500Z", "RetryCount": 2},
        "Task": {"Token": "t"},
    }


def test_only_what_there_is_is_seen() -> None:
    context = state_context({"Execution": {}}, state="s", entered_ms=0)
    assert context == {"Execution": {}, "State": {"Name": "s", "EnteredTime": "1970-01-01T00:00:00.000Z"}}


def test_an_item_is_seen_beside_the_rest() -> None:
    context = {"State": {"Name": "m"}}
    assert item_context(context, 3, "x") == {**context, "Map": {"Item": {"Index": 3, "Value": "x"}}}
    assert item_context(context, 0, 1, key="k")["Map"] == {"Item": {"Index": 0, "Value": 1, "Key": "k"}}
    assert context == {"State": {"Name": "m"}}


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.5Z", S + S // 2),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:30:00-00:30", 0),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2016-03-05T21:29:29.243167252Z", 1_457_213_369_243_167_252),
        ("2024-02-29T00:00Z", 1_709_164_800 * S),
    ],
)
def test_timestamps(text: str, ns: int) -> None:
    assert parse_timestamp(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        *("", "today", "2016-03-14", "2016-12-05 21:29:29Z", "2016-12-05T21:29:29", "2016-12-05t21:29:29Z"),
        *("2016-12-05T21:29:29z", "2016-13-05T21:29:29Z", "2016-12-05T25:29:29Z", "05-12-2016T21:29:29Z"),
        *("2023-02-29T00:00:00Z", "2016-12-05T21:29:29+0100", "2016-12-05T21:29:29+99:00", "2016-12-05T21:29:60Z"),
        *("2016-12-05T21:29:29.Z", "2016-12-05T21:29:29.1234567890Z", "2016-12-05T21:29:29+01:60", "0000-01-01T00:00Z"),
        "٢٠16-12-05T21:29:29Z",
    ],
)
def test_other_text_is_no_timestamp(text: str) -> None:
    assert parse_timestamp(text) is None


def test_times_are_shown_in_utc_with_milliseconds() -> None:
    assert format_timestamp(1_736_937_000_007) == "2025-01-15T10:30:00.007Z"
    assert parse_timestamp(format_timestamp(1_736_937_000_007)) == 1_736_937_000_007 * 1_000_000
