"""The official suites: what differs is known, and has a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.compliance import SUITE, UNEXPLAINED, jsonpath_rows, outcome_of, reason_of, recorded_rows

COMPARE = "def compare(case, outcome, check_cause=False):\n    return []\n"


def test_every_difference_from_the_jsonpath_suite_has_a_reason() -> None:
    rows = list(jsonpath_rows(json.loads(SUITE.read_text("utf-8"))["tests"]))
    (whole,) = (row for row in rows if row.get("JSONPath suite") == "all")
    assert whole == {"JSONPath suite": "all", "tests": 687, "same": 476, "different": 211}
    reasons = [row for row in rows if "how" in row]
    assert sum(row["tests"] for row in reasons) == 211
    assert UNEXPLAINED not in {row["JSONPath: why it differs"] for row in reasons}


@pytest.mark.parametrize(
    ("test", "outcome"),
    [
        ({"selector": "$.a", "document": {"a": 1}, "result": [1]}, ""),
        ({"selector": "$.a", "document": {}, "result": []}, ""),
        ({"selector": "$.a", "document": {"a": 1}, "results": [[2], [1]]}, ""),
        ({"selector": "$.a", "document": {"a": 1}, "result": [2]}, "another result"),
        ({"selector": "$[", "invalid_selector": True}, ""),
        ({"selector": "$.a", "invalid_selector": True}, "accepted"),
        ({"selector": "$[", "document": {}, "result": []}, "refused"),
    ],
)
def test_outcomes(test: dict[str, object], outcome: str) -> None:
    assert outcome_of(test) == outcome


def test_what_nobody_explained_is_said_to_be_so() -> None:
    assert reason_of("something new, of which nothing is known") == UNEXPLAINED


def test_recorded_cases_are_counted_and_told(tmp_path: Path) -> None:
    right = {"StartAt": "a", "States": {"a": {"Type": "Succeed"}}}
    case = {"kind": "validation", "group": "g", "definition": right, "expected_result": "OK"}
    cases = [{**case, "id": "one"}, {**case, "id": "two", "expected_result": "FAIL"}]
    cases.append({**case, "id": "three", "lambdas": {"f": "other"}})
    (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, cases)))
    (tmp_path / "compare.py").write_text(COMPARE)
    rows = list(recorded_rows(tmp_path / "cases.jsonl"))
    assert rows[0] == {
        "recorded on AWS": "validation",
        "group": "g",
        "cases": 3,
        "passed": 1,
        "failed": 1,
        "skipped": 1,
    }
    assert [(row["recorded case"], row[""]) for row in rows[2:]] == [("two", "failed"), ("three", "skipped")]
