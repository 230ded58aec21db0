"""JSONata: `{% ... %}` strings anywhere in Arguments, Output, Assign, Items, Condition and other fields.

Owns compilation (once per definition), evaluation with bounds, what is not allowed as a result, and the errors
(States.QueryEvaluationError). The language itself is a library's, imported when the first expression needs it;
expressions that only walk down objects, such as `$states.input.order.id`, never do. Functions that AWS adds are in
`states.query_functions`.
"""

from __future__ import annotations

import copy
import math
import re
import sys
from collections.abc import Callable
from typing import Final

import orjson

from actorfaas.states.errors import STATES_QUERY_EVALUATION, ExpressionError, StatesError
from actorfaas.states.scope import Json, QueryScope

MAX_STEPS = 1_000_000
"""How many parts of an expression one evaluation may evaluate: some seconds of work."""
MAX_CHARACTERS = 64 * 1024 * 1024
"""How long a text may become in an expression."""
MAX_ITEMS = 4 * 1024 * 1024
"""How many items an array may have in an expression."""
MAX_FRAMES = 4_000
"""How deep Python may be while it evaluates: some 350 calls of a recursive function, far from the end of the stack."""

_WALK = re.compile(r"\$([^\W\d]\w*)((?:\.[^\W\d]\w*)*)")
_WORDS = frozenset({"and", "or", "in", "true", "false", "null", "function", "λ"})
_MISSING: Json = object()


def is_query(text: str) -> bool:
    """Whether a string is a JSONata expression: it begins with `{%` and ends with `%}`."""
    return len(text) >= 4 and text.startswith("{%") and text.endswith("%}")


class Query:
    """One expression, compiled. `field` says where it stands, for errors: `Output/order/id`."""

    __slots__ = ("_program", "_walk", "field", "text")

    def __init__(self, text: str, field: str) -> None:
        """`text` is the expression between `{%` and `%}`. Raises ExpressionError."""
        self.text: Final = text.strip()
        self.field: Final = field
        self._walk = _walk(self.text)
        self._program: _Program | None = None if self._walk else _Program(self.text)

    def evaluate(self, scope: QueryScope) -> Json:
        """The result. Raises StatesError (States.QueryEvaluationError)."""
        if self._walk is not None:
            found = _walked(self._walk, scope)
            if found is not _MISSING:
                return found
        if self._program is None:
            self._program = _Program(self.text)
        result = self._program.run(scope, self.failure)
        if result is _MISSING:
            raise self.failure("returned nothing (undefined).")
        return result

    def failure(self, what: str) -> StatesError:
        """The error that says what went wrong with this expression."""
        cause = f"The JSONata expression '{self.text}' specified for the field '{self.field}' {what}"
        return StatesError(STATES_QUERY_EVALUATION, cause)


class QueryTemplate:
    """Any JSON with expressions in it, compiled; what is constant in it is shared by all results."""

    __slots__ = ("_node", "field")

    def __init__(self, source: Json, field: str) -> None:
        """Raises ExpressionError."""
        self.field: Final = field
        try:
            self._node = _compile(source, field)
        except RecursionError:
            raise ExpressionError(f"{field} is nested too deeply") from None

    def evaluate(self, scope: QueryScope, expected: str = "") -> Json:
        """The value; `expected` is the JSON type it must have ("integer" is a number without fraction).

        Raises StatesError (States.QueryEvaluationError).
        """
        value = _filled(self._node, scope)
        if expected and not _is(value, expected):
            what = f"Expected '{expected}', but was '{type_name(value)}' for value: {_written(value)}"
            if isinstance(self._node, Query):
                raise self._node.failure(f"returned an unexpected result type. {what}")
            raise StatesError(STATES_QUERY_EVALUATION, f"The field '{self.field}' has an unexpected type. {what}")
        return value


def type_name(value: Json) -> str:
    """The JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names[type(value)]


def _is(value: Json, expected: str) -> bool:
    if expected == "integer":
        return type_name(value) == "number" and value == int(value)
    return type_name(value) == expected


def _written(value: Json) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # nested too deeply
        return "(too deep to show)"


class _Constant:
    __slots__ = ("value",)

    def __init__(self, value: Json) -> None:
        self.value = value


_Node = _Constant | Query | dict[str, "_Node"] | list["_Node"]


def _compile(source: Json, field: str) -> _Node:
    if isinstance(source, str) and is_query(source):
        return Query(source[2:-2], field)
    if isinstance(source, dict):
        fields = {name: _compile(value, f"{field}/{name}") for name, value in source.items()}
        return _Constant(source) if all(isinstance(node, _Constant) for node in fields.values()) else fields
    if isinstance(source, list):
        items = [_compile(value, f"{field}[{index}]") for index, value in enumerate(source)]
        return _Constant(source) if all(isinstance(node, _Constant) for node in items) else items
    return _Constant(source)


def _filled(node: _Node, scope: QueryScope) -> Json:
    if isinstance(node, _Constant):
        return node.value
    if isinstance(node, Query):
        return node.evaluate(scope)
    if isinstance(node, dict):
        return {name: _filled(one, scope) for name, one in node.items()}
    return [_filled(one, scope) for one in node]


def _walk(text: str) -> tuple[str, ...] | None:
    """The names of an expression that only walks down objects, else None."""
    match = _WALK.fullmatch(text)
    if match is None:
        return None
    names = (match[1], *match[2].split(".")[1:])
    return None if _WORDS & set(names[1:]) else names


def _walked(names: tuple[str, ...], scope: QueryScope) -> Json:
    """What is there; `_MISSING` where anything but an object is on the way, which is the library's to judge."""
    value: Json = scope.states if names[0] == "states" else scope.variables.get(names[0], _MISSING)
    for name in names[1:]:
        if type(value) is not dict:
            return _MISSING
        value = value.get(name, _MISSING)
    return value


