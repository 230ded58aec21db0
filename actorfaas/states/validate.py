"""What is wrong with a state machine definition: every problem, with its JSON pointer and a sentence.

Fields and state types of the language that the engine does not run yet are problems that say so; they are never
ignored. Turning a valid definition into a machine is left to `states.model`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

Json = Any  # a decoded JSON value of any shape: finding out its shape is what this module does

MAX_NAME_LENGTH = 80
MAX_SECONDS = 99_999_999
DEFAULT_RETRY: dict[str, float] = {"IntervalSeconds": 1, "MaxAttempts": 3, "BackoffRate": 2.0}

_TOP = frozenset({"Comment", "StartAt", "States", "TimeoutSeconds", "Version", "QueryLanguage"})
_COMMON = frozenset({"Type", "Comment", "QueryLanguage"})
_FIELDS: dict[str, frozenset[str]] = {
    "Task": _COMMON | {"Resource", "TimeoutSeconds", "Retry", "Next", "End"},
    "Pass": _COMMON | {"Result", "Next", "End"},
    "Wait": _COMMON | {"Seconds", "Next", "End"},
    "Succeed": _COMMON,
    "Fail": _COMMON | {"Error", "Cause"},
}
_LATER_TYPES = frozenset({"Choice", "Parallel", "Map"})
_LATER_FIELDS = frozenset(
    [
        "InputPath",
        "OutputPath",
        "ResultPath",
        "Parameters",
        "ResultSelector",
        "Arguments",
        "Output",
        "Assign",
        "Catch",
        "TimeoutSecondsPath",
        "HeartbeatSeconds",
        "HeartbeatSecondsPath",
        "SecondsPath",
        "Timestamp",
        "TimestampPath",
        "ErrorPath",
        "CausePath",
        "Credentials",
    ]
)
_RETRY_FIELDS = frozenset({"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "Comment"})
_LATER_RETRY_FIELDS = frozenset({"MaxDelaySeconds", "JitterStrategy"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a definition; `pointer` is a JSON pointer (RFC 6901)."""

    pointer: str
    text: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.text}"


def function_of(resource: str) -> str:
    """The function that a Task's Resource names: the name itself, or the end of its ARN (without a qualifier)."""
    if ":function:" in resource:
        return resource.split(":function:", 1)[1].split(":", 1)[0]
    return resource.rsplit(":", 1)[-1]


def validate(definition: bytes, functions: Collection[str] | None = None) -> list[Problem]:
    """Every problem of a definition; an empty list means that the engine can run it.

    `functions`: the names its tasks may call (None: any).
    """
    try:
        document: Json = orjson.loads(definition)
    except orjson.JSONDecodeError as error:
        return [Problem("", f"the definition is not JSON: {error}")]
    if not isinstance(document, dict):
        return [Problem("", "a definition is a JSON object")]
    problems = list(_top_level(document))
    states = document.get("States")
    if not isinstance(states, dict) or not states:
        return [*problems, Problem("/States", "at least one state is needed")]
    for name, fields in states.items():
        problems += _state(name, fields, states, functions)
    return problems or _graph(document["StartAt"], states)


def _at(*path: str | int) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _top_level(document: dict[str, Json]) -> Iterator[Problem]:
    for unknown in document.keys() - _TOP:
        yield Problem(_at(unknown), f"{unknown!r} is not a field of a state machine")
    start = document.get("StartAt")
    if not isinstance(start, str):
        yield Problem("/StartAt", "StartAt must name the first state")
    elif isinstance(document.get("States"), dict) and start not in document["States"]:
        yield Problem("/StartAt", f"there is no state {start!r}")
    if "TimeoutSeconds" in document and not _positive(document["TimeoutSeconds"]):
        yield Problem("/TimeoutSeconds", "TimeoutSeconds must be a positive whole number")
    yield from _query_language(document, ())


def _query_language(fields: dict[str, Json], path: tuple[str, ...]) -> Iterator[Problem]:
    language = fields.get("QueryLanguage", "JSONPath")
    if language == "JSONata":
        yield Problem(_at(*path, "QueryLanguage"), "JSONata is not supported yet")
    elif language != "JSONPath":
        yield Problem(_at(*path, "QueryLanguage"), "QueryLanguage must be JSONPath or JSONata")


def _state(name: str, fields: Json, states: dict[str, Json], functions: Collection[str] | None) -> Iterator[Problem]:
    path = ("States", name)
    if not 0 < len(name) <= MAX_NAME_LENGTH:
        yield Problem(_at(*path), f"a state's name has 1 to {MAX_NAME_LENGTH} characters")
    if not isinstance(fields, dict):
        yield Problem(_at(*path), "a state is a JSON object")
        return
    kind = fields.get("Type")
    if kind in _LATER_TYPES:
        yield Problem(_at(*path, "Type"), f"states of type {kind} are not supported yet")
        return
    if not isinstance(kind, str) or kind not in _FIELDS:
        known = ", ".join(_FIELDS)
        yield Problem(_at(*path, "Type"), f"Type must be one of {known}, not {kind!r}")
        return
    for unknown in fields.keys() - _FIELDS[kind]:
        later = unknown in _LATER_FIELDS
        text = f"{unknown} is not supported yet" if later else f"{unknown!r} is not a field of a {kind} state"
        yield Problem(_at(*path, unknown), text)
    yield from _query_language(fields, path)
    if "Next" in _FIELDS[kind]:
        yield from _transition(fields, path, states)
    check = _CHECKS.get(kind)
    if check is not None:
        yield from check(fields, path, functions)


