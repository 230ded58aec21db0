"""Random compositions: they compile to valid definitions, and run to what plain Python computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from actorfaas import choose, each, event, fail, parallel, pass_, succeed, wait, when
from actorfaas.composing import Composable, Group
from actorfaas.declarations import Function, Workflow
from actorfaas.states.validate import validate

Json = Any  # a decoded JSON document
Meaning = Callable[[Json], Json]
Meant = tuple[Composable, Meaning]
"""A composition, and the same in plain Python."""


class Ended(Exception):
    """`succeed()`: the machine ends with a value."""


class Raised(Exception):
    """A failure with an error name and a cause."""


def add(value: Json) -> Json:
    """More of it."""
    return value + 1 if isinstance(value, int) else [value]


def pair(value: Json) -> Json:
    return [value, 1]


def refuse(value: Json) -> Json:
    raise ValueError("refused")


def refused(value: Json) -> Json:
    raise Raised("ValueError", "refused")


def ended(value: Json) -> Json:
    raise Ended(value)


def failed(value: Json) -> Json:
    raise Raised("Stop", "because")


ADD, PAIR, REFUSE = Function(add), Function(pair), Function(refuse)

LEAVES: list[Meant] = [
    (ADD, add),
    (PAIR, pair),
    (REFUSE, refused),
    (wait(3), lambda value: value),
    (pass_({"a": 1}), lambda value: {"a": 1}),
    (pass_(), lambda value: value),
    (succeed(), ended),
    (fail("Stop", "because"), failed),
]

CONDITIONS: list[tuple[Any, Callable[[Json], bool]]] = [
    (event.is_number() & (event > 1), lambda value: isinstance(value, int) and value > 1),
    (~event.is_number() | (event == 0), lambda value: not isinstance(value, int) or value == 0),
    (event.a.exists(), lambda value: isinstance(value, dict) and "a" in value),
    (event.is_string(), lambda value: isinstance(value, str)),
]


def machine(meaning: Meaning) -> Meaning:
    """What a whole machine means: `succeed` ends it."""

    def run(value: Json) -> Json:
        try:
            return meaning(value)
        except Ended as end:
            return end.args[0]

    return run


def side_by_side(runs: list[Meaning], values: list[Json]) -> Json:
    """The results; where several fail, it must not matter which of them is the first to."""
    results, errors = [], set()
    for run, value in zip(runs, values, strict=True):
        try:
            results.append(run(value))
        except Raised as error:
            errors.add(error.args)
    assume(len(errors) < 2)
    for name, cause in errors:
        raise Raised(name, cause)
    return results


def in_turn(first: Meant, second: Meant) -> Meant:
    if first[0].ends:
        return first
    return first[0] >> second[0], lambda value: second[1](first[1](value))


def at_once(parts: list[Meant]) -> Meant:
    runs = [machine(meaning) for _, meaning in parts]
    return parallel(*(one for one, _ in parts)), lambda value: side_by_side(runs, [value] * len(runs))


def for_each(body: Meant) -> Meant:
    run = machine(body[1])
    return PAIR >> each(body[0]), lambda value: side_by_side([run, run], pair(value))


def chosen(condition: tuple[Any, Callable[[Json], bool]], then: Meant, other: Meant | None) -> Meant:
    otherwise = other[1] if other else lambda value: value
    composition = choose(when(condition[0], then[0]), otherwise=other[0] if other else None)
    return composition, lambda value: then[1](value) if condition[1](value) else otherwise(value)


def caught(body: Meant, handler: Meant, name: str) -> Meant:
    # a function is caught itself; everything else becomes a machine of its own, which `succeed` ends
    run = body[1] if isinstance(body[0], Function) else machine(body[1])

    def attempt(value: Json) -> Json:
        try:
            return run(value)
        except Raised as error:
            if name not in (error.args[0], "States.ALL"):
                raise
            return handler[1]({"Error": error.args[0], "Cause": error.args[1]})

    step = body[0] if isinstance(body[0], Function) else Group((body[0],))
    return step.retry("ValueError", times=1).catch(name, handler[0]), attempt


def larger(inner: st.SearchStrategy[Meant]) -> st.SearchStrategy[Meant]:
    return st.one_of(
        st.builds(in_turn, inner, inner),
        st.builds(at_once, st.lists(inner, min_size=1, max_size=3)),
        st.builds(for_each, inner),
        st.builds(chosen, st.sampled_from(CONDITIONS), inner, st.none() | inner),
        st.builds(caught, inner, inner, st.sampled_from(["ValueError", "Stop", "States.ALL"])),
    )


compositions = st.recursive(st.sampled_from(LEAVES), larger, max_leaves=12)


@given(compositions, st.integers(0, 3) | st.just("text"))
def test_a_composition_runs_to_what_plain_python_computes(meant: Meant, value: Json) -> None:
    composition, meaning = meant
    made = Workflow("w", composition, module=__name__, description="")
    assert validate(json.dumps(made.asl).encode()) == []
    try:
        expected = ("succeeded", machine(meaning)(value), "", "")
    except Raised as error:
        expected = ("failed", None, *error.args)
    done = made.test(value)
    assert (done.status, done.output, done.error, done.cause) == expected