class _Program:
    """An expression compiled by the library."""

    __slots__ = ("_functions", "_jsonata", "_transforms")

    def __init__(self, text: str) -> None:
        # slow to import, and not every definition has expressions that need it
        frames = sys.getrecursionlimit()
        from jsonata.jexception import JException

        from actorfaas.states.query_functions import Expression, named_in

        sys.setrecursionlimit(frames)  # importing it had set one that the stack does not hold

        try:
            self._jsonata = Expression(text)
        except JException as error:
            raise ExpressionError(f"the JSONata expression {text!r} is wrong: {error.error}: {error}") from None
        except _LIBRARY_ERRORS as error:
            raise ExpressionError(f"the JSONata expression {text!r} is wrong: {error}") from None
        if self._jsonata.errors:
            raise ExpressionError(f"the JSONata expression {text!r} is wrong: {self._jsonata.errors[0]}")
        self._jsonata.set_output_convert_nulls(False)
        self._functions = named_in(text)
        self._transforms = "|" in text

    def run(self, scope: QueryScope, failure: Callable[[str], StatesError]) -> Json:
        """The result as plain JSON, `_MISSING` where it is undefined. Raises what `failure` makes."""
        from jsonata.jexception import JException

        frames = sys.getrecursionlimit()
        sys.setrecursionlimit(max(frames, MAX_FRAMES))
        try:
            return self._result(scope)
        except _Unsupported:
            raise failure("returned an unsupported result type.") from None
        except _OutOfBounds as bound:
            raise failure(f"threw an error during evaluation: {bound}") from None
        except RecursionError:
            raise failure(f"threw an error during evaluation: {_TOO_DEEP}") from None
        except JException as error:
            raise failure(f"threw an error during evaluation. {error.error}: {error}") from None
        except _LIBRARY_ERRORS as error:
            raise failure(f"threw an error during evaluation. {error}") from None
        finally:
            sys.setrecursionlimit(frames)

    def _result(self, scope: QueryScope) -> Json:
        from jsonata.utils import Utils

        from actorfaas.states.query_functions import bindings

        null = Utils.NULL_VALUE
        values = {**scope.variables, "states": scope.states}
        if self._transforms:  # what a transform's pattern finds is changed in place
            values = copy.deepcopy(values)
        bound = bindings(self._functions, scope.outside)
        bound |= {name: null if value is None else value for name, value in values.items()}
        bound |= {"__evaluate_entry": _step_counter(), "__evaluate_exit": _check_size}
        result = self._jsonata.evaluate(None, bound)
        return _MISSING if result is None else _plain(result, null)


# What the library's Python code lets through where JavaScript would have gone on or thrown an error of its own.
_LIBRARY_ERRORS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, re.error)


_TOO_DEEP = "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive"


class _OutOfBounds(Exception):  # not an error of the library's kinds, which it may handle
    """An evaluation has taken too many steps, or made something too large."""


class _Unsupported(Exception):
    """A result holds a function or a pattern."""


def _step_counter() -> Callable[..., None]:
    """What the library calls before it evaluates each part of an expression."""
    left = MAX_STEPS

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _OutOfBounds("Expression evaluation timeout: Check for infinite loop")

    return count


def _check_size(expression: object, document: object, frame: object, result: object) -> None:
    """What the library calls after it has evaluated each part of an expression."""
    limit = MAX_CHARACTERS if isinstance(result, str) else MAX_ITEMS
    if isinstance(result, str | list) and len(result) > limit:
        raise _OutOfBounds("Expression evaluation memory limit exceeded: Check for excessive memory usage")


def _plain(value: Json, null: object) -> Json:
    """JSON without the library's own types: a new value, as far as it holds objects or arrays."""
    if value is null or value is None:
        return None
    if isinstance(value, str | bool):
        return value
    if isinstance(value, dict):
        return {name: _plain(one, null) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, null) for one in value]
    if isinstance(value, int | float):
        # JSONata's numbers are doubles; JSON has no infinity
        number = value if isinstance(value, int) and -(2**63) <= value < 2**63 else float(value)
        if not math.isfinite(number):
            raise ValueError("D1001: Number out of range")
        return number
    raise _Unsupported
