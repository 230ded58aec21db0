"""Steps of a prefetch, and when a record is out of date."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from actorfaas.swap.prefetch import MOST_PLANS, SCATTERED_PARTS, Drift, DriftRules, Pages, Plans, plan
from actorfaas.swap.ranges import PAGE_SIZE as P
from actorfaas.swap.ranges import Range, intersect, normalise, page_addresses, subtract, total_bytes
from actorfaas.swap.working_set import FileRange, Group, WorkingSet

LIBRARY = FileRange(1000 * P, 3 * P, "/lib/a.so", 8 * P)
RECORD = WorkingSet("", (Group(((9 * P, 2 * P),), (LIBRARY,)), Group(((P, P),))))


def test_a_plan_reads_in_access_order_then_files_and_maps_shared_pages_apart() -> None:
    made = plan(WorkingSet("", RECORD.groups, shared=((10 * P, P),)))
    (only,) = made.steps
    assert only.ranges == ((9 * P, 2 * P), (P, P), (1000 * P, 3 * P))
    assert only.pages == Pages(((9 * P, P), (P, P), (1000 * P, 3 * P)), ((10 * P, P),))
    assert made.scattered == ()
    assert made.files == ()
    assert made.length_bytes == 6 * P


def test_pages_that_advice_does_not_read_are_divided_among_readers() -> None:
    copies = tuple((page * P, P) for page in range(0, 100, 2))
    record = WorkingSet("", (Group(((1001 * P, P), *copies)),), shared=copies[:3], scattered=copies)
    made = plan(record)
    assert [step.ranges for step in made.steps] == [((1001 * P, P),)]
    assert len(made.scattered) == SCATTERED_PARTS
    assert [one for part in made.scattered for one in (*part.shared, *part.own)] == list(copies)
    assert made.scattered[0].shared == copies[:3]


def test_memory_that_was_nowhere_is_mapped_apart_for_writing() -> None:
    record = WorkingSet("", (Group(((P, 4 * P), (9 * P, P))),), fresh=((2 * P, 2 * P),))
    made = plan(record)
    (only,) = made.steps
    assert only.ranges == ((P, 4 * P), (9 * P, P)), "some of it may hold something by now"
    assert only.pages.own == ((P, P), (4 * P, P), (9 * P, P))
    assert made.fresh == ((2 * P, 2 * P),)
    assert made.length_bytes == 3 * P


def test_what_is_read_at_once_is_more_than_what_is_mapped() -> None:
    record = WorkingSet("", (Group(((P, P), (5 * P, P))), Group(((3 * P, P),))), spans=((P, 5 * P),))
    (only,) = plan(record).steps
    assert only.ranges == ((P, 5 * P),)
    assert only.pages.own == ((P, P), (3 * P, P), (5 * P, P))


def test_files_that_are_mapped_somewhere_else_are_only_read() -> None:
    elsewhere = RECORD.for_layout("another")
    made = plan(elsewhere)
    assert made.steps == ()
    assert made.files == (LIBRARY._replace(address=0),)
    assert made.length_bytes == LIBRARY.length_bytes


def test_a_plan_is_made_once_for_each_record() -> None:
    plans = Plans()
    made = plans.of(RECORD)
    assert plans.of(RECORD) is made
    for number in range(MOST_PLANS):
        plans.of(WorkingSet(str(number), ()))
    assert plans.of(RECORD) is not made
    assert plans.of(RECORD) == made


starts = st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9)), min_size=1, max_size=6)


@given(st.lists(starts, max_size=5), starts, starts, st.integers(1, 10))
def test_every_page_is_read_once_and_mapped_once(
    groups: list[list[tuple[int, int]]], shared: list[tuple[int, int]], scattered: list[tuple[int, int]], pages: int
) -> None:
    everything: list[Range] = []
    made = []
    for group in groups:  # no page is in two of them
        fresh = subtract(normalise((s * P, n * P) for s, n in group), everything)
        everything = normalise([*everything, *fresh])
        made.append(Group(tuple(fresh)))
    parts = [tuple(intersect(everything, normalise((s * P, n * P) for s, n in some))) for some in (shared, scattered)]
    record = WorkingSet("", tuple(made), shared=parts[0], scattered=parts[1])
    found = plan(record, pages * P)
    in_order = [at for at in page_addresses(record.memory) if at not in set(page_addresses(record.scattered))]
    assert list(page_addresses(r for step in found.steps for r in step.ranges)) == in_order
    assert all(0 < total_bytes(step.ranges) <= pages * P for step in found.steps)
    mapped = [*(step.pages for step in found.steps), *found.scattered]
    addresses = [at for one in mapped for at in page_addresses((*one.own, *one.shared))]
    assert sorted(addresses) == list(page_addresses(everything))
    assert normalise(r for one in mapped for r in one.shared) == list(record.shared)


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
