"""Steps of a prefetch, and when a record is out of date."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from actorfaas.swap.prefetch import Drift, DriftRules, PrefetchStrategy, batches
from actorfaas.swap.ranges import PAGE_SIZE as P
from actorfaas.swap.ranges import page_addresses
from actorfaas.swap.working_set import FileRange, Group, WorkingSet

LIBRARY = FileRange(1000 * P, 3 * P, "/lib/a.so", 8 * P)
RECORD = WorkingSet("", (Group(((9 * P, 2 * P),), (LIBRARY,)), Group(((P, P),))))


def test_reap_reads_everything_before_the_call() -> None:
    (only,) = batches(RECORD, "reap")
    assert only.memory == ((9 * P, 2 * P), (P, P))
    assert only.files == (LIBRARY,)
    assert only.before_call


def test_faasnap_reads_group_after_group_while_the_call_runs() -> None:
    first, second = batches(RECORD, "faasnap")
    assert (first.memory, first.files) == (((9 * P, 2 * P),), (LIBRARY,))
    assert (second.memory, second.files) == (((P, P),), ())
    assert not first.before_call
    assert not second.before_call


def test_long_ranges_are_cut() -> None:
    parts = [part for batch in batches(RECORD, "reap", 2 * P) for part in batch.files]
    assert parts == [LIBRARY._replace(length_bytes=2 * P), FileRange(1002 * P, P, "/lib/a.so", 10 * P)]


starts = st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9)), min_size=1, max_size=6)


@given(st.lists(starts, max_size=5), st.integers(1, 10), st.sampled_from(["reap", "faasnap"]))
def test_batches_are_the_record_in_order_within_their_size(
    groups: list[list[tuple[int, int]]], pages: int, strategy: PrefetchStrategy
) -> None:
    record = WorkingSet("", tuple(Group(tuple((s * P, n * P) for s, n in group)) for group in groups))
    found = list(batches(record, strategy, pages * P))
    assert list(page_addresses(r for b in found for r in b.memory)) == list(page_addresses(record.memory))
    assert all(0 < sum(length for _, length in batch.memory) <= pages * P for batch in found)


def test_a_record_that_fits_stays() -> None:
    drift = Drift()
    assert not any(drift.called(20, 100) for _ in range(100))
    assert not any(drift.called(90, 1000) for _ in range(100))


def test_few_bad_calls_are_no_drift() -> None:
    drift = Drift(DriftRules(window_calls=8))
    assert not any(drift.called(10_000 if call % 2 else 0, 100) for call in range(100))


def test_a_lasting_change_is_recorded_again_soon() -> None:
    drift = Drift(DriftRules(window_calls=8))
    for _ in range(50):
        drift.called(0, 100)
    assert [drift.called(500, 100) for _ in range(5)] == [False, False, False, False, True]


def test_recording_that_does_not_help_is_tried_ever_more_rarely() -> None:
    drift = Drift(DriftRules(window_calls=4, most_skipped_calls=64))
    tries = [call for call in range(2000) if drift.called(500, 100)]
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses[:5] == [4, 8, 12, 20, 36]
    assert set(pauses[6:]) == {68}


def test_a_good_spell_ends_the_pauses() -> None:
    drift = Drift(DriftRules(window_calls=4))
    for _ in range(200):
        drift.called(500, 100)
    for _ in range(2000):
        drift.called(0, 100)
    assert any(drift.called(500, 100) for _ in range(4))
