"""What Step Functions did, where recordings of it are at hand: ASL_CASES names a file of them, one JSON object a line.

Only the cases that expressions alone decide; `compare.py` beside the file says what counts as the same.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from actorfaas.states.context import execution_context
from actorfaas.states.errors import StatesError
from tests.states.small_machine import NOW_MS, Machine, NotHere

Case = dict[str, Any]  # a decoded JSON object: the recordings' format

CASES = Path(os.environ.get("ASL_CASES", ""))

pytestmark = pytest.mark.skipif(not CASES.is_file(), reason="ASL_CASES names no file of recorded cases")


def recorded() -> list[Case]:
    lines = CASES.read_bytes().splitlines() if CASES.is_file() else []
    cases: list[Case] = [orjson.loads(line) for line in lines]
    return [case for case in cases if case["kind"] != "validation" and case["group"] == "pure"]


def outcome_of(case: Case) -> dict[str, Any]:  # Any: JSON
    machine_name, execution_name = "<ArnPart_0idx>", "<ExecArnPart_0idx>"
    arn = "arn:aws:states:us-east-1:123456789012:"
    context = execution_context(
        execution_id=f"{arn}execution:{machine_name}:{execution_name}",
        execution_name=execution_name,
        execution_input=case["input"],
        started_ms=NOW_MS,
        machine_id=f"{arn}stateMachine:{machine_name}",
        machine_name=machine_name,
        role="snf_role_arn",
    )
    definition, given = case["definition"], case["input"]
    arguments = case.get("api_args") or {}
    machine = Machine(context, variables=orjson.loads(arguments.get("variables", "{}")))
    try:
        if case["kind"] == "execution":
            return {"status": "SUCCEEDED", "output": machine.run(definition, given)}
        if "States" in definition:
            machine.language = definition.get("QueryLanguage", "JSONPath")
            definition = definition["States"][arguments["stateName"]]
        return {"status": "SUCCEEDED", "output": machine.step("State", definition, given)[0]}
    except StatesError as error:
        return {"status": "FAILED", "error": error.error, "cause": error.cause}


def comparison() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_recorded", CASES.parent / "compare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", recorded(), ids=lambda case: case["id"])
def test_expressions_do_what_step_functions_did(case: Case) -> None:
    try:
        outcome = outcome_of(case)
    except NotHere as missing:
        pytest.skip(f"needs more than expressions: {missing}")
    assert comparison().compare(case, outcome, check_cause=False) == []
    if "An error occurred while executing the state" in str(case.get("expected_cause")):
        assert outcome["cause"] == case["expected_cause"]
