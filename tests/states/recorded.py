"""Plays what Step Functions did, as it was recorded, on the engine: the differences of one case.

`compare.py` beside a file of cases says what counts as the same. Kinds: `execution` runs on the engine, `test_state` on
`states.trial`, `validation` on the validator.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson

from actorfaas.states.context import ExecutionContext
from actorfaas.states.instructions import RunTask
from actorfaas.states.parsing import parse
from actorfaas.states.resources import function_of
from actorfaas.states.trial import Mock, Trial, try_state
from actorfaas.states.validate import validate
from tests.states.engine_driver import Driver, TaskError
from tests.states.expressions_kit import NOW_MS

Case = dict[str, Any]  # a decoded JSON object: the recordings' format

MAX_DATA_BYTES = 256 * 1024

ARN = "arn:aws:states:us-east-1:123456789012:"
MACHINE, EXECUTION = "<ArnPart_0idx>", "<ExecArnPart_0idx>"


class Unplayable(Exception):
    """The recording lacks what it takes to play it."""


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
                raise Unplayable(f"what a function does was not recorded ({other})")


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


class Recordings:
    """A file of cases, one JSON object a line, and the comparison beside it."""

    def __init__(self, path: Path) -> None:
        self.cases: list[Case] = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        spec = importlib.util.spec_from_file_location("compare_recorded", path.parent / "compare.py")
        assert spec is not None
        assert spec.loader is not None
        self.compare: ModuleType = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.compare)

    def differences(self, case: Case) -> list[str]:
        """What differs from what was recorded; nothing where it is the same. Raises Unplayable."""
        if "other" in case.get("lambdas", {}).values():
            raise Unplayable("what a function does was not recorded")
        match case["kind"]:
            case "execution":
                return list(self._of_execution(case))
            case "test_state":
                return list(self._of_trial(case))
            case _:
                return list(_of_validation(case))

    def _of_execution(self, case: Case) -> Iterator[str]:
        outcome, driver = outcome_of(case)
        yield from map(str, self.compare.compare(case, outcome, check_cause=False))
        if "An error occurred while executing the state" in str(case.get("expected_cause")):
            yield from _different("cause", case["expected_cause"], outcome["cause"])
        if case.get("expected_history"):
            types, found = [event["type"] for event in case["expected_history"]], driver.history
            if not case["history_ordered"]:
                types, found = sorted(types), sorted(found)
            yield from _different("history", types, found)

    def _of_trial(self, case: Case) -> Iterator[str]:
        found = trial_of(case)
        outcome: dict[str, Any] = {"status": found.status, "error": found.error, "cause": found.cause}
        if found.output is not None:
            outcome["output"] = orjson.loads(found.output)
        yield from map(str, self.compare.compare(case, outcome))
        yield from _different("next state", case.get("expected_next_state", found.next), found.next)
        yield from _different("cause", case.get("expected_cause", found.cause), found.cause)
        if "expected_inspection" in case:
            inspection = {name: as_recorded(name, value) for name, value in found.inspection.items()}
            normal = self.compare.normalise(inspection, case)
            yield from map(str, self.compare.diff(case["expected_inspection"], normal, case))


def _of_validation(case: Case) -> Iterator[str]:
    problems = validate(orjson.dumps(case["definition"]), refused=(), is_express="express" in case["id"].lower())
    yield from _different("result", case["expected_result"], "FAIL" if problems else "OK")
    for expected in case.get("expected_diagnostics") or ():
        place = expected["location"].rstrip("/")
        if not any(problem.pointer.startswith(place) for problem in problems):
            yield f"no problem is told at {place}"


def _different(what: str, expected: object, found: object) -> Iterator[str]:
    if expected != found:
        yield f"{what}: {expected!r} was recorded, {found!r} came out"
