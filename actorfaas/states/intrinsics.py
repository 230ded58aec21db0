"""Calls of intrinsic functions: `States.Format('{} is {}', $.name, States.MathAdd($.age, 1))`.

Owns how a call is written and evaluated, nesting, and the errors; what the functions do is `states.functions`'
business. What a path that finds nothing means is left to who asks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson

from actorfaas.states.errors import STATES_INTRINSIC_FAILURE, ExpressionError, StatesError
from actorfaas.states.functions import FUNCTIONS, BadArgument, Function
from actorfaas.states.path_syntax import closing
from actorfaas.states.paths import Path
from actorfaas.states.scope import Json, Scope

MAX_NESTING = 10

_NAME = re.compile(r"States\.\w+")
_STRING = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_WORD = re.compile(r"[^\s,()']+")
_BLANK = re.compile(r"\s*")
_ESCAPED = re.compile(r"\\([\\{}'])")


@dataclass(frozen=True, slots=True)
class Constant:
    """A string, number, true, false or null."""

    value: Json

    def find(self, scope: Scope) -> Json:
        """The value itself."""
        return self.value


@dataclass(frozen=True, slots=True)
class Reference:
    """A path as an argument."""

    path: Path

    def find(self, scope: Scope) -> Json:
        """What the path finds. Raises paths.NoMatch."""
        return self.path.find(scope)


@dataclass(frozen=True, slots=True)
class Call:
    """A call, compiled. `text` is how the outermost one was written, which is what Step Functions' errors name."""

    text: str
    function: Function
    arguments: tuple[Argument, ...]

    def find(self, scope: Scope) -> Json:
        """The result. Raises StatesError (States.IntrinsicFailure), or paths.NoMatch."""
        values = [argument.find(scope) for argument in self.arguments]
        if self.function.wants_outside:
            values.insert(0, scope.outside)
        try:
            return self.function.call(*values)
        except (BadArgument, RecursionError) as error:
            cause = f"The function '{self.text}' had the following error: {error}"
            raise StatesError(STATES_INTRINSIC_FAILURE, cause) from None


Argument = Constant | Reference | Call


def parse_call(text: str) -> Call:
    """The call that `text` is. Raises ExpressionError."""
    parser = _Parser(text)
    call = parser.call(1)
    parser.skip_blanks()
    if parser.position != len(text):
        raise ExpressionError(f"{text!r} goes on after the function call")
    return call


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def skip_blanks(self) -> None:
        blank = _BLANK.match(self.text, self.position)
        self.position = blank.end() if blank else self.position

    def call(self, depth: int) -> Call:
        self.skip_blanks()
        name = _NAME.match(self.text, self.position)
        function = FUNCTIONS.get(name[0]) if name else None
        if name is None or function is None:
            raise ExpressionError(f"{self.text!r} calls a function that is not one of {', '.join(FUNCTIONS)}")
        if depth > MAX_NESTING:
            raise ExpressionError(f"{self.text!r} has function calls nested deeper than {MAX_NESTING}")
        self.position = name.end()
        self._take("(")
        arguments = self._arguments(name[0], depth)
        most = len(arguments) if function.most is None else function.most
        if not function.least <= len(arguments) <= most:
            raise ExpressionError(f"{name[0]} in {self.text!r} does not take {len(arguments)} arguments")
        return Call(self.text, function, tuple(arguments))

    def _arguments(self, function: str, depth: int) -> list[Argument]:
        """Everything up to the closing bracket."""
        arguments: list[Argument] = []
        self.skip_blanks()
        if self.text.startswith(")", self.position):
            self.position += 1
            return arguments
        while True:
            is_template = function == "States.Format" and not arguments
            arguments.append(self._argument(depth, is_template=is_template))
            self.skip_blanks()
            if self.text.startswith(")", self.position):
                self.position += 1
                return arguments
            self._take(",")

    def _argument(self, depth: int, *, is_template: bool) -> Argument:
        self.skip_blanks()
        if self.text.startswith("$", self.position):
            return Reference(Path(self._path()))
        if self.text.startswith("States.", self.position):
            return self.call(depth + 1)
        if match := _STRING.match(self.text, self.position):
            self.position = match.end()
            # a template's escapes are its own: they tell a brace from a place to fill
            return Constant(match[1] if is_template else _ESCAPED.sub(r"\1", match[1]))
        word = _WORD.match(self.text, self.position)
        if word is None:
            raise ExpressionError(f"{self.text!r} lacks an argument at its character {self.position + 1}")
        self.position = word.end()
        return Constant(self._literal(word[0]))

    def _literal(self, word: str) -> Json:
        try:
            value = orjson.loads(word)
        except orjson.JSONDecodeError:
            value = word
        if isinstance(value, str | list | dict):
            raise ExpressionError(f"{self.text!r} has the argument {word}, which is no path, call, number or 'text'")
        return value

    def _path(self) -> str:
        """A path ends at a comma, a blank or a closing bracket that is not part of it."""
        start = self.position
        while self.position < len(self.text):
            character = self.text[self.position]
            if character in "[(":
                self.position = closing(self.text, self.position)
            elif character in ",)" or character.isspace():
                break
            self.position += 1
        return self.text[start : self.position]

    def _take(self, expected: str) -> None:
        self.skip_blanks()
        if not self.text.startswith(expected, self.position):
            raise ExpressionError(f"{self.text!r} lacks {expected!r} at its character {self.position + 1}")
        self.position += 1
