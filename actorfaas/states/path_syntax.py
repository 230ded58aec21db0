"""The syntax of paths: text to segments, once per definition.

Owns what a path may look like (JSONPath as Step Functions takes it, which is Jayway's, older than RFC 9535). What a
path finds is `states.paths`' business; what is inside a filter's brackets is left to a JSONPath library, which is
imported only when there is a filter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from actorfaas.states.errors import ExpressionError
from actorfaas.states.scope import Json

_VARIABLE = re.compile(r"[^\W\d]\w*")
_NAME = re.compile(r"""[^\s.\[\]()*?'",]+""")
_INDEX = re.compile(r"\s*(-?\d+)\s*")
_SLICE = re.compile(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(-?\d+)?\s*)?")
_QUOTED = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*""", re.DOTALL)
_ESCAPED = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Names:
    """`['a','b']`"""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Indexes:
    """`[0,2]`"""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """`[1:3]`"""

    bounds: slice


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`[*]` or `.*`"""


@dataclass(frozen=True, slots=True)
class Descendants:
    """`..`: the value itself and everything below it; the segment after it selects from each."""


@dataclass(frozen=True, slots=True)
class Length:
    """`.length()`: how many items or members. The only function of Jayway's that Step Functions evaluates."""


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?(@.a == 1)]`; `accepts(value, root)`."""

    accepts: Callable[[Json, Json], bool]


# a bare str is a member's name, a bare int an item's index
Segment = str | int | Names | Indexes | Slice | Wildcard | Descendants | Length | Filter


@dataclass(frozen=True, slots=True)
class ParsedPath:
    """`root` is "$", "$$" or a variable's name."""

    root: str
    segments: tuple[Segment, ...]


def parse_path(text: str) -> ParsedPath:
    """The segments of a path. Raises ExpressionError."""
    if not text.startswith("$"):
        raise ExpressionError(f"the path {text!r} does not begin with $")
    root, position = "$", 1
    if text.startswith("$$"):
        root, position = "$$", 2
    elif variable := _VARIABLE.match(text, 1):
        root, position = variable[0], variable.end()
    segments: list[Segment] = []
    while position < len(text):
        position = _segment(text, position, segments)
    if segments and isinstance(segments[-1], Descendants):
        raise ExpressionError(f"the path {text!r} ends with '..'")
    return ParsedPath(root, tuple(segments))


def _segment(text: str, position: int, segments: list[Segment]) -> int:
    """Read one segment at `position`; where the next one begins."""
    if text.startswith("..", position):
        segments.append(Descendants())
        position += 2
        if text.startswith("[", position) or position == len(text):
            return position
        return _member(text, position, segments)
    if text.startswith(".", position):
        position += 1
        if not text.startswith("[", position):
            return _member(text, position, segments)
    if not text.startswith("[", position):
        raise ExpressionError(f"the path {text!r} is wrong at {text[position:]!r}")
    end = closing(text, position)
    segments.append(_bracket(text, text[position + 1 : end]))
    return end + 1


def _member(text: str, position: int, segments: list[Segment]) -> int:
    """What follows a dot."""
    if text.startswith("*", position):
        segments.append(Wildcard())
        return position + 1
    name = _NAME.match(text, position)
    if name is None:
        raise ExpressionError(f"the path {text!r} lacks a name at its character {position + 1}")
    if text.startswith("(", name.end()):
        if text[position:] != "length()":
            raise ExpressionError(f"the path {text!r} calls a function; only length(), at the end, can be")
        segments.append(Length())
        return len(text)
    segments.append(name[0])
    return name.end()


def closing(text: str, position: int) -> int:
    """Where the bracket that opens at `position` closes, past quoted text and nested brackets."""
    depth = 0
    quote = ""
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character == "/" and text[:position].rstrip().endswith("=~"):
            quote = "/"
        elif character in "[(":
            depth += 1
        elif character in "])":
            depth -= 1
            if not depth:
                return position
        position += 1
    raise ExpressionError(f"a bracket of {text!r} is not closed")


def _bracket(text: str, inside: str) -> Segment:
    bare = inside.strip()
    if bare == "*":
        return Wildcard()
    if bare.startswith("?"):
        return Filter(_filter(text, bare))
    if match := _SLICE.fullmatch(inside):
        start, stop, step = (None if bound is None else int(bound) for bound in match.groups())
        if step == 0:
            raise ExpressionError(f"the slice in {text!r} has no step")
        return Slice(slice(start, stop, step))
    if indexes := _separated(_INDEX, inside):
        found = tuple(int(one[1]) for one in indexes)
        return found[0] if len(found) == 1 else Indexes(found)
    if names := _separated(_QUOTED, inside):
        found_names = tuple(_unescaped(one[1] if one[1] is not None else one[2]) for one in names)
        return found_names[0] if len(found_names) == 1 else Names(found_names)
    raise ExpressionError(f"the path {text!r} has {inside!r} in brackets, which selects nothing")


def _unescaped(quoted: str) -> str:
    """A quoted name: escapes are those of JSON; before any other character, \\ stands for nothing."""
    if "\\" not in quoted:
        return quoted
    text = _ESCAPED.sub(
        lambda one: chr(int(one[1][1:], 16)) if len(one[1]) > 1 else _ESCAPES.get(one[1], one[1]), quoted
    )
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _separated(pattern: re.Pattern[str], inside: str) -> list[re.Match[str]]:
    """The elements of a list with commas, or nothing where one of them is something else."""
    found: list[re.Match[str]] = []
    position = 0
    while True:
        match = pattern.match(inside, position)
        if match is None:
            return []
        found.append(match)
        position = match.end()
        if position == len(inside):
            return found
        if inside[position] != ",":
            return []
        position += 1


def _filter(text: str, expression: str) -> Callable[[Json, Json], bool]:
    # slow to import, and few definitions have filters
    from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError
    from jsonpath.selectors import Filter as LibraryFilter
    from jsonpath.selectors import FilterContext

    environment = JSONPathEnvironment()
    try:
        compiled = environment.compile(f"$[{expression}]")
    except (JSONPathError, RecursionError) as error:
        raise ExpressionError(f"the filter in {text!r} is wrong: {str(error).splitlines()[0]}") from error
    segments = compiled.segments if isinstance(compiled, JSONPath) else ()
    selectors = segments[0].selectors if len(segments) == 1 else ()
    condition = selectors[0] if len(selectors) == 1 else None
    if not isinstance(condition, LibraryFilter):
        raise ExpressionError(f"the filter in {text!r} is wrong: it must be one, alone in its brackets")

    def accepts(value: Json, root: Json) -> bool:
        try:
            context = FilterContext(env=environment, current=value, root=root)
            return bool(condition.expression.evaluate(context))
        except (JSONPathError, RecursionError):
            return False  # values that cannot be compared do not match

    return accepts
