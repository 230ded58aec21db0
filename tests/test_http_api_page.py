"""docs/http-api.md describes every operation of the API and no other, its parameters, and every problem code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from actorfaas.http.problems import KINDS
from actorfaas.http.surface import OPERATIONS, Operation

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "http-api.md").read_text("utf-8")
DESCRIBED = re.compile(r"`(GET|POST|PUT|DELETE) (/[^`?]*)")
STATUS_ROW = re.compile(r"^\| (\d{3}) \| (.*) \|$", re.MULTILINE)


def test_every_operation_is_described_and_no_other() -> None:
    described = {(method, re.sub(r"\b[A-Z]+\b", "{}", path)) for method, path in DESCRIBED.findall(PAGE)}
    assert described == {(one.method, re.sub(r"\{\w+\}", "{}", one.path)) for one in OPERATIONS}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_the_parameters_of_an_operation_are_named(operation: Operation) -> None:
    for parameter in operation.parameters:
        assert re.search(rf"[`?&]{re.escape(parameter.name)}\b", PAGE), parameter.name


def test_every_problem_is_listed_with_its_status() -> None:
    rows = {int(status): text for status, text in STATUS_ROW.findall(PAGE)}
    assert [code for code, kind in KINDS.items() if f"`{code}`" not in rows.get(kind.status, "")] == []
