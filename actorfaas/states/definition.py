"""What is known while a definition is read, and the fields that several types of state have.

Owns flows, Retry, Catch and transitions; the types themselves are left to `states.parsing` and `states.parsing_maps`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from actorfaas.states.data_flow import AS_IS, QUERIED_AS_IS, WHOLE, Flow, PathFlow, QueryFlow
from actorfaas.states.errors import STATES_ALL
from actorfaas.states.model import Catcher, Retrier, StateMachine
from actorfaas.states.paths import Path, result_path
from actorfaas.states.reading import Fields, Place
from actorfaas.states.retries import MAX_DELAY_S
from actorfaas.states.settings import MAX_SECONDS

MAX_VARIABLE_LENGTH = 80

_VARIABLE = re.compile(r"[^\W\d]\w*")
_FLOW_FIELDS = (
    *("InputPath", "Parameters", "ResultSelector", "ResultPath", "OutputPath", "Assign", "Arguments", "Output"),
)


@dataclass(slots=True)
class Definition:
    """One definition being read. `functions`: what its tasks may call (None: anything); `refused`: features that who
    runs it has not; `machines`: those read so far, each with its place."""

    functions: Collection[str] | None
    refused: Collection[str]
    is_express: bool
    is_jsonata: bool = False
    depth: int = 0
    machines: list[tuple[Place, StateMachine]] = field(default_factory=list)

    def needs(self, feature: str, fields: Fields, *at: str | int) -> None:
        """A problem where the feature is refused."""
        if feature in self.refused:
            fields.wrong(f"{feature} are not supported here", *at)


def read_flow(fields: Fields, *, takes_parameters: bool = False, has_result: bool = False) -> Flow:
    """What a state does with data. `takes_parameters`: it has Parameters or Arguments; `has_result`: it does work
    (True), so that it has a ResultSelector and a ResultPath."""
    if not any(name in fields.source for name in _FLOW_FIELDS):
        return QUERIED_AS_IS if fields.is_jsonata else AS_IS
    if fields.is_jsonata:
        return QueryFlow(
            arguments=fields.query_template("Arguments") if takes_parameters and has_result else None,
            output=fields.query_template("Output"),
            assign=fields.query_template("Assign") if has_assign(fields) else None,
        )
    return PathFlow(
        input_path=nullable_path(fields, "InputPath"),
        parameters=fields.template("Parameters") if takes_parameters else None,
        result_selector=fields.template("ResultSelector") if has_result else None,
        result_path=read_result_path(fields) if has_result or takes_parameters else WHOLE,
        output_path=nullable_path(fields, "OutputPath"),
        assign=fields.template("Assign") if has_assign(fields) else None,
    )


def nullable_path(fields: Fields, name: str) -> Path | None:
    """A path that may be null (None); the whole where there is none."""
    if not fields.has(name):
        return WHOLE
    return None if fields.source[name] is None else fields.path(name) or WHOLE


def read_result_path(fields: Fields) -> Path | None:
    """ResultPath: a place in the input."""
    if not fields.has("ResultPath"):
        return WHOLE
    if fields.source["ResultPath"] is None:
        return None
    text = fields.text("ResultPath", "$")
    return fields.compiled("ResultPath", lambda: result_path(text)) or WHOLE


def has_assign(fields: Fields) -> bool:
    """Whether there are variables to assign, under names that variables can have."""
    if not fields.has("Assign"):
        return False
    assigned = fields.source["Assign"]
    if not isinstance(assigned, dict):
        fields.wrong("Assign must be an object of variables", "Assign")
        return False
    for key in assigned:
        name = key if fields.is_jsonata else key.removesuffix(".$")
        if not _VARIABLE.fullmatch(name) or len(name) > MAX_VARIABLE_LENGTH or name == "states":
            fields.wrong(f"{name!r} is no name of a variable", "Assign", key)
    return True


def read_next(fields: Fields, states: Collection[str]) -> str:
    """Where a state leads: Next, or "" for End."""
    following = fields.text("Next")
    ends = fields.boolean("End")
    if ends == ("Next" in fields.source):
        fields.wrong("a state needs either Next or End: true, and not both")
    elif not ends:
        check_target(fields, "Next", following, states)
    return "" if ends else following


def check_target(fields: Fields, name: str, target: str, states: Collection[str]) -> None:
    """The state that a field names must be there."""
    if target not in states and isinstance(fields.source.get(name), str):
        fields.wrong(f"there is no state {target!r}", name)


def read_retry(fields: Fields) -> tuple[Retrier, ...]:
    """Retry."""
    return tuple(_retrier(part, is_last) for part, is_last in _entries(fields, "Retry", "a retrier"))


def _retrier(part: Fields, is_last: bool) -> Retrier:
    retrier = Retrier(
        error_equals=_error_equals(part, is_last),
        interval_s=float(part.number("IntervalSeconds", 1, 1, MAX_SECONDS)),
        max_attempts=int(part.number("MaxAttempts", 3, 0, MAX_SECONDS)),
        backoff_rate=part.number("BackoffRate", 2.0, 1, float("inf"), is_fraction=True),
        max_delay_s=float(part.number("MaxDelaySeconds", MAX_DELAY_S, 1, MAX_DELAY_S)),
        jitter=part.choice("JitterStrategy", ("FULL", "NONE"), "NONE") == "FULL",
    )
    part.finish()
    return retrier


def read_catch(fields: Fields, states: Collection[str]) -> tuple[Catcher, ...]:
    """Catch."""
    return tuple(_catcher(part, is_last, states) for part, is_last in _entries(fields, "Catch", "a catcher"))


def _catcher(part: Fields, is_last: bool, states: Collection[str]) -> Catcher:
    following = part.text("Next")
    if not following:
        part.wrong("a catcher needs Next")
    else:
        check_target(part, "Next", following, states)
    flow: Flow
    if part.is_jsonata:
        flow = QueryFlow(
            output=part.query_template("Output", "Catch/Output"),
            assign=part.query_template("Assign", "Catch/Assign") if has_assign(part) else None,
        )
    else:
        flow = PathFlow(
            result_path=read_result_path(part), assign=part.template("Assign") if has_assign(part) else None
        )
    catcher = Catcher(_error_equals(part, is_last), flow, following)
    part.finish()
    return catcher


def _entries(fields: Fields, name: str, what: str) -> Iterator[tuple[Fields, bool]]:
    entries = list(fields.objects(name, what))
    return ((entry, entry is entries[-1]) for entry in entries)


def _error_equals(part: Fields, is_last: bool) -> tuple[str, ...]:
    errors = part.take("ErrorEquals")
    if not isinstance(errors, list) or not errors or not all(isinstance(error, str) for error in errors):
        part.wrong("ErrorEquals must be a list of error names, at least one", "ErrorEquals")
        return ()
    if STATES_ALL in errors and (len(errors) > 1 or not is_last):
        part.wrong(f"States.ALL must stand alone, in the last of {part.what.split()[-1]}s", "ErrorEquals")
    return tuple(errors)
