"""What paths find, and where a ResultPath puts a result.

Owns evaluation. AWS's rules, where they differ from RFC 9535: a path of names and single indexes is *definite* and
finds exactly one value, or fails; any other path finds a list, which is empty where nothing is there, even when what
leads to it is missing (but what is there and is no array cannot be sliced). `['a','b']` at the end of a path is one
object. A filter looks at the items of an array or at an object itself, and never at scalars. Syntax is left to
`states.path_syntax`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import orjson

from actorfaas.states.errors import STATES_RESULT_PATH, STATES_RUNTIME, ExpressionError, StatesError
from actorfaas.states.path_syntax import (
    Descendants,
    Filter,
    Indexes,
    Length,
    Names,
    Segment,
    Slice,
    Wildcard,
    parse_path,
)
from actorfaas.states.scope import Json, Scope, made


class NoMatch(StatesError):
    """A definite path found nothing.

    `detail` says where it ended; `is_past_end`, that its last step is an index that the array there does not have.
    """

    def __init__(self, path: str, detail: str, *, is_past_end: bool = False) -> None:
        super().__init__(STATES_RUNTIME, f"Invalid path '{path}' : {detail}")
        self.path = path
        self.detail = detail
        self.is_past_end = is_past_end


class Path:
    """One path, compiled. Two evaluations never influence each other."""

    __slots__ = ("_finds_one", "_keys", "_segments", "_wants_length", "root", "text")

    def __init__(self, text: str) -> None:
        """Raises ExpressionError."""
        parsed = parse_path(text)
        segments = parsed.segments
        self.text: Final = text
        self.root: Final = parsed.root
        self._wants_length = bool(segments) and isinstance(segments[-1], Length)
        self._segments = segments[:-1] if self._wants_length else segments
        picks_members = bool(self._segments) and isinstance(self._segments[-1], Names)
        self._finds_one = self._is_definite_before(len(self._segments) - picks_members)
        keys = tuple(key for key in self._segments if isinstance(key, str | int))
        self._keys: tuple[str | int, ...] | None = keys if len(keys) == len(self._segments) else None

    @property
    def is_definite(self) -> bool:
        """Whether the path finds one value, or fails; else it finds a list."""
        return self._finds_one or self._wants_length

    @property
    def is_reference(self) -> bool:
        """Whether the path can name one place (a Reference Path): no wildcards, filters, slices or functions."""
        return self._keys is not None and not self._wants_length

    def find(self, scope: Scope) -> Json:
        """What the path finds. Raises NoMatch."""
        if self.root == "$":
            document = scope.input
        elif self.root == "$$":
            document = made(scope.context)
        elif self.root in scope.variables:
            document = scope.variables[self.root]
        else:
            raise NoMatch(self.text, f"The variable '${self.root}' has not been assigned")
        found = self._find_in_steps(document) if self._keys is None else self._find_one(document, self._keys)
        return self._length(found) if self._wants_length else found

    def insert(self, document: Json, value: Json) -> Json:
        """A copy of `document` with `value` at this path; what the path does not touch is shared.

        Objects that are missing on the way are made, items of arrays are not. Raises StatesError
        (States.ResultPathMatchFailure).
        """
        if self._keys is None or self._wants_length:
            raise ValueError(f"{self.text!r} is not a reference path")
        whole: dict[str, Json] = {"": document}
        parent: Json = whole
        last: str | int = ""
        for key in self._keys:
            child = parent.get(last, {}) if isinstance(last, str) else parent[last]
            if isinstance(key, str):
                fits = isinstance(child, dict)
            else:
                fits = isinstance(child, list) and 0 <= key < len(child)
            if not fits:
                cause = f"Unable to apply ReferencePath {self.text} to input {_shown(document)}"
                raise StatesError(STATES_RESULT_PATH, cause)
            parent[last] = child.copy()
            parent, last = parent[last], key
        parent[last] = value
        return whole[""]

    def _find_one(self, document: Json, keys: tuple[str | int, ...]) -> Json:
        value = document
        try:
            for key in keys:
                if type(value) is str:  # an index would find a character
                    raise self._no_match(document, keys)
                value = value[key]
        except (KeyError, IndexError, TypeError):
            raise self._no_match(document, keys) from None
        return value

    def _no_match(self, document: Json, keys: tuple[str | int, ...]) -> NoMatch:
        """Why a definite path found nothing, in AWS's words."""
        shown = "$"
        value: Json = document
        for position, key in enumerate(keys):
            shown += f"['{key}']" if isinstance(key, str) else f"[{key}]"
            found = list(_select(value, key, document))
            if found:
                value = found[0]
                continue
            is_last = position + 1 == len(keys)
            if not isinstance(value, dict if isinstance(key, str) else list):
                kind = "object" if isinstance(key, str) else "array"
                return NoMatch(self.text, f"Expected to find an {kind} at path {shown}")
            detail = f"{'No results for' if is_last else 'Missing property in'} path {shown}"
            return NoMatch(self.text, detail, is_past_end=is_last and isinstance(key, int))
        return NoMatch(self.text, f"No results for path {shown}")

    def _find_in_steps(self, document: Json) -> Json:
        values = [document]
        for position, segment in enumerate(self._segments):
            is_last = position + 1 == len(self._segments)
            if isinstance(segment, Slice | Indexes) and values and self._is_definite_before(position):
                self._check_array(values[0])
            if isinstance(segment, Filter) and position and isinstance(self._segments[position - 1], Descendants):
                # the items of every array below are among the values themselves
                values = [one for one in values if isinstance(one, dict) and segment.accepts(one, document)]
            elif is_last and isinstance(segment, Names):
                values = [_picked(value, segment) for value in values if isinstance(value, dict)]
            else:
                values = [found for value in values for found in _select(value, segment, document)]
        if not self._finds_one:
            return values
        if not values:
            raise NoMatch(self.text, "No results for path")
        return values[0]

    def _check_array(self, value: Json) -> None:
        if not isinstance(value, list):
            raise NoMatch(self.text, f"Only an array can be sliced, not {_shown(value)}")

    def _is_definite_before(self, position: int) -> bool:
        return all(isinstance(segment, str | int) for segment in self._segments[:position])

    def _length(self, found: Json) -> int:
        if not isinstance(found, list | dict):
            raise NoMatch(self.text, "length() needs an array or an object")
        return len(found)


