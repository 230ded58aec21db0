"""State machines as frozen dataclasses: what a valid Amazon States Language definition says.

`parse` turns a definition into a `StateMachine`, refusing an invalid one with every problem `validate` finds.
How a machine runs is the engine's business. (States Language: https://states-language.net/spec.html)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from actorfaas.errors import DeployError
from actorfaas.states.validate import DEFAULT_RETRY, function_of, validate

Json = Any  # a decoded JSON value; `validate` has checked its shape before anything here reads it


@dataclass(frozen=True, slots=True)
class Retrier:
    """One entry of `Retry`: which errors, how often, how long between (`interval_s × backoff_rate^n`)."""

    error_equals: tuple[str, ...]
    interval_s: float
    max_attempts: int
    backoff_rate: float


@dataclass(frozen=True, slots=True)
class Task:
    """Call a function. `timeout_s` 0: the function's own limit. `retry` None: the function's own retries."""

    name: str
    function: str
    timeout_s: float
    retry: tuple[Retrier, ...] | None
    next: str


@dataclass(frozen=True, slots=True)
class Pass:
    """Hand the input on, or `result` (JSON) when the state has one."""

    name: str
    result: bytes | None
    next: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Hand the input on after `seconds`."""

    name: str
    seconds: float
    next: str


@dataclass(frozen=True, slots=True)
class Succeed:
    """End the execution; its output is the input."""

    name: str


@dataclass(frozen=True, slots=True)
class Fail:
    """End the execution with an error."""

    name: str
    error: str
    cause: str


State = Task | Pass | Wait | Succeed | Fail


@dataclass(frozen=True, slots=True)
class StateMachine:
    """A whole definition. `next` of a state is "" where it ends the execution; `timeout_s` 0: no limit."""

    start_at: str
    states: Mapping[str, State]
    timeout_s: float

    def direct_successor(self, name: str) -> Task | None:
        """The Task that follows the Task `name` when its output needs no computation on the way, else None."""
        state = self.states[name]
        if not isinstance(state, Task) or not state.next:
            return None
        following = self.states[state.next]
        return following if isinstance(following, Task) else None

    def tasks(self) -> Iterator[Task]:
        """Every Task state."""
        return (state for state in self.states.values() if isinstance(state, Task))


def single_task(function: str) -> StateMachine:
    """The machine that an asynchronous call of one function runs: one state, named after the function."""
    state = Task(function, function, 0.0, None, "")
    return StateMachine(function, {function: state}, 0.0)


def parse(definition: bytes, functions: Collection[str] | None = None) -> StateMachine:
    """The machine that a definition (JSON) describes.

    `functions`: what its tasks may call (None: anything). Raises DeployError naming every problem.
    """
    problems = validate(definition, functions)
    if problems:
        raise DeployError("; ".join(str(problem) for problem in problems))
    document: Json = orjson.loads(definition)
    states = {name: _state(name, fields) for name, fields in document["States"].items()}
    return StateMachine(document["StartAt"], states, float(document.get("TimeoutSeconds", 0)))


def _state(name: str, fields: Json) -> State:
    following: str = fields.get("Next", "")
    match fields["Type"]:
        case "Task":
            retry = fields.get("Retry")
            return Task(
                name=name,
                function=function_of(fields["Resource"]),
                timeout_s=float(fields.get("TimeoutSeconds", 0)),
                retry=None if retry is None else tuple(map(_retrier, retry)),
                next=following,
            )
        case "Pass":
            result = orjson.dumps(fields["Result"]) if "Result" in fields else None
            return Pass(name, result, following)
        case "Wait":
            return Wait(name, float(fields["Seconds"]), following)
        case "Succeed":
            return Succeed(name)
        case "Fail":
            return Fail(name, fields.get("Error", ""), fields.get("Cause", ""))
        case other:
            raise DeployError(f"state {name!r} has the type {other!r}, which passed validation by mistake")


def _retrier(fields: Json) -> Retrier:
    merged = {**DEFAULT_RETRY, **fields}
    return Retrier(
        error_equals=tuple(merged["ErrorEquals"]),
        interval_s=float(merged["IntervalSeconds"]),
        max_attempts=merged["MaxAttempts"],
        backoff_rate=float(merged["BackoffRate"]),
    )
