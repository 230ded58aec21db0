"""The official suites: what differs is known, and has a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.compliance import (
    QUERIES,
    QUERY_REASONS,
    SUITE,
    UNEXPLAINED,
    agrees,
    jsonata_rows,
    jsonpath_rows,
    outcome_of,
    reason_of,
    recorded_rows,
)

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


def test_every_difference_from_the_reference_of_jsonata_has_a_reason() -> None:
    rows = list(jsonata_rows(json.loads(QUERIES.read_text("utf-8"))))
    (whole,) = (row for row in rows if row.get("JSONata beside the reference") == "all")
    assert whole == {"JSONata beside the reference": "all", "expressions": 276, "same": 273, "different": 3}
    told = {row["JSONata: what differs"]: row["why"] for row in rows if "why" in row}
    assert told == {f"`{expression}`": why for expression, why in QUERY_REASONS.items()}


@pytest.mark.parametrize(
    ("case", "outcome", "same"),
    [
        ({"value": [1]}, {"value": [1.0]}, True),
        ({"value": {"a": [1]}}, {"value": {"a": [True]}}, False),
        ({"value": 1}, {"error": "no"}, False),
        ({"undefined": True}, {"error": "no value"}, True),
        ({"undefined": True}, {"value": None}, False),
        ({"error": "T2001"}, {"error": "no number"}, True),
    ],
)
def test_what_counts_as_the_same(case: dict[str, object], outcome: dict[str, object], same: bool) -> None:
    assert agrees(case, outcome) is same
