"""Histograms: precision, merging, and the correction of coordinated omission."""

from __future__ import annotations

import pytest

from actorfaas.load.histogram import Histogram, in_ms


def of(*durations_s: float) -> Histogram:
    histogram = Histogram()
    for one in durations_s:
        histogram.record(one)
    return histogram


def test_figures() -> None:
    found = in_ms(of(*(number / 1000 for number in range(1, 1001))))
    assert found["count"] == 1000
    assert found["p50"] == pytest.approx(500, rel=0.002)
    assert found["p99.9"] == pytest.approx(999, rel=0.002)
    assert found["max"] == pytest.approx(1000, rel=0.002)
    assert found["min"] == 1


def test_nothing_is_zero() -> None:
    assert set(in_ms(Histogram()).values()) == {0}


def test_what_is_out_of_range_counts_as_the_nearest() -> None:
    assert of(0.0, -1.0).max_s == pytest.approx(1e-6)
    assert of(1e6).max_s == pytest.approx(3600, rel=0.002)


def test_merging_and_writing() -> None:
    one, other = of(0.001, 0.002), of(0.5)
    one.add(Histogram.decode(other.encode()))
    assert one.count == 3
    assert one.max_s == pytest.approx(0.5, rel=0.002)
    assert one.min_s == pytest.approx(0.001, rel=0.002)


def test_correction_adds_the_calls_that_a_stall_kept_from_being_made() -> None:
    closed = of(*[0.01] * 99, 1.0)  # one call in a hundred took a second; it should have been a call every 10 ms
    corrected = closed.corrected(0.01)
    assert corrected.count == 99 + 100  # the stall itself and 99 that would have waited 990, 980, ... 10 ms
    assert closed.percentile_s(90) == pytest.approx(0.01, rel=0.002)
    assert corrected.percentile_s(75) == pytest.approx(0.5, rel=0.03)
