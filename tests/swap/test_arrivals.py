"""Arrival histograms: what is predicted of which pattern."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorfaas.swap.arrivals import SECOND_NS, ArrivalRules, Arrivals, Prediction, TimesHistogram

MINUTE_NS = 60 * SECOND_NS


def arrivals_every(period_ns: int, times: int = 40) -> Arrivals:
    arrivals = Arrivals()
    for number in range(times):
        arrivals.arrived(number * period_ns)
    return arrivals


def test_before_the_first_call_nothing_is_expected() -> None:
    arrivals = Arrivals()
    assert arrivals.window() is None
    arrivals.arrived(5)
    window = arrivals.window()
    assert window is not None
    assert (window.start_ns, window.end_ns) == (5, 5 + ArrivalRules().default_keep_ns)


@pytest.mark.parametrize(
    ("period_ns", "basis"),
    [
        (30 * SECOND_NS, "seconds"),
        (10 * MINUTE_NS, "minutes"),
        (200 * MINUTE_NS, "minutes"),
        (600 * MINUTE_NS, "series"),
    ],
)
def test_a_regular_function_is_ready_shortly_before_it_is_called(period_ns: int, basis: str) -> None:
    arrivals = arrivals_every(period_ns)
    prediction = arrivals.prediction()
    assert prediction.basis == basis
    assert 0.8 * period_ns <= prediction.ready_after_ns <= period_ns
    assert period_ns <= prediction.keep_until_ns <= 1.3 * period_ns
    window = arrivals.window()
    assert window is not None
    assert window.start_ns == 39 * period_ns + prediction.ready_after_ns


def test_a_busy_function_stays_resident() -> None:
    prediction = arrivals_every(SECOND_NS // 10).prediction()
    assert prediction.ready_after_ns == 0
    assert prediction.keep_until_ns <= 2 * SECOND_NS


def test_bursts_keep_it_resident_until_the_next_burst() -> None:
    arrivals = Arrivals()
    for burst in range(40):
        for call in range(4):
            arrivals.arrived(burst * 60 * SECOND_NS + call * SECOND_NS // 2)
    prediction = arrivals.prediction()
    assert prediction.ready_after_ns == 0
    assert 58 * SECOND_NS <= prediction.keep_until_ns <= 70 * SECOND_NS


def test_even_times_say_nothing() -> None:
    arrivals = Arrivals()
    now_ns = 0
    for number in range(400):
        now_ns += (number * 37) % 110 * SECOND_NS
        arrivals.arrived(now_ns)
    assert arrivals.prediction() == Prediction("default", 0, ArrivalRules().default_keep_ns)


def test_a_changed_pattern_is_learned() -> None:
    arrivals = arrivals_every(10 * SECOND_NS, 3000)
    now_ns = 3000 * 10 * SECOND_NS
    for _ in range(9000):
        now_ns += 50 * SECOND_NS
        arrivals.arrived(now_ns)
    assert arrivals.prediction().ready_after_ns > 40 * SECOND_NS


def test_calls_reported_out_of_order_are_simultaneous() -> None:
    arrivals = Arrivals()
    for now_ns in (100, 90, 110, 100):
        arrivals.arrived(now_ns)
    window = arrivals.window()
    assert window is not None
    assert window.start_ns == 110


@given(st.lists(st.integers(0, 10**15), max_size=300))
def test_predictions_are_windows_that_follow_the_last_call(gaps_ns: list[int]) -> None:
    arrivals = Arrivals()
    now_ns = 0
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        arrivals.arrived(now_ns)
        prediction, window = arrivals.prediction(), arrivals.window()
        assert window is not None
        assert now_ns <= window.start_ns <= window.end_ns
        assert prediction.basis in ("seconds", "minutes", "series", "default")


@given(st.lists(st.integers(0, 30), max_size=200))
def test_the_variation_kept_is_that_of_the_bins(times: list[int]) -> None:
    histogram = TimesHistogram(1, 20, halve_at=50)
    for time in times:
        histogram.observe(time)
    counts = list(histogram._bins)
    assert histogram.total == sum(counts)
    assert histogram.total + histogram.out_of_bounds < 50
    if sum(counts):
        mean = sum(counts) / 20
        variance = sum((count - mean) ** 2 for count in counts) / 20
        assert histogram.variation == pytest.approx(variance**0.5 / mean)


def test_memory_is_bounded() -> None:
    histogram = TimesHistogram(SECOND_NS, 240)
    for number in range(20_000):
        histogram.observe(number % 300 * SECOND_NS)
    assert sys.getsizeof(histogram._bins) < 1000
    assert max(histogram._bins) < 1024
