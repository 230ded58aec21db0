"""Payload templates: Parameters, ResultSelector, ItemSelector, and Assign of JSONPath states.

A template is any JSON in which a field named `NAME.$` becomes `NAME`, with what its path or function call gives.
Compiled once; what is constant in it is shared by all results.
"""

from __future__ import annotations

from actorfaas.states.errors import STATES_PARAMETER_PATH, ExpressionError, StatesError
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

    @property
    def is_constant(self) -> bool:
        """Whether every result is the same."""
        return isinstance(self._node, _Constant)

    def fill(self, scope: Scope) -> Json:
        """The payload. Raises StatesError: States.ParameterPathFailure, States.IntrinsicFailure."""
        return self._node.fill(scope)


def parse_expression(text: str) -> Path | Call:
    """What the value of a `NAME.$` field is: a path or a function call. Raises ExpressionError."""
    return Path(text) if text.startswith("$") else parse_call(text)


class _Constant:
    __slots__ = ("_value",)

    def __init__(self, value: Json) -> None:
        self._value = value

    def fill(self, scope: Scope) -> Json:
        return self._value


class _Field:
    """The value of a field whose name ends in `.$`."""

    __slots__ = ("_expression", "_name")

    def __init__(self, name: str, expression: Path | Call) -> None:
        self._name = name
        self._expression = expression

    def fill(self, scope: Scope) -> Json:
        expression = self._expression
        try:
            return expression.find(scope) if isinstance(expression, Path) else expression.evaluate(scope)
        except NoMatch as error:
            raise _not_found(error, expression.text, self._name, scope) from None


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


_Node = _Constant | _Field | _Object | _Array


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
    return name.removesuffix(".$"), _Field(name, parse_expression(value))


def _not_found(error: NoMatch, expression: str, field: str, scope: Scope) -> StatesError:
    try:
        document = written(scope.input)
    except ValueError:
        document = "(too deep to show)"
    cause = (
        f"The JSONPath '{expression}' specified for the field '{field}' could not be found in the input '{document}'"
    )
    if "variable" in error.detail:
        cause = f"{error.detail}, which the field '{field}' refers to"
    return StatesError(STATES_PARAMETER_PATH, cause)