def select(path: Path | None, scope: Scope) -> Json:
    """What InputPath and OutputPath do: None (a path of null) gives an empty object. Raises NoMatch."""
    return {} if path is None else path.find(scope)


def refer(path: Path, scope: Scope, field: str) -> Json:
    """The value of a field such as SecondsPath or TimeoutSecondsPath. Raises StatesError (States.Runtime)."""
    try:
        return path.find(scope)
    except NoMatch:
        cause = f"The {field} parameter does not reference an input value: {path.text}"
        raise StatesError(STATES_RUNTIME, cause) from None


def result_path(text: str) -> Path:
    """A ResultPath: a reference path into the input. Raises ExpressionError."""
    path = Path(text)
    if path.root != "$" or not path.is_reference:
        raise ExpressionError(f"ResultPath must be a reference path into the input, not {text!r}")
    return path


def _select(value: Json, segment: Segment, root: Json) -> Iterator[Json]:
    match segment:
        case Wildcard():
            yield from _children(value)
        case Descendants():
            yield from _all_below(value)
        case Filter():
            candidates = value if isinstance(value, list) else [value]
            yield from (one for one in candidates if isinstance(one, dict | list) and segment.accepts(one, root))
        case Length():
            raise AssertionError("length() is the path's own business")
        case _ if isinstance(value, dict):
            yield from _members(value, segment)
        case _ if isinstance(value, list):
            yield from _items(value, segment)


def _members(value: dict[str, Json], segment: Segment) -> Iterator[Json]:
    match segment:
        case str():
            if segment in value:
                yield value[segment]
        case Names():
            yield from _picked(value, segment).values()


def _items(value: list[Json], segment: Segment) -> Iterator[Json]:
    match segment:
        case int():
            if -len(value) <= segment < len(value):
                yield value[segment]
        case Indexes():
            yield from (value[index] for index in segment.indexes if -len(value) <= index < len(value))
        case Slice():
            yield from value[segment.bounds]


def _children(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _all_below(value: Json) -> Iterator[Json]:
    """The value and all that is in it, each before what it holds. Not recursive: inputs may be nested deeply."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(_children(current)))


def _picked(value: dict[str, Json], segment: Names) -> dict[str, Json]:
    return {name: value[name] for name in segment.names if name in value}


def _shown(document: Json) -> str:
    try:
        return orjson.dumps(document).decode()
    except orjson.JSONEncodeError:  # nested too deeply
        return "(too deep to show)"
