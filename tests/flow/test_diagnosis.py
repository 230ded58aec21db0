"""The bottleneck in a sentence, and what is suggested."""

from __future__ import annotations

import pytest

from actorfaas.flow.critical import Segment, Share
from actorfaas.flow.diagnosis import describe, diagnose, sentence
from actorfaas.flow.graph import graph_of
from actorfaas.flow.replay import Change
from actorfaas.flow.report import document, effect_rows, share_rows
from actorfaas.flow.tree import Forest
from tests.flow.kit import MS
from tests.flow.shapes import mapped

FOREST = Forest(mapped(8, 2, 20).spans)
LIMITS = {"work": 2, "first": 16, "last": 16}


def test_waiting_for_workers_is_named_with_numbers() -> None:
    found = diagnose(FOREST, LIMITS)
    assert found.bottleneck == "work waits 60% of the time for a worker: concurrency 2 (60.0 ms at the median of each)"
    assert found.took_ns == (100 * MS,)


def test_more_workers_and_faster_functions_are_suggested_with_their_gain() -> None:
    found = {describe(effect.change): effect for effect in diagnose(FOREST, LIMITS).effects}
    assert list(found) == ["work with 4 workers", "work with 8 workers", "work 2 times faster", "first 2 times faster"]
    gains = [round(effect.gain, 6) for effect in found.values()]
    assert gains == [0.4, 0.6, 0.4, 0.05]
    assert found["work with 4 workers"].expected_p50_ns == 60 * MS
    assert found["work with 4 workers"].replay_ratio == 1.0


def test_changes_that_are_asked_for_come_first() -> None:
    wanted = Change(workers={"work": 3})
    first = diagnose(FOREST, LIMITS, wanted=(wanted,)).effects[0]
    assert first.change == wanted
    assert first.gain == pytest.approx(0.2)


def test_a_workflow_by_name() -> None:
    assert diagnose(FOREST, LIMITS, "flow").took_ns == (100 * MS,)
    nothing = diagnose(FOREST, LIMITS, "nobody")
    assert (nothing.took_ns, nothing.bottleneck, nothing.effects) == ((), "nothing was observed", ())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("queue", "f waits 50% of the time for a worker: its concurrency is not known"),
        ("run", "f runs 50% of the time"),
        ("start", "f takes 50% of the time to start an instance"),
        ("page-in", "f waits 50% of the time for its memory"),
        ("hand-off", "50% of the time goes into handing on to f"),
        ("wait", "f waits 50% of the time, as it is told to"),
        ("own", "50% of the time is spent around f, in no function"),
    ],
)
def test_every_kind_of_time_has_its_sentence(kind: str, words: str) -> None:
    assert sentence(Share("f", kind, 1, 0.5), [], {}).startswith(words)


def test_the_median_is_of_those_that_have_such_a_part() -> None:
    path, other = [Segment("f", "run", 0, 30 * MS)], [Segment("g", "run", 0, 2 * MS)]
    said = sentence(Share("f", "run", 1, 0.9), [path, other, other], {})
    assert said == "f runs 90% of the time: 30.0 ms at the median of the 1 of 3 where it does"


def test_as_rows_and_as_json() -> None:
    found = diagnose(FOREST, LIMITS)
    assert share_rows(found)[0] == ("60.0%", "work", "queue", "60.000")
    assert effect_rows(found)[0] == ("work with 4 workers", "100.0 ms", "60.0 ms", "40%")
    told = document(graph_of(FOREST), found)
    assert told["bottleneck"] == found.bottleneck
    assert told["what_if"][0]["workers"] == {"work": 4}
    assert told["what_if"][0]["gain"] == pytest.approx(0.4)
    assert {edge["kind"] for edge in told["edges"]} == {"calls", "runs", "follows"}
    assert sum(one["share"] for one in told["critical_path"]) == pytest.approx(1.0)
