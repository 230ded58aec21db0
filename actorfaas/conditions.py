"""Conditions of `choose`, written in Python: `event.amount > 100`, `event.vip & event.email.exists()`.

Owns how places in a state's input are written, and the choice rules (https://states-language.net/spec.html#choice-state)
that comparing them gives. What follows a condition is left to `composing`. User code imports this: nothing heavy.
"""

from __future__ import annotations

from actorfaas.errors import DeclarationError

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is; importing typing would cost every instance 3 ms
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Json: TypeAlias = Any  # a decoded JSON document: the caller's business

_RELATIONS = {
    "==": "Equals",
    "<": "LessThan",
    "<=": "LessThanEquals",
    ">": "GreaterThan",
    ">=": "GreaterThanEquals",
}
_TESTS = {
    "exists": "IsPresent",
    "is null": "IsNull",
    "is string": "IsString",
    "is number": "IsNumeric",
    "is boolean": "IsBoolean",
    "is timestamp": "IsTimestamp",
}


class Condition:
    """Something that holds for an input or not. Combined with `&` (and), `|` (or), `~` (not)."""

    __slots__ = ("rule",)

    def __init__(self, rule: dict[str, Json]) -> None:
        self.rule = rule

    def __and__(self, other: Condition) -> Condition:
        return Condition({"And": [*self._parts("And"), *_condition(other)._parts("And")]})

    def __or__(self, other: Condition) -> Condition:
        return Condition({"Or": [*self._parts("Or"), *_condition(other)._parts("Or")]})

    def __invert__(self) -> Condition:
        return Condition({"Not": self.rule})

    def __bool__(self) -> bool:
        raise DeclarationError("a condition has no value yet: combine with &, | and ~ (in brackets), not and, or, not")

    def __repr__(self) -> str:
        return f"Condition({self.rule!r})"

    def _parts(self, operator: str) -> list[Json]:
        parts: list[Json] = self.rule.get(operator, [self.rule])
        return parts


class EventPath:
    """A place in a state's input: `event.order.total`, `event["e-mail"]`, `event.lines[0]`.

    Compare it with a string, a number, true or false, None, an aware datetime or another place. A place that is not
    there fails the execution, except with `exists()`; a value of another type never matches.
    """

    __slots__ = ("_path",)
    __hash__ = None  # type: ignore[assignment]  # == makes a condition

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> EventPath:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, key: str | int) -> EventPath:
        if isinstance(key, int):
            return EventPath(f"{self._path}[{key}]")
        if key.isidentifier() and key.isascii():
            return EventPath(f"{self._path}.{key}")
        quoted = key.replace("\\", "\\\\").replace("'", "\\'")
        return EventPath(f"{self._path}['{quoted}']")

    def __str__(self) -> str:
        return self._path

    def __repr__(self) -> str:
        return f"event{self._path[1:]}"

    def __bool__(self) -> bool:
        raise DeclarationError(f"{self!r} has no value yet: write what it is compared with, such as {self!r} == True")

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]  # a condition, not a bool
        return compared(self, "==", other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]  # a condition, not a bool
        return compared(self, "!=", other)

    def __lt__(self, other: object) -> Condition:
        return compared(self, "<", other)

    def __le__(self, other: object) -> Condition:
        return compared(self, "<=", other)

    def __gt__(self, other: object) -> Condition:
        return compared(self, ">", other)

    def __ge__(self, other: object) -> Condition:
        return compared(self, ">=", other)

    def exists(self) -> Condition:
        """Whether there is such a place."""
        return tested(self, "exists")

    def is_null(self) -> Condition:
        """Whether the value is null."""
        return tested(self, "is null")

    def is_string(self) -> Condition:
        """Whether the value is text."""
        return tested(self, "is string")

    def is_number(self) -> Condition:
        """Whether the value is a number."""
        return tested(self, "is number")

    def is_boolean(self) -> Condition:
        """Whether the value is true or false."""
        return tested(self, "is boolean")

    def is_timestamp(self) -> Condition:
        """Whether the value is text that is an RFC 3339 timestamp."""
        return tested(self, "is timestamp")

    def matches(self, pattern: str) -> Condition:
        """Whether the value is text like the pattern, in which `*` stands for any characters."""
        return Condition({"Variable": str(self), "StringMatches": pattern})


event = EventPath("$")
"""A state's input, in conditions and wherever else a step looks into it."""


def condition_of(parts: tuple[Json, ...]) -> Condition | str:
    """The condition that `when` was given: one already made, a JSONata expression, or ("$.amount", ">", 100).

    Raises DeclarationError.
    """
    match parts:
        case [Condition() as condition]:
            return condition
        case [str() as expression] if expression.strip():
            text = expression.strip()
            return text if text.startswith("{%") else f"{{% {text} %}}"
        case [(str() | EventPath()) as path, str() as test] if test in _TESTS:
            return tested(path, test)
        case [(str() | EventPath()) as path, "matches", str() as pattern]:
            return EventPath(str(path)).matches(pattern)
        case [(str() | EventPath()) as path, str() as operator, operand]:
            return compared(path, operator, operand)
    raise DeclarationError(
        "a condition is written event.amount > 100, or \"$.amount\", '>', 100, or as a JSONata expression;"
        f" not {', '.join(map(repr, parts)) or 'nothing'}"
    )


def tested(path: EventPath | str, test: str) -> Condition:
    """A test of what kind of value is there."""
    return Condition({"Variable": str(path), _TESTS[test]: True})


def compared(path: EventPath | str, operator: str, operand: object) -> Condition:
    """A comparison. Raises DeclarationError for an operator, or a value, that choice rules do not have."""
    if operator == "!=":
        return ~compared(path, "==", operand)
    if operator not in _RELATIONS:
        known = ", ".join([*_RELATIONS, "!=", "matches", *_TESTS])
        raise DeclarationError(f"{operator!r} is not one of {known}")
    if operand is None and operator == "==":
        return tested(path, "is null")
    relation = _RELATIONS[operator]
    if isinstance(operand, EventPath):
        kinds = ("String", "Numeric", "Boolean") if operator == "==" else ("String", "Numeric")
        return Condition({"Or": [{"Variable": str(path), f"{kind}{relation}Path": str(operand)} for kind in kinds]})
    kind = _kind(operand)
    if not kind or (kind == "Boolean" and operator != "=="):
        raise DeclarationError(f"{path} {operator} {operand!r}: choice rules cannot compare so")
    return Condition(
        {"Variable": str(path), f"{kind}{relation}": timestamp(operand) if kind == "Timestamp" else operand}
    )


def timestamp(moment: Any) -> str:  # a datetime, or text
    """A datetime as RFC 3339; text as it is. Raises DeclarationError for a datetime that names no time zone."""
    if isinstance(moment, str):
        return moment
    if moment.tzinfo is None:
        raise DeclarationError(f"{moment!r} names no time zone; give it one, such as tzinfo=datetime.UTC")
    text: str = moment.isoformat()
    return text.replace("+00:00", "Z")


def _kind(value: object) -> str:
    """The kind of choice rule for a value, "" where there is none."""
    if isinstance(value, bool):
        return "Boolean"
    if isinstance(value, int | float):
        return "Numeric"
    if isinstance(value, str):
        return "String"
    return "Timestamp" if hasattr(value, "isoformat") and hasattr(value, "tzinfo") else ""


def _condition(value: object) -> Condition:
    if isinstance(value, Condition):
        return value
    raise DeclarationError(f"& and | combine conditions, in brackets: (event.a > 1) & (event.b < 2); not {value!r}")
