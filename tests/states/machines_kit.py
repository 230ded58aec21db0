"""Definitions for tests, and running them with functions that are Python callables on decoded JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from actorfaas.states.instructions import Finish, RunTask
from actorfaas.states.model import StateMachine
from actorfaas.states.parsing import parse
from tests.states.engine_driver import Driver, TaskError

Json = Any  # a decoded JSON value of any shape

INVOKE = "arn:aws:states:::lambda:invoke"


def definition(**states: Json) -> Json:
    """A definition whose first state comes first; a state without Next or End, of a type that needs one, ends."""
    for fields in states.values():
        if fields["Type"] not in ("Choice", "Succeed", "Fail") and "Next" not in fields:
            fields.setdefault("End", True)
    return {"StartAt": next(iter(states)), "States": states}


def machine(query_language: str = "JSONPath", **states: Json) -> StateMachine:
    """A machine of such states, nothing of it refused."""
    return parse(orjson.dumps({**definition(**states), "QueryLanguage": query_language}), refused=())


def task(**fields: Json) -> Json:
    return {"Type": "Task", "Resource": "f", **fields}


def failing(error: str, cause: str = "") -> Callable[[Json], Json]:
    """A function that fails."""

    def fail(_: Json) -> Json:
        raise TaskError(error, cause)

    return fail


def driver(made: StateMachine, functions: dict[str, Callable[[Json], Json]] | None = None, **more: Json) -> Driver:
    """A driver whose functions take and give decoded JSON; one that is not given returns its input."""
    known = functions or {}

    def call(request: RunTask) -> bytes:
        function = known.get(request.function, lambda value: value)
        return orjson.dumps(function(orjson.loads(request.payload)))

    return Driver(made, call, **more)


def run(
    made: StateMachine, payload: Json = None, functions: dict[str, Callable[[Json], Json]] | None = None, **more: Json
) -> Json:
    """The output. The execution must not fail."""
    last = driver(made, functions, **more).run(payload)
    assert not last.failed, last
    return orjson.loads(last.payload)


def failure(
    made: StateMachine, payload: Json = None, functions: dict[str, Callable[[Json], Json]] | None = None, **more: Json
) -> Finish:
    """How the execution fails; it must."""
    last = driver(made, functions, **more).run(payload)
    assert last.failed, last
    return last
