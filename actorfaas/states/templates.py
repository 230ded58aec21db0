"""Payload templates: Parameters, ResultSelector, ItemSelector, and Assign of JSONPath states.

A template is any JSON in which a field named `NAME.$` becomes `NAME`, with what its path or function call gives.
Compiled once; what is constant in it is shared by all results. A path that finds nothing is States.Runtime, as Step
Functions has it; the States.ParameterPathFailure of the specification is never seen there.
"""

from __future__ import annotations

from actorfaas.states.errors import STATES_RUNTIME, ExpressionError, StatesError
from actorfaas.states.functions import written
from actorfaas.states.intrinsics import Call, parse_call
from actorfaas.states.paths import NoMatch, Path
from actorfaas.states.scope import Json, Scope


class Template:
    """One template, compiled."""

    __slots__ = ("_node",)

    def __init__(self, source: Json) -> None:
        """Raises ExpressionError."""
        try:
            self._node = _compile(source)
        except RecursionError:
            raise ExpressionError("the template is nested too deeply") from None

    def fill(self, scope: Scope) -> Json:
        """The payload. Raises StatesError: States.Runtime, States.IntrinsicFailure."""
        return self._node.fill(scope)


class Field:
    """A field whose value is a path or a function call: `NAME.$` of a template, or ErrorPath and CausePath of Fail."""

    __slots__ = ("_expression", "_name")

    def __init__(self, name: str, text: str) -> None:
        """Raises ExpressionError."""
        self._name = name
        self._expression: Path | Call = Path(text) if text.startswith("$") else parse_call(text)

    def fill(self, scope: Scope) -> Json:
        """The value. Raises StatesError."""
        try:
            return self._expression.find(scope)
        except NoMatch as error:
            if error.is_past_end and isinstance(self._expression, Path):
                return None  # as on Step Functions; an argument of a function is an error there
            raise self._failure(error, scope) from None

    def _failure(self, error: NoMatch, scope: Scope) -> StatesError:
        try:
            document = written(scope.input)
        except ValueError:
            document = "(too deep to show)"
        where = f"could not be found in the input '{document}'"
        if isinstance(self._expression, Call):
            what = f"The JsonPath argument for the field '{error.path}' {where}"
            cause = f"The function '{self._expression.text}' had the following error: {what}"
        else:
            cause = f"The JSONPath '{error.path}' specified for the field '{self._name}' {where}"
        return StatesError(STATES_RUNTIME, cause)


class _Constant:
    __slots__ = ("_value",)

    def __init__(self, value: Json) -> None:
        self._value = value

    def fill(self, scope: Scope) -> Json:
        return self._value


class _Object:
    __slots__ = ("_fields",)

    def __init__(self, fields: list[tuple[str, _Node]]) -> None:
        self._fields = fields

    def fill(self, scope: Scope) -> Json:
        return {name: node.fill(scope) for name, node in self._fields}


class _Array:
    __slots__ = ("_items",)

    def __init__(self, items: list[_Node]) -> None:
        self._items = items

    def fill(self, scope: Scope) -> Json:
        return [node.fill(scope) for node in self._items]


_Node = _Constant | Field | _Object | _Array


def _compile(source: Json) -> _Node:
    if isinstance(source, dict):
        fields = [_compile_field(name, value) for name, value in source.items()]
        names = [name for name, _ in fields]
        for name in names:
            if names.count(name) > 1:
                raise ExpressionError(f"a template has both {name!r} and {name + '.$'!r}")
        if all(isinstance(node, _Constant) for _, node in fields):
            return _Constant(source)
        return _Object(fields)
    if isinstance(source, list):
        items = [_compile(one) for one in source]
        return _Constant(source) if all(isinstance(node, _Constant) for node in items) else _Array(items)
    return _Constant(source)


def _compile_field(name: str, value: Json) -> tuple[str, _Node]:
    if not name.endswith(".$"):
        return name, _compile(value)
    if not isinstance(value, str):
        raise ExpressionError(f"the field {name!r} of a template must be a path or a function call")
    return name.removesuffix(".$"), Field(name, value)
