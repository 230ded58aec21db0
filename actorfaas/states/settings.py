"""Fields whose value is given as it is, by a path, or by an expression: numbers, times, texts.

Owns their evaluation and what is wrong with a value that is not what the field needs: States.Runtime for paths,
States.QueryEvaluationError for expressions, in Step Functions' words where those are known.
"""

from __future__ import annotations

from dataclasses import dataclass

from actorfaas.states.data_flow import Frame
from actorfaas.states.errors import STATES_QUERY_EVALUATION, STATES_RUNTIME, StatesError
from actorfaas.states.functions import BadArgument, written
from actorfaas.states.paths import Path, refer
from actorfaas.states.queries import QueryTemplate
from actorfaas.states.scope import Json
from actorfaas.states.templates import Field
from actorfaas.states.timestamps import parse_timestamp

MAX_SECONDS = 99_999_999


@dataclass(frozen=True, slots=True)
class Number:
    """A number between `low` and `high`; a whole one unless `is_fraction`. `name` is the field's, without Path."""

    name: str
    source: float | Path | QueryTemplate
    low: float
    high: float
    is_fraction: bool = False

    @property
    def constant(self) -> float | None:
        """The number, where nothing has to be evaluated."""
        return self.source if isinstance(self.source, int | float) else None

    def value(self, frame: Frame, chosen: Json) -> float:
        """The number; paths look into `chosen`, the input after InputPath. Raises StatesError."""
        match self.source:
            case Path():
                return self._in_bounds(self._by_path(self.source, frame, chosen), STATES_RUNTIME)
            case QueryTemplate():
                expected = "number" if self.is_fraction else "integer"
                number: float = self.source.evaluate(frame.queries(), expected)
                return self._in_bounds(number, STATES_QUERY_EVALUATION)
            case constant:
                return constant

    def _by_path(self, path: Path, frame: Frame, chosen: Json) -> float:
        field = f"{self.name}Path"
        value = refer(path, frame.paths(chosen), field)
        if isinstance(value, int | float) and not isinstance(value, bool) and (self.is_fraction or value % 1 == 0):
            return value
        kind = "float" if self.is_fraction else "integer"
        cause = f'The {field} field refers to value "{_shown(value)}" which is not a valid {kind}: {path.text}'
        raise StatesError(STATES_RUNTIME, cause)

    def _in_bounds(self, number: float, error: str) -> float:
        if not self.low <= number <= self.high:
            is_open = self.high == float("inf")
            bounds = f"at least {self.low}" if is_open else f"between {self.low} and {self.high}"
            raise StatesError(error, f"{self.name} must be {bounds}.")
        return number


@dataclass(frozen=True, slots=True)
class Moment:
    """A time: the field Timestamp or TimestampPath."""

    source: int | Path | QueryTemplate

    def at_ns(self, frame: Frame, chosen: Json) -> int:
        """Nanoseconds since 1970. Raises StatesError."""
        if isinstance(self.source, int):
            return self.source
        if isinstance(self.source, Path):
            value = refer(self.source, frame.paths(chosen), "TimestampPath")
        else:
            value = self.source.evaluate(frame.queries(), "string")
        found = parse_timestamp(value) if isinstance(value, str) else None
        if found is not None:
            return found
        text = "ISO-8601 extended offset date-time format string"
        if isinstance(self.source, QueryTemplate):
            cause = f"The Timestamp field cannot be parsed as an {text}: {value}"
            raise StatesError(STATES_QUERY_EVALUATION, cause)
        cause = f"The TimestampPath parameter does not reference a valid {text}: {self.source.text} == {_shown(value)}"
        raise StatesError(STATES_RUNTIME, cause)


@dataclass(frozen=True, slots=True)
class Text:
    """A text: Error and Cause of a Fail state, or their paths. `name` is the field's."""

    name: str
    source: str | Field | QueryTemplate

    def value(self, frame: Frame) -> str:
        """The text. Raises StatesError."""
        match self.source:
            case Field():
                value = self.source.fill(frame.paths(frame.input))
            case QueryTemplate():
                value = self.source.evaluate(frame.queries(), "string")
            case constant:
                return constant
        if not isinstance(value, str):
            cause = f'The {self.name} field refers to value "{_shown(value)}" which is not a string'
            raise StatesError(STATES_RUNTIME, cause)
        return value


def _shown(value: Json) -> str:
    if isinstance(value, str):
        return value
    try:
        return written(value)
    except BadArgument:
        return "(too deep to show)"
