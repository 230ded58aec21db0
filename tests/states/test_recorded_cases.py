"""What Step Functions did, where recordings of it are at hand: ASL_CASES names a file of them, one JSON object a line.

`compare.py` beside the file says what counts as the same. Kinds: `execution` runs on the engine, `test_state` on
`states.trial`, `validation` on the validator.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from actorfaas.states.context import ExecutionContext
from actorfaas.states.instructions import RunTask
from actorfaas.states.parsing import parse
from actorfaas.states.resources import function_of
from actorfaas.states.trial import Mock, Trial, try_state
from actorfaas.states.validate import validate
from tests.states.engine_driver import Driver, TaskError
from tests.states.expressions_kit import NOW_MS

Case = dict[str, Any]  # a decoded JSON object: the recordings' format

CASES = Path(os.environ.get("ASL_CASES", ""))
MAX_DATA_BYTES = 256 * 1024

ARN = "arn:aws:states:us-east-1:123456789012:"
MACHINE, EXECUTION = "<ArnPart_0idx>", "<ExecArnPart_0idx>"

pytestmark = pytest.mark.skipif(not CASES.is_file(), reason="ASL_CASES names no file of recorded cases")


def recorded(kind: str) -> list[Case]:
    lines = CASES.read_bytes().splitlines() if CASES.is_file() else []
    cases: list[Case] = [orjson.loads(line) for line in lines]
    return [case for case in cases if case["kind"] == kind]


def comparison() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_recorded", CASES.parent / "compare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Functions:
    """Plays the functions of a case by what is written of their behaviour."""

    behaviours: Mapping[str, str]

    def __call__(self, request: RunTask) -> bytes:
        name = request.function
        behaviour = self.behaviours.get(name)
        if behaviour is None:
            missing = f"Function not found: arn:aws:lambda:us-east-1:123456789012:function:{name}:$LATEST"
            details = "(Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; Request ID: "
            raise TaskError("Lambda.ResourceNotFoundException", f"{missing} {details}<request_id>; Proxy: null)")
        kind, _, text = behaviour.partition(":")
        match kind:
            case "return-event":
                return request.payload
            case "echo":
                return orjson.dumps({"Return": "HelloWorld"})
            case "return-bytes":
                return text.encode()
            case "return-too-large-utf8":
                return orjson.dumps("a" * 257 * 1024)
            case "sleep-60-then-return-event":
                if 0 < request.timeout_s < 60:
                    raise TaskError("States.Timeout")
                return request.payload
            case "raise-Exception":
                raise raised("Exception", text)
            case "raise-CustomException":
                raise raised("CustomException", "")
            case other:
                pytest.skip(f"a function that does {other!r}")


def raised(error: str, message: str) -> TaskError:
    cause = {"errorMessage": message, "errorType": error, "requestId": "<uuid:1>", "stackTrace": []}
    return TaskError(error, orjson.dumps(cause).decode())


def outcome_of(case: Case) -> tuple[dict[str, Any], Driver]:  # Any: JSON
    context = ExecutionContext(
        execution_id=f"{ARN}execution:{MACHINE}:{EXECUTION}",
        execution_name=EXECUTION,
        started_ms=NOW_MS,
        machine_id=f"{ARN}stateMachine:{MACHINE}",
        machine_name=MACHINE,
        role="snf_role_arn",
    )
    machine = parse(orjson.dumps(case["definition"]), refused=(), is_express=case["machine_type"] == "EXPRESS")
    functions = Functions({function_of(name): behaviour for name, behaviour in case["lambdas"].items()})
    objects = {(one["bucket"], one["key"]): one["body"].encode() for one in case.get("s3_objects", ())}
    driver = Driver(machine, functions, objects, context=context, max_data_bytes=MAX_DATA_BYTES)
    driver.start(case["input"])
    deadline_ns = driver.now_ns + int(machine.timeout_s * 1e9)
    while driver.finish is None:
        driver.step()
        if machine.timeout_s and driver.now_ns > deadline_ns:
            return {"status": "TIMED_OUT"}, driver
    last = driver.finish
    if last.failed:
        return {"status": "FAILED", "error": last.error, "cause": last.cause}, driver
    return {"status": "SUCCEEDED", "output": orjson.loads(last.payload)}, driver


@pytest.mark.parametrize("case", recorded("execution"), ids=lambda case: case["id"])
def test_executions_end_as_on_step_functions(case: Case) -> None:
    outcome, driver = outcome_of(case)
    assert comparison().compare(case, outcome, check_cause=False) == []
    if "An error occurred while executing the state" in str(case.get("expected_cause")):
        assert outcome["cause"] == case["expected_cause"]
    if case.get("expected_history"):
        types = [event["type"] for event in case["expected_history"]]
        if case["history_ordered"]:
            assert driver.history == types
        else:
            assert sorted(driver.history) == sorted(types)


def trial_of(case: Case) -> Trial:
    arguments = case["api_args"]
    given, configuration = arguments.get("mock", {}), arguments.get("stateConfiguration", {})
    error = given.get("errorOutput", {})
    return try_state(
        orjson.dumps(case["definition"]),
        orjson.dumps({} if case["input"] is None else case["input"]),  # none was given
        state=arguments.get("stateName", ""),
        mock=Mock(
            result=given["result"].encode() if "result" in given else None,
            error=error.get("error", ""),
            cause=error.get("cause", ""),
            failed_iterations=configuration.get("mapIterationFailureCount", 0),
            items=configuration.get("mapItemReaderData", "").encode(),
            retries=configuration.get("retrierRetryCount", 0),
        ),
        variables=orjson.loads(arguments.get("variables", "{}")),
        context=orjson.loads(arguments["context"]) if "context" in arguments else None,
    )


def as_recorded(name: str, value: Any) -> Any:  # Any: JSON
    """The recordings hold JSON text of what is no object."""
    is_text = name == "result" or name.startswith("after")
    return orjson.dumps(value).decode() if is_text and not isinstance(value, dict) else value


@pytest.mark.parametrize("case", recorded("test_state"), ids=lambda case: case["id"])
def test_states_alone_do_what_they_do_on_step_functions(case: Case) -> None:
    if "other" in case["lambdas"].values():
        pytest.skip("what the function does was not recorded")
    found = trial_of(case)
    outcome: dict[str, Any] = {"status": found.status, "error": found.error, "cause": found.cause}
    if found.output is not None:
        outcome["output"] = orjson.loads(found.output)
    compare = comparison()
    assert compare.compare(case, outcome) == []
    assert found.next == case.get("expected_next_state", found.next)
    if "expected_cause" in case:
        assert found.cause == case["expected_cause"]
    if "expected_inspection" in case:
        inspection = {name: as_recorded(name, value) for name, value in found.inspection.items()}
        assert compare.diff(case["expected_inspection"], compare.normalise(inspection, case), case) == []


@pytest.mark.parametrize("case", recorded("validation"), ids=lambda case: case["id"])
def test_definitions_are_as_legal_as_on_step_functions(case: Case) -> None:
    problems = validate(orjson.dumps(case["definition"]), refused=(), is_express="express" in case["id"].lower())
    assert ("FAIL" if problems else "OK") == case["expected_result"]
    for expected in case.get("expected_diagnostics") or ():
        assert any(problem.pointer.startswith(expected["location"].rstrip("/")) for problem in problems)
