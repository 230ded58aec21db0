"""Reading the fields of a definition, one by one, and collecting what is wrong with them.

Owns what a field's value may look like and where a problem is; which fields there are is left to `states.parsing`.
What has been read is known afterwards, so that every other field is a problem too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from actorfaas.states.errors import ExpressionError
from actorfaas.states.paths import Path
from actorfaas.states.queries import QueryTemplate, is_query
from actorfaas.states.scope import Json
from actorfaas.states.settings import MAX_SECONDS, Number
from actorfaas.states.templates import Template

Place = tuple[str | int, ...]

_Compiled = TypeVar("_Compiled")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a definition; `pointer` is a JSON pointer (RFC 6901)."""

    pointer: str
    text: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.text}"


def pointer_to(place: Place) -> str:
    """The JSON pointer to a place."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)


class Fields:
    """One object of a definition. `what` names it in sentences: "a Task state"; `is_jsonata` tells its language."""

    def __init__(
        self, source: dict[str, Json], place: Place, problems: list[Problem], what: str, *, is_jsonata: bool = False
    ) -> None:
        self.source = source
        self.place = place
        self.problems = problems
        self.what = what
        self.is_jsonata = is_jsonata
        self._read: set[str] = {"Comment"}

    def wrong(self, text: str, *at: str | int) -> None:
        """Note a problem with the object, or with what is `at` a place in it."""
        self.problems.append(Problem(pointer_to((*self.place, *at)), text))

    def has(self, name: str) -> bool:
        """Whether the field is there; it counts as read."""
        self._read.add(name)
        return name in self.source

    def take(self, name: str, default: Json = None) -> Json:
        """The field's value, whatever it is."""
        self._read.add(name)
        return self.source.get(name, default)

    def finish(self) -> None:
        """Every field that nobody read is a problem."""
        for name in self.source.keys() - self._read:
            language = "JSONata" if self.is_jsonata else "JSONPath"
            self.wrong(f"{name!r} is not a field of {self.what} (QueryLanguage {language})", name)

    # --- plain values ----------------------------------------------------------------------------------------------

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self.take(name, default)
        if not isinstance(value, str):
            self.wrong(f"{name} must be text", name)
            return default
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str = "") -> str:
        """One of some words."""
        value = self.take(name, default)
        if value != default and value not in allowed:
            self.wrong(f"{name} must be one of {', '.join(allowed)}, not {value!r}", name)
            return default
        return str(value)

    def boolean(self, name: str, default: bool = False) -> bool:
        """true or false."""
        value = self.take(name, default)
        if not isinstance(value, bool):
            self.wrong(f"{name} must be true or false", name)
            return default
        return value

    def number(self, name: str, default: float, low: float, high: float, *, is_fraction: bool = False) -> float:
        """A number in bounds."""
        value = self.take(name, default)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not (is_fraction or isinstance(value, int)) or not low <= value <= high:
            self.wrong(f"{name} must be a {'' if is_fraction else 'whole '}number {_bounds(low, high)}", name)
            return default
        return float(value) if is_fraction else int(value)

    def seconds(self, name: str, *, least: int = 1) -> float:
        """A whole number of seconds, 0 where the field is not there."""
        return float(self.number(name, 0, least, MAX_SECONDS)) if self.has(name) else 0.0

    # --- parts -----------------------------------------------------------------------------------------------------

    def object(self, name: str, what: str, *, is_jsonata: bool | None = None) -> Fields | None:
        """An object; None where there is none."""
        if not self.has(name):
            return None
        return self.part(self.source[name], what, name, is_jsonata=is_jsonata)

    def objects(self, name: str, what: str) -> Iterator[Fields]:
        """The objects of a list."""
        entries = self.take(name, [])
        if not isinstance(entries, list):
            self.wrong(f"{name} must be a list", name)
            return
        for position, entry in enumerate(entries):
            part = self.part(entry, what, name, position)
            if part is not None:
                yield part

    def part(self, source: Json, what: str, *at: str | int, is_jsonata: bool | None = None) -> Fields | None:
        """What is `at` a place in this object, which must be an object too."""
        if not isinstance(source, dict):
            self.wrong(f"{what} is a JSON object", *at)
            return None
        language = self.is_jsonata if is_jsonata is None else is_jsonata
        return Fields(source, (*self.place, *at), self.problems, what, is_jsonata=language)

    # --- expressions -----------------------------------------------------------------------------------------------

    def compiled(self, name: str, make: Callable[[], _Compiled]) -> _Compiled | None:
        """What `make` gives; None where the expression is wrong."""
        try:
            return make()
        except ExpressionError as error:
            self.wrong(str(error), name)
            return None

    def path(self, name: str) -> Path | None:
        """A path; None where there is none."""
        if not self.has(name):
            return None
        text = self.text(name)
        return self.compiled(name, lambda: Path(text))

    def template(self, name: str) -> Template | None:
        """A payload template of JSONPath."""
        return self.compiled(name, lambda: Template(self.source[name])) if self.has(name) else None

    def query_template(self, name: str, field: str = "") -> QueryTemplate | None:
        """Any JSON with JSONata in it; `field` is its name in errors."""
        if not self.has(name):
            return None
        return self.compiled(name, lambda: QueryTemplate(self.source[name], field or name))

    def any_template(self, name: str) -> Template | QueryTemplate | None:
        """A template in the object's language."""
        return self.query_template(name) if self.is_jsonata else self.template(name)

    def is_query(self, name: str) -> bool:
        """Whether the field's value is a JSONata expression."""
        value = self.source.get(name)
        return self.is_jsonata and isinstance(value, str) and is_query(value)

    def setting(self, name: str, low: float, high: float, *, is_fraction: bool = False) -> Number | None:
        """A number given as it is, by the field NAMEPath, or in JSONata by an expression; None where not given."""
        source: float | Path | QueryTemplate | None = None
        if self.is_query(name):
            source = self.query_template(name)
        elif self.has(name):
            source = self.number(name, low, low, high, is_fraction=is_fraction)
        if not self.is_jsonata and self.has(f"{name}Path"):
            if source is not None:
                self.wrong(f"{name} and {name}Path exclude each other", f"{name}Path")
            source = self.path(f"{name}Path")
        return None if source is None else Number(name, source, low, high, is_fraction)


def _bounds(low: float, high: float) -> str:
    return f"of at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
