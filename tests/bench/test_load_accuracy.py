"""The server of known delays, and what must be seen of it."""

from __future__ import annotations

import random
import shutil

import pytest

from bench.delaying import Delays, serving
from bench.load_accuracy import MIXTURE, PERCENTS, STALLS, loaded, wrk


def test_percentiles_of_a_mixture() -> None:
    assert [MIXTURE.percentile_ms(percent) for percent in (0, 50, 95, 99.5)] == [2.0, 2.0, 10.0, 50.0]


def test_percentiles_under_stalls_are_those_of_simulated_arrivals() -> None:
    chance = random.Random(1)
    arrivals = [chance.uniform(0, 500) for _ in range(200_000)]
    waits_ms = sorted((STALLS.due_s(at, chance) - at) * 1000 for at in arrivals)
    for percent in PERCENTS:
        found = waits_ms[int(len(waits_ms) * percent / 100)]
        assert found == pytest.approx(STALLS.percentile_ms(percent), rel=0.02)


def test_answers_are_held_until_the_stall_is_over() -> None:
    delays = Delays(((1.0, 1.0),), every_s=5.0, stall_s=1.0)
    chance = random.Random(1)
    assert delays.due_s(100.25, chance) == pytest.approx(101.001)
    assert delays.due_s(101.5, chance) == pytest.approx(101.501)
    assert Delays(((3.0, 1.0),)).due_s(7.0, chance) == pytest.approx(7.003)


@pytest.mark.system
def test_no_call_is_answered_early() -> None:
    with serving(Delays(((20.0, 1.0),))) as url:
        outcome = loaded(url, "constant 100/s 500ms")
    assert outcome.tally.ok == 50
    assert outcome.tally.latency.min_s >= 0.0199


@pytest.mark.system
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_what_wrk_says_can_be_read() -> None:
    with serving(Delays(((20.0, 1.0),))) as url:
        measured = wrk(url, 1.0)
    assert measured.rate > 0
    assert measured.latency_ms[50.0] >= 19.9
