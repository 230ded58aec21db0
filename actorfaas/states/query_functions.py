"""The functions that JSONata expressions have on Step Functions besides JSONata's own, and those they have not.

`$partition`, `$range`, `$hash`, `$random`, `$uuid` and `$parse` are AWS's (they stand for intrinsic functions);
`$now`, `$millis` and `$shuffle` are JSONata's, made to take time and chance from `Outside`; `$eval` is refused, as AWS
does. (https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html)
"""

from __future__ import annotations

import random
from collections.abc import Callable

from jsonata.functions import Functions
from jsonata.jexception import JException
from jsonata.jsonata import Jsonata
from jsonata.utils import Utils

from actorfaas.states import functions
from actorfaas.states.functions import BadArgument
from actorfaas.states.scope import Json, Outside


class Expression(Jsonata):  # type: ignore[misc]  # the library has no types
    """An expression that leaves its inputs as they are; the library's own adds an entry to an empty array it groups."""

    def evaluate_group_expression(self, expr: Json, input: Json, environment: Json) -> Json:  # noqa: A002
        """What `INPUT{...}` gives."""
        return super().evaluate_group_expression(expr, Utils.create_sequence() if input == [] else input, environment)


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
        if not self._least <= len(given) <= self._most:
            raise _wrong(self._name, f"it does not take {len(given)} arguments")
        if any(one is None for one in given[: self._least]):
            return None
        try:
            return self._body(given)
        except BadArgument as error:
            raise _wrong(self._name, str(error)) from None


def named_in(text: str) -> tuple[str, ...]:
    """The functions that an expression mentions, without the dollar sign."""
    return tuple(name for name in _FUNCTIONS if f"${name}" in text)


def bindings(names: tuple[str, ...], outside: Outside) -> dict[str, Json]:
    """Some functions by name, for one evaluation."""
    found: dict[str, Json] = {}
    for name in names:
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


def _shuffle(outside: Outside) -> _Body:
    def body(given: list[Json]) -> Json:
        items = list(given[0]) if isinstance(given[0], list) else [given[0]]
        return [item for _, item in sorted(((outside.random(), one) for one in items), key=lambda pair: pair[0])]

    return body


def _refused(given: list[Json]) -> Json:
    raise BadArgument("Step Functions does not support it; use $parse for JSON text")


# name: (the function's body, given what comes from outside; the fewest and the most arguments)
_FUNCTIONS: dict[str, tuple[Callable[[Outside], _Body], int, int]] = {
    "partition": (lambda outside: lambda given: functions.partition(_items(given[0]), given[1]), 2, 2),
    "range": (lambda outside: lambda given: functions.number_range(*given), 3, 3),
    "hash": (lambda outside: lambda given: functions.digest(*given), 2, 2),
    "parse": (lambda outside: lambda given: functions.parse_json(given[0]), 1, 1),
    "uuid": (lambda outside: lambda given: outside.uuid(), 0, 0),
    "random": (_random, 0, 1),
    "now": (_now, 0, 2),
    "millis": (lambda outside: lambda given: outside.now_ms, 0, 0),
    "shuffle": (_shuffle, 1, 1),
    "eval": (lambda outside: _refused, 0, 2),
}


def _items(value: Json) -> Json:
    """JSONata takes a single value for an array of one."""
    return value if isinstance(value, list) else [value]
