"""Replay of traces: reading rows, binding them to names, and when their calls arrive."""

from __future__ import annotations

from random import Random

import pytest

from actorfaas.errors import ConfigError
from actorfaas.load.traces import Replay, Row, bind, capped, read

AZURE = """HashOwner,HashApp,HashFunction,Trigger,1,2,3
o,a,f00d,http,2,0,1
o,a,beef,timer,1,1,1
"""
SAMPLED = """HashFunction,HashApp,HashOwner,minute_1,minute_2
f00d,a,o,5,
"""


def test_rows_of_both_forms() -> None:
    assert read(AZURE.splitlines()) == [Row("f00d", (2, 0, 1)), Row("beef", (1, 1, 1))]
    assert read(SAMPLED.splitlines()) == [Row("f00d", (5, 0))]


def test_some_of_the_minutes() -> None:
    assert read(AZURE.splitlines(), first_minute=1, minutes=1) == [Row("f00d", (0,)), Row("beef", (1,))]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "HashFunction,x\nf,1\n", "HashFunction,1\nf,many\n"])
def test_what_is_no_trace(text: str) -> None:
    with pytest.raises(ConfigError):
        read(text.splitlines())


def test_rows_are_bound_by_number_by_key_and_in_order() -> None:
    rows = [Row(key, ()) for key in ("aa", "ab", "cc", "dd")]
    assert [row.key for row in bind(rows, ["f", "g", "h"], ["", "3", "ab"])] == ["aa", "dd", "ab"]
    assert [row.key for row in bind(rows, ["f", "g"], ["aa", ""])] == ["aa", "ab"]


@pytest.mark.parametrize("wanted", ["a", "x", "9"])
def test_a_row_that_is_not_one(wanted: str) -> None:
    with pytest.raises(ConfigError, match="rows of the trace begin with"):
        bind([Row("aa", ()), Row("ab", ())], ["f"], [wanted])


def test_more_names_than_rows() -> None:
    with pytest.raises(ConfigError, match="none left for g"):
        bind([Row("aa", ())], ["f", "g"], ["", ""])


def test_every_call_is_in_its_minute_scaled() -> None:
    replay = Replay((Row("a", (3, 0, 2)), Row("b", (1, 4))), minute_s=10.0)
    calls = list(replay.calls(Random(1)))
    assert calls == sorted(calls)
    assert calls == list(replay.calls(Random(1)))
    by_minute = [[number for at, number in calls if minute * 10 <= at < minute * 10 + 10] for minute in range(3)]
    assert [(numbers.count(0), numbers.count(1)) for numbers in by_minute] == [(3, 1), (0, 4), (2, 0)]
    assert replay.duration_s == 30
    assert replay.expected == 10


def test_thinning_keeps_the_shape_and_what_is_rare() -> None:
    often, rare = capped([Row("a", (100, 0, 300, 0)), Row("b", (1, 0, 0, 2))], most=10)
    assert often.counts == (2, 0, 8, 0)
    assert rare.counts == (1, 0, 0, 2)
    assert sum(capped([Row("a", (7,) * 1440)], most=599)[0].counts) == 599


def test_a_share_of_the_calls() -> None:
    replay = Replay((Row("a", (1000,)), Row("b", (1,) * 1000)), share=0.1)
    calls = list(replay.calls(Random(1)))
    assert sum(number == 0 for _, number in calls) == 100
    assert 60 < sum(number == 1 for _, number in calls) < 140
