"""Tallies: what counts as what, and merging what several processes found."""

from __future__ import annotations

import json

import pytest

from actorfaas.load.plan import TIMED_OUT, UNFINISHED, Call
from actorfaas.load.tally import MOST_NAMES, OTHERS, Tally
from tests.load.kit import answered


def tally() -> Tally:
    return Tally(1.0, late_s=0.01, begin_s=1000.0)


def test_good_answers_by_kind_target_and_time() -> None:
    found = tally()
    answered(found, at_s=0.5, latency_s=0.002, kind="resident")
    answered(found, at_s=1.5, latency_s=0.004, kind="swapped", target=1)
    assert (found.sent, found.ok, found.failed) == (2, 2, 0)
    assert {kind: one.count for kind, one in found.by_kind.items()} == {"resident": 1, "swapped": 1}
    assert [one.intended for one in found.course] == [1, 1]
    assert found.course[1].kinds == {"swapped": 1}
    assert found.parts[1].latency.max_s == pytest.approx(0.004, rel=0.02)


def test_latency_counts_from_the_intended_start() -> None:
    found = tally()
    answered(found, late_s=0.3, latency_s=0.301)
    assert found.latency.max_s == pytest.approx(0.301, rel=0.002)
    assert found.from_send.max_s == pytest.approx(0.001, rel=0.02)
    assert found.lateness.max_s == pytest.approx(0.3, rel=0.002)
    assert found.late == 1


def test_a_quick_refusal_is_no_latency_but_a_timeout_is() -> None:
    found = tally()
    answered(found, latency_s=0.0001, error="429 queue_full")
    answered(found, latency_s=5.0, error=TIMED_OUT)
    assert found.failed == 2
    assert found.errors == {"429 queue_full": 1, TIMED_OUT: 1}
    assert found.latency.count == 1
    assert found.latency.max_s == pytest.approx(5.0, rel=0.002)
    assert set(found.by_kind) == {TIMED_OUT}


def test_a_call_without_an_answer_when_the_run_ended_is_no_failure() -> None:
    found = tally()
    answered(found, error=UNFINISHED)
    assert (found.sent, found.ok, found.failed, found.unfinished) == (1, 0, 0, 1)


def test_servers_do_not_decide_how_much_is_kept() -> None:
    found = tally()
    for number in range(100):
        answered(found, kind=f"kind {number}")
        answered(found, error=f"500 error {number}")
    assert len(found.by_kind) == len(found.errors) == MOST_NAMES + 1
    assert found.errors[OTHERS] == found.by_kind[OTHERS].count == 100 - MOST_NAMES


def test_what_was_not_sent() -> None:
    found = tally()
    found.dropped(Call(2.5, 0, b""))
    assert (found.sent, found.dropped_count) == (0, 1)
    assert [(one.intended, one.dropped) for one in found.course] == [(0, 0), (0, 0), (1, 1)]


def test_answers_are_counted_when_they_come_and_latencies_when_calls_were_due() -> None:
    found = tally()
    answered(found, at_s=0.5, latency_s=3.0)
    assert [one.ok for one in found.course] == [0, 0, 0, 1]
    assert [one.latency.count for one in found.course] == [1, 0, 0, 0]


def test_two_processes_make_the_sum_of_both() -> None:
    whole, halves = tally(), (tally(), tally())
    for number in range(50):
        for one in (whole, halves[number % 2]):
            kind = ("resident", "fork")[number % 3 == 0]
            error = "500" if number % 10 == 0 else ""
            answered(one, at_s=number / 10, latency_s=0.001 * number, target=number % 3, kind=kind, error=error)
    halves[0].dropped(Call(7.0, 1, b""))
    whole.dropped(Call(7.0, 1, b""))
    merged = tally()
    for half in halves:
        merged.merge(Tally.from_json(json.loads(json.dumps(half.to_json()))))
    expected, found = whole.to_json(), merged.to_json()
    for document in (expected, found):  # the order of keys and the time stamps of histograms are no matter
        document.pop("from_send"), document.pop("lateness"), document.pop("by_kind")
        document["parts"] = {key: value[:3] for key, value in sorted(document["parts"].items())}
        document["course"] = [step[:-1] for step in document["course"]]
    assert found == expected
    assert merged.latency.percentiles_s() == whole.latency.percentiles_s()
