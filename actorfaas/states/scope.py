"""What an expression may refer to.

Values are decoded JSON and are shared, not copied: whoever evaluates never changes one in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Any  # a decoded JSON value of any shape: users' data


@dataclass(frozen=True, slots=True)
class Outside:
    """What comes from outside an execution: the time, and chance. Recorded values make an evaluation repeatable."""

    now_ms: int
    random: Callable[[], float]
    """A number from 0 up to, but not including, 1."""
    uuid: Callable[[], str]
    """A new version 4 UUID."""


def made(context: Json) -> Json:
    """The context object, which may be given as a function that makes it: few expressions ask for it."""
    return context() if callable(context) else context


@dataclass(frozen=True, slots=True)
class Scope:
    """Of JSONPath expressions: `$` is the input, `$$` the context object (or what makes it), `$name` a variable."""

    input: Json
    context: Json
    variables: Mapping[str, Json]
    outside: Outside


@dataclass(frozen=True, slots=True)
class QueryScope:
    """Of JSONata expressions: `$states` (see `states_object`), the variables, and nothing else."""

    states: Mapping[str, Json]
    variables: Mapping[str, Json]
    outside: Outside


_ABSENT: Json = object()


def states_object(
    input: Json,  # noqa: A002  # the language's name
    context: Json,
    *,
    result: Json = _ABSENT,
    error_output: Json = _ABSENT,
) -> dict[str, Json]:
    """`$states`: `result` exists once a state has done its work, `error_output` in a catcher."""
    states = {"input": input, "context": context}
    if result is not _ABSENT:
        states["result"] = result
    if error_output is not _ABSENT:
        states["errorOutput"] = error_output
    return states
