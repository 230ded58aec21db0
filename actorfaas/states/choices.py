"""Choice rules of JSONPath states: comparisons, types, and their combinations.

Compiled once. A Variable (or a value to compare with) that is not there is an error, except for IsPresent; values of
the wrong type never match. JSONata's Condition is `states.queries`' business.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from actorfaas.states.errors import STATES_RUNTIME, ExpressionError, StatesError
from actorfaas.states.paths import NoMatch, Path
from actorfaas.states.scope import Json, Scope
from actorfaas.states.timestamps import parse_timestamp

Rule = Callable[[Scope], bool]
"""Whether a rule holds. Raises StatesError (States.Runtime) where a path finds nothing."""

_NOT_CONDITIONS = frozenset({"Next", "Assign", "Comment", "Variable", "Output"})
_WILDCARD_PART = re.compile(r"\\([\\*])|(\*)")


def compile_rule(fields: dict[str, Json]) -> Rule:
    """The rule that an entry of Choices describes. Raises ExpressionError."""
    try:
        return _rule(fields)
    except RecursionError:
        raise ExpressionError("the choice rule is nested too deeply") from None


def _rule(fields: dict[str, Json]) -> Rule:
    conditions = [name for name in fields if name not in _NOT_CONDITIONS]
    if len(conditions) != 1:
        raise ExpressionError(f"a choice rule needs exactly one condition, not {', '.join(conditions) or 'none'}")
    (operator,) = conditions
    operand = fields[operator]
    if operator in ("And", "Or"):
        return _combined(operator, operand)
    if operator == "Not":
        (rule,) = _nested(operator, [operand])
        return lambda scope: not rule(scope)
    if not isinstance(fields.get("Variable"), str):
        raise ExpressionError(f"the choice rule {operator} needs a Variable, which is a path")
    variable = Path(fields["Variable"])
    if operator == "IsPresent":
        return _presence(variable, _boolean(operator, operand))
    if operator in _TYPES:
        return _type(variable, _TYPES[operator], _boolean(operator, operand))
    if operator == "StringMatches":
        return _matching(variable, _text(operator, operand))
    return _comparison(variable, operator, operand)


def _combined(operator: str, operand: Json) -> Rule:
    if not isinstance(operand, list) or not operand:
        raise ExpressionError(f"{operator} needs a list of choice rules, at least one")
    rules = _nested(operator, operand)
    if operator == "And":
        return lambda scope: all(rule(scope) for rule in rules)
    return lambda scope: any(rule(scope) for rule in rules)


def _nested(operator: str, operands: list[Json]) -> list[Rule]:
    for operand in operands:
        if not isinstance(operand, dict):
            raise ExpressionError(f"what {operator} combines must be choice rules")
        if "Next" in operand:
            raise ExpressionError(f"a choice rule inside {operator} must not have Next")
    return [_rule(operand) for operand in operands]


def _found(path: Path, scope: Scope) -> Json:
    try:
        return path.find(scope)
    except NoMatch:
        cause = f"Invalid path '{path.text}': The choice state's condition path references an invalid value."
        raise StatesError(STATES_RUNTIME, cause) from None


def _presence(variable: Path, wanted: bool) -> Rule:
    def holds(scope: Scope) -> bool:
        try:
            variable.find(scope)
        except NoMatch:
            return not wanted
        return wanted

    return holds


def _type(variable: Path, is_of_type: Callable[[Json], bool], wanted: bool) -> Rule:
    return lambda scope: is_of_type(_found(variable, scope)) is wanted


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _instant(value: Json) -> int | None:
    return parse_timestamp(value) if isinstance(value, str) else None


_TYPES: dict[str, Callable[[Json], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": _is_number,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: _instant(value) is not None,
}

# what makes a value comparable; None where it is of another type
_KINDS: dict[str, Callable[[Json], Json]] = {
    "String": lambda value: value if isinstance(value, str) else None,
    "Numeric": lambda value: value if _is_number(value) else None,
    "Boolean": lambda value: value if isinstance(value, bool) else None,
    "Timestamp": _instant,
}

_RELATIONS: dict[str, Callable[[Json, Json], bool]] = {
    "Equals": lambda left, right: bool(left == right),
    "LessThan": lambda left, right: bool(left < right),
    "GreaterThan": lambda left, right: bool(left > right),
    "LessThanEquals": lambda left, right: bool(left <= right),
    "GreaterThanEquals": lambda left, right: bool(left >= right),
}

_COMPARISONS: dict[str, tuple[str, str]] = {
    kind + relation: (kind, relation)
    for kind in _KINDS
    for relation in _RELATIONS
    if kind != "Boolean" or relation == "Equals"
}

OPERATORS = frozenset(
    {"And", "Or", "Not", "IsPresent", "StringMatches", *_TYPES, *_COMPARISONS}
    | {f"{operator}Path" for operator in _COMPARISONS}
)
"""Every operator that a choice rule can have."""


def _comparison(variable: Path, operator: str, operand: Json) -> Rule:
    if operator not in OPERATORS:
        raise ExpressionError(f"{operator!r} is not an operator of choice rules")
    kind, relation = _COMPARISONS[operator.removesuffix("Path")]
    comparable, holds = _KINDS[kind], _RELATIONS[relation]
    other: Path | None = None
    constant: Json = None
    if operator.endswith("Path"):
        other = Path(_text(operator, operand))
    else:
        constant = comparable(operand)
        if constant is None:
            raise ExpressionError(f"{operator} must be compared with a value of its type, not {operand!r}")

    def rule(scope: Scope) -> bool:
        left = comparable(_found(variable, scope))
        right = constant if other is None else comparable(_found(other, scope))
        return left is not None and right is not None and holds(left, right)

    return rule


def _matching(variable: Path, pattern: str) -> Rule:
    """StringMatches: `*` stands for any characters, `\\*` for an asterisk, `\\\\` for a backslash."""
    parts = [""]
    position = 0
    for match in _WILDCARD_PART.finditer(pattern):
        parts[-1] += pattern[position : match.start()] + (match[1] or "")
        if match[2]:
            parts.append("")
        position = match.end()
    parts[-1] += pattern[position:]

    def rule(scope: Scope) -> bool:
        value = _found(variable, scope)
        return isinstance(value, str) and _fits(value, parts)

    return rule


def _fits(text: str, parts: list[str]) -> bool:
    """Whether `text` is the parts with anything between them; each part is looked for once, from the left."""
    first, *middle = parts
    if not middle:
        return text == first
    last = middle.pop()
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    position, end = len(first), len(text) - len(last)
    for part in middle:
        position = text.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True


def _boolean(operator: str, operand: Json) -> bool:
    if not isinstance(operand, bool):
        raise ExpressionError(f"{operator} must be true or false")
    return operand


def _text(operator: str, operand: Json) -> str:
    if not isinstance(operand, str):
        raise ExpressionError(f"{operator} must be text")
    return operand
