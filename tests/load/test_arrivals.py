"""When calls arrive: the language of phases, and the times that they make."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from actorfaas.errors import ConfigError
from actorfaas.load.arrivals import Burst, Pause, Stream, duration_s, parse, times


def test_the_language() -> None:
    text = "poisson 200/s 30s, constant 10..500/s 1m, burst 100 every 2s 20s, pause 500ms, poisson 30/m 2m"
    assert parse(text) == (
        Stream(200, 200, 30),
        Stream(10, 500, 60, even=True),
        Burst(100, 2, 20),
        Pause(0.5),
        Stream(0.5, 0.5, 120),
    )


def test_what_is_written_can_be_read_again() -> None:
    phases = parse("poisson 1..20/s 3s, constant 5/s 1s, burst 3 every 500ms 2s, pause 1s")
    assert parse(", ".join(map(str, phases))) == phases


@pytest.mark.parametrize(
    "text",
    ["", "poisson 200", "poisson x/s 3s", "poisson 0/s 3s", "burst 0 every 1s 2s", "constant 5/s 3", "ramp 1/s 1s"],
)
def test_what_is_no_phase_is_named(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


@pytest.mark.parametrize(("text", "expected_s"), [("500ms", 0.5), ("1.5m", 90.0), ("250us", 0.00025), ("2h", 7200.0)])
def test_durations(text: str, expected_s: float) -> None:
    assert duration_s(text) == pytest.approx(expected_s)


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert list(times(parse("constant 4/s 1s"), Random(1))) == [0.0, 0.25, 0.5, 0.75]


def test_phases_follow_each_other() -> None:
    found = list(times(parse("burst 2 every 1s 2s, pause 3s, constant 1/s 2s"), Random(1)))
    assert found == [0.0, 0.0, 1.0, 1.0, 5.0, 6.0]


def test_a_ramp_has_as_many_calls_as_its_mean_rate_and_most_at_its_end() -> None:
    found = list(times(parse("constant 0..100/s 10s"), Random(1)))
    assert len(found) == 500
    assert sum(at < 5 for at in found) == 125  # a quarter of the area under the line
    gaps = [later - earlier for earlier, later in pairwise(found)]
    assert gaps == sorted(gaps, reverse=True)


def test_poisson_arrivals_are_those_of_the_seed() -> None:
    phases = parse("poisson 100/s 100s")
    found = list(times(phases, Random(7)))
    assert found == list(times(phases, Random(7)))
    assert found != list(times(phases, Random(8)))
    assert found == sorted(found)
    assert abs(len(found) - 10_000) < 4 * 100  # four standard deviations


def test_gaps_of_poisson_arrivals_are_exponential() -> None:
    found = list(times(parse("poisson 100/s 200s"), Random(3)))
    gaps = [later - earlier for earlier, later in pairwise(found)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert variance**0.5 == pytest.approx(mean, rel=0.05)
    assert sum(gap > mean for gap in gaps) / len(gaps) == pytest.approx(0.3679, abs=0.015)