def _transition(fields: dict[str, Json], path: tuple[str, ...], states: dict[str, Json]) -> Iterator[Problem]:
    end = fields.get("End", False)
    if not isinstance(end, bool):
        yield Problem(_at(*path, "End"), "End must be true or false")
    elif end == ("Next" in fields):
        yield Problem(_at(*path), "a state needs either Next or End: true, and not both")
    elif not end and fields["Next"] not in states:
        yield Problem(_at(*path, "Next"), f"there is no state {fields['Next']!r}")


def _task(fields: dict[str, Json], path: tuple[str, ...], functions: Collection[str] | None) -> Iterator[Problem]:
    resource = fields.get("Resource")
    if not isinstance(resource, str) or not resource:
        yield Problem(_at(*path, "Resource"), "Resource must name a function")
    elif resource.startswith("arn:") and ":states:" in resource:
        yield Problem(_at(*path, "Resource"), f"the service integration {resource!r} is not supported yet")
    elif functions is not None and function_of(resource) not in functions:
        yield Problem(_at(*path, "Resource"), f"this application has no function {function_of(resource)!r}")
    if "TimeoutSeconds" in fields and not _positive(fields["TimeoutSeconds"]):
        yield Problem(_at(*path, "TimeoutSeconds"), "TimeoutSeconds must be a positive whole number")
    retry = fields.get("Retry", [])
    if not isinstance(retry, list):
        yield Problem(_at(*path, "Retry"), "Retry must be a list")
        return
    for position, retrier in enumerate(retry):
        yield from _retrier(retrier, (*path, "Retry", position), position == len(retry) - 1)


def _retrier(fields: Json, path: tuple[str | int, ...], last: bool) -> Iterator[Problem]:
    if not isinstance(fields, dict):
        yield Problem(_at(*path), "a retrier is a JSON object")
        return
    for unknown in fields.keys() - _RETRY_FIELDS:
        later = unknown in _LATER_RETRY_FIELDS
        yield Problem(
            _at(*path, unknown), f"{unknown} is {'not supported yet' if later else 'not a field of a retrier'}"
        )
    errors = fields.get("ErrorEquals")
    if not isinstance(errors, list) or not errors or not all(isinstance(error, str) for error in errors):
        yield Problem(_at(*path, "ErrorEquals"), "ErrorEquals must be a list of error names, at least one")
    elif "States.ALL" in errors and (len(errors) > 1 or not last):
        yield Problem(_at(*path, "ErrorEquals"), "States.ALL must stand alone, in the last retrier")
    for name, allowed, must in (
        ("IntervalSeconds", _positive, "a positive whole number"),
        ("MaxAttempts", _count, f"a whole number from 0 to {MAX_SECONDS}"),
        ("BackoffRate", _rate, "a number of at least 1"),
    ):
        if name in fields and not allowed(fields[name]):
            yield Problem(_at(*path, name), f"{name} must be {must}")


def _wait(fields: dict[str, Json], path: tuple[str, ...], functions: Collection[str] | None) -> Iterator[Problem]:
    if "Seconds" in fields:
        if not _count(fields["Seconds"]):
            yield Problem(_at(*path, "Seconds"), f"Seconds must be a whole number from 0 to {MAX_SECONDS}")
    elif not _LATER_FIELDS & fields.keys():
        yield Problem(_at(*path), "a Wait state needs Seconds")


def _fail(fields: dict[str, Json], path: tuple[str, ...], functions: Collection[str] | None) -> Iterator[Problem]:
    for name in ("Error", "Cause"):
        if not isinstance(fields.get(name, ""), str):
            yield Problem(_at(*path, name), f"{name} must be text")


_Check = Callable[[dict[str, Json], tuple[str, ...], Collection[str] | None], Iterator[Problem]]
_CHECKS: dict[str, _Check] = {"Task": _task, "Wait": _wait, "Fail": _fail}


def _graph(start: str, states: dict[str, Json]) -> list[Problem]:
    """Problems of the whole: states never reached, and (as nothing branches yet) a walk that never ends."""
    walk: list[str] = []
    name: str | None = start
    while name is not None and name not in walk:
        walk.append(name)
        name = states[name].get("Next")
    problems = [
        Problem(_at("States", other), f"state {other!r} cannot be reached from {start!r}")
        for other in states
        if other not in walk
    ]
    if name is not None:
        circle = " → ".join([*walk[walk.index(name) :], name])
        problems.append(Problem(_at("States", name, "Next"), f"the execution would never end: {circle}"))
    return problems


def _is_int(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _positive(value: Json) -> bool:
    return _is_int(value) and 0 < value <= MAX_SECONDS


def _count(value: Json) -> bool:
    return _is_int(value) and 0 <= value <= MAX_SECONDS


def _rate(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 1
