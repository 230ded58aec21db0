"""What is written of a map run: records, transformed outputs, and to which kind of file each line goes."""

from __future__ import annotations

import orjson
import pytest

from actorfaas.states.document import Document
from actorfaas.states.map_results import Child, MapRun, transformed


def run_of(*children: Child) -> MapRun:
    return MapRun("run", "arn:run", "machine", list(children))


def test_a_child_has_the_status_that_its_end_gave_it() -> None:
    assert Child(b"1", 1).status == "ABORTED"
    assert Child(b"1", 1, 2, b"2").status == "SUCCEEDED"
    assert Child(b"1", 1, 2, error="E", failed=True).status == "FAILED"


def test_a_record_tells_what_is_known_and_nothing_else() -> None:
    run = run_of(Child(b'{"a":1}', 0))
    record = run.record(0, run.children[0])
    assert (record["ExecutionArn"], record["Name"], record["Input"]) == ("arn:run-0", "run-0", '{"a":1}')
    assert record["StartDate"] == "1970-01-01T00:00:00.000Z"
    assert not {"StopDate", "Output", "Error", "Cause", "RedriveDate"} & record.keys()
    failed = run.record(1, Child(b"1", 0, 1500, error="E", cause="why", failed=True))
    assert (failed["StopDate"], failed["Error"], failed["Cause"]) == ("1970-01-01T00:00:01.500Z", "E", "why")
    assert "Output" not in failed


def test_a_child_that_goes_on_has_forgotten_how_it_had_ended() -> None:
    child = Child(b"1", 0, 1, error="E", cause="why", failed=True)
    child.redriven(60_000)
    assert child.status == "ABORTED"
    child.ended_ms, child.output = 61_000, b"2"
    record = run_of(child).record(0, child)
    assert (record["Status"], record["Output"], record["RedriveCount"]) == ("SUCCEEDED", "2", 1)
    assert (record["StartDate"], record["RedriveDate"]) == ("1970-01-01T00:00:00.000Z", "1970-01-01T00:01:00.000Z")
    assert "Error" not in record


def test_lines_go_to_the_file_of_their_status_in_the_order_of_the_items() -> None:
    ended, failed, begun = Child(b"1", 0, 1, b"[5]"), Child(b"2", 0, 1, error="E", failed=True), Child(b"3", 0)
    run = run_of(ended, failed, begun)
    parts = list(run.parts("FLATTEN", iter([Document(b"4")])))
    assert [kind for kind, _ in parts] == ["SUCCEEDED", "FAILED", "PENDING", "PENDING"]
    assert parts[0] == ("SUCCEEDED", b"5")
    assert [orjson.loads(line)["Name"] for _, line in parts[1:]] == ["run-1", "run-2", "run-3"]
    kept = [orjson.loads(line) for _, line in run.parts("NONE", iter([]))]
    assert [one["Input"] for one in kept] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("output", "transformation", "lines"),
    [
        (b"[1, [2]]", "FLATTEN", [b"1", b"[2]"]),
        (b"[]", "FLATTEN", []),
        (b'{"a": 1}', "FLATTEN", [b'{"a":1}']),
        (b"[1, 2]", "COMPACT", [b"[1, 2]"]),
        (b'{"a":\n1}', "COMPACT", [b'{"a":1}']),
    ],
)
def test_an_output_becomes_lines_without_ends_inside(output: bytes, transformation: str, lines: list[bytes]) -> None:
    assert list(transformed(output, transformation)) == lines


def test_a_run_counts_how_often_it_went_on() -> None:
    run = run_of()
    assert [orjson.loads(run.redriven()) for _ in range(2)] == [
        {"MapRunArn": "arn:run", "RedriveCount": 1},
        {"MapRunArn": "arn:run", "RedriveCount": 2},
    ]
