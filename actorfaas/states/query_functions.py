"""The functions that JSONata expressions have on Step Functions besides JSONata's own, and those they have not.

`$partition`, `$range`, `$hash`, `$random`, `$uuid` and `$parse` are AWS's (they stand for intrinsic functions, but cut
numbers off instead of rounding them, and many odd arguments make them undefined instead of failing); `$now`, `$millis`
and `$shuffle` are JSONata's, made to take time and chance from `Outside`; `$pad` has a bound; `$eval` is no function,
as on AWS. Regular expressions take linear time where they can.
(https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html)
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import re2
from jsonata.functions import Functions
from jsonata.jexception import JException
from jsonata.jsonata import Jsonata
from jsonata.regex_engine import RegexFlags, default_regex_engine
from jsonata.utils import Utils

from actorfaas.states import functions
from actorfaas.states.functions import BadArgument
from actorfaas.states.scope import Json, Outside

MAX_ITEMS = 1_000_000
"""How many items a range may have."""
MAX_PADDED = 1_000_000
"""How wide `$pad` may make a text."""


def _pattern(text: str, flags: RegexFlags) -> Json:
    """A regular expression that takes linear time, unless it looks around or back, which only Python's own can."""
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not flags.case_insensitive
    try:
        return re2.compile(f"(?m){text}" if flags.multiline else text, options)
    except re2.error:
        return default_regex_engine(text, flags)


class Expression(Jsonata):  # type: ignore[misc]  # the library has no types
    """An expression with bounds that leaves its inputs as they are."""

    def __init__(self, text: str) -> None:
        """Raises what the library raises."""
        super().__init__(text, _pattern)

    def evaluate_group_expression(self, expr: Json, input: Json, environment: Json) -> Json:  # noqa: A002
        """What `INPUT{...}` gives. The library adds an entry to an empty array that it groups."""
        return super().evaluate_group_expression(expr, Utils.create_sequence() if input == [] else input, environment)

    def apply_inner(self, proc: Json, args: Json, input: Json, environment: Json) -> Json:  # noqa: A002
        """What a call gives. The library prints what is called and is no function: it may be a whole input."""
        is_function = isinstance(proc, Jsonata.JFunction | Jsonata.JLambda) or Functions.is_lambda(proc)
        if not is_function and not Functions.is_regex(proc):
            raise JException("T1006", 0)
        return super().apply_inner(proc, args, input, environment)

    def evaluate_range_expression(self, lhs: Json, rhs: Json) -> Json:
        """What `LHS..RHS` gives."""
        if isinstance(lhs, int) and isinstance(rhs, int) and rhs - lhs >= MAX_ITEMS:
            raise JException("D2014", -1, rhs - lhs + 1)
        return super().evaluate_range_expression(lhs, rhs)


_Body = Callable[[list[Json]], Json]


class _Function(Jsonata.JLambda):  # type: ignore[misc]  # the library has no types
    """A function of ours as the library calls it: with a list of arguments, None where one is undefined."""

    def __init__(self, name: str, body: _Body, least: int, most: int) -> None:
        super().__init__(body)
        self._name = name
        self._body = body
        self._least = least
        self._most = most

    def call(self, input: Json, args: list[Json] | None) -> Json:  # noqa: A002  # the library's name
        """The result; undefined where a needed argument is, as JSONata's functions do. Raises JException."""
        given = list(args or ())
        if len(given) > self._most:
            raise _wrong(self._name, f"it does not take {len(given)} arguments")
        given += [None] * (self._least - len(given))
        if any(one is None for one in given[: self._least]):
            return None
        try:
            return self._body(given)
        except BadArgument as error:
            raise _wrong(self._name, str(error)) from None


def named_in(text: str) -> tuple[str, ...]:
    """The functions that an expression mentions, without the dollar sign."""
    return tuple(name for name in (*_FUNCTIONS, "eval") if f"${name}" in text)


def bindings(names: tuple[str, ...], outside: Outside) -> dict[str, Json]:
    """Some functions by name, for one evaluation."""
    found: dict[str, Json] = {}
    for name in names:
        if name == "eval":
            found[name] = None
            continue
        make, least, most = _FUNCTIONS[name]
        found[name] = _Function(name, make(outside), least, most)
    return found


def _wrong(name: str, text: str) -> JException:
    return JException("D3137", -1, f"${name}: {text}")


def _random(outside: Outside) -> _Body:
    def body(given: list[Json]) -> Json:
        if not given or given[0] is None:
            return outside.random()
        return random.Random(functions.whole_of(given[0], "the seed")).random()

    return body


def _now(outside: Outside) -> _Body:
    def body(given: list[Json]) -> Json:
        picture, timezone = (*given, None, None)[:2]
        return Functions.datetime_from_millis(outside.now_ms, picture, timezone)

    return body


def _pad(given: list[Json]) -> Json:
    if isinstance(given[1], int | float) and abs(given[1]) > MAX_PADDED:
        raise BadArgument(f"the width is more than {MAX_PADDED}")
    native = Jsonata.static_frame.lookup("pad")
    return native.call(None, native.validate(given, None))


def _shuffle(outside: Outside) -> _Body:
    def body(given: list[Json]) -> Json:
        items = list(given[0]) if isinstance(given[0], list) else [given[0]]
        return [item for _, item in sorted(((outside.random(), one) for one in items), key=lambda pair: pair[0])]

    return body


def _cut(value: Json, what: str) -> int:
    return functions.whole_of(math.trunc(value) if isinstance(value, float) else value, what)


def _partition(given: list[Json]) -> Json:
    items, size = given[0] if isinstance(given[0], list) else [given[0]], _cut(given[1], "the chunk size")
    return functions.partition(items, size) if items and size else None


def _range(given: list[Json]) -> Json:
    start, stop, step = (_cut(value, "an argument") for value in given)
    if not step:
        return None
    numbers = range(start, stop + (1 if step > 0 else -1), step)
    if numbers[MAX_ITEMS : MAX_ITEMS + 1]:
        raise BadArgument(f"the range has more than {MAX_ITEMS} numbers")
    return numbers[0] if len(numbers) == 1 else list(numbers) or None


# name: (the function's body, given what comes from outside; the fewest and the most arguments)
_FUNCTIONS: dict[str, tuple[Callable[[Outside], _Body], int, int]] = {
    "partition": (lambda outside: _partition, 2, 2),
    "range": (lambda outside: _range, 3, 3),
    "hash": (lambda outside: lambda given: functions.digest(*given), 2, 2),
    "parse": (lambda outside: lambda given: functions.parse_json(given[0]), 1, 1),
    "uuid": (lambda outside: lambda given: outside.uuid(), 0, 0),
    "random": (_random, 0, 1),
    "now": (_now, 0, 2),
    "millis": (lambda outside: lambda given: outside.now_ms, 0, 0),
    "pad": (lambda outside: _pad, 2, 3),
    "shuffle": (_shuffle, 1, 1),
}
