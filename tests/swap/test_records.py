"""Which records are known, which fit, and when one is made again."""

from __future__ import annotations

import pytest

from actorfaas.swap.records import MOST_GROWTHS, MOST_LOOKS, Records
from actorfaas.swap.working_set import FileRange, Group, WorkingSet

PAGE = 4096
HERE, ELSEWHERE = "boot/1-2", "boot/3-4"
F = "f@1"


def record(pages: int = 100, layout: str = HERE) -> WorkingSet:
    return WorkingSet(layout, (Group(((PAGE, pages * PAGE),), (FileRange(PAGE << 20, PAGE, "/lib/x", 0),)),))


def record_twice(records: Records, found: WorkingSet) -> None:
    assert not records.recorded(F, found)
    assert records.recorded(F, found, found)


def drift(records: Records) -> None:
    """Calls fault so often that the record is outdated."""
    for _ in range(8):
        assert not records.is_wanted(F, HERE)
        records.called(F, 90)
    assert records.is_wanted(F, HERE)


def grow(records: Records, first_page: int) -> bool:
    known = records.fitting(F, HERE)
    assert known is not None
    return records.grow(F, known, known.grown(WorkingSet(HERE, (Group(((first_page * PAGE, 2 * PAGE),)),))))


@pytest.fixture
def records() -> Records:
    return Records()


def test_without_a_record_one_is_wanted(records: Records) -> None:
    assert not records.is_known(F)
    assert records.is_wanted(F, HERE)
    assert records.fitting(F, HERE) is None
    assert records.size_bytes(F) == 0
    assert not records.is_known(F)  # looking at it is not loading it
    records.loaded(F, None)
    assert records.is_known(F)
    assert records.is_wanted(F, HERE)


def test_a_record_fits_its_address_space(records: Records) -> None:
    record_twice(records, record())
    assert records.is_known(F)
    assert not records.is_wanted(F, HERE)
    assert records.fitting(F, HERE) == record()
    assert records.size_bytes(F) == 101 * PAGE


def test_of_another_address_space_only_files_are_read_and_a_record_is_wanted(records: Records) -> None:
    records.loaded(F, record())
    fitting = records.fitting(F, ELSEWHERE)
    assert fitting is not None
    assert (fitting.memory, fitting.file_bytes) == ([], PAGE)
    assert records.is_wanted(F, ELSEWHERE)
    record_twice(records, record(layout=ELSEWHERE))
    assert not records.is_wanted(F, ELSEWHERE)


def test_a_record_of_nothing_is_a_record(records: Records) -> None:
    record_twice(records, WorkingSet(HERE, ()))
    assert records.fitting(F, HERE) is None
    assert not records.is_wanted(F, HERE)


def test_what_is_loaded_late_overwrites_nothing(records: Records) -> None:
    record_twice(records, record(5))
    records.loaded(F, record(7))
    assert records.fitting(F, HERE) == record(5)


def test_many_faults_after_page_ins_ask_for_a_new_record(records: Records) -> None:
    record_twice(records, record())
    drift(records)
    assert records.fitting(F, HERE) == record()  # of use until there is a better one
    record_twice(records, record(200))
    assert not records.is_wanted(F, HERE)
    for _ in range(8):
        records.called(F, 3)
    assert not records.is_wanted(F, HERE)


def test_a_record_is_what_two_calls_touched(records: Records) -> None:
    assert records.half(F, HERE) is None
    assert not records.recorded(F, record(50))
    assert records.is_wanted(F, HERE)
    assert records.half(F, HERE) == record(50)
    assert records.half(F, ELSEWHERE) is None
    assert records.fitting(F, HERE) == record(50), "of use until there is a better one"
    assert records.size_bytes(F) == 0
    assert records.may_grow(F, HERE, 90) is None
    assert records.recorded(F, record(40), records.half(F, HERE))
    assert not records.is_wanted(F, HERE)
    assert records.half(F, HERE) is None
    assert records.size_bytes(F) == 41 * PAGE


def test_two_recordings_are_of_one_address_space(records: Records) -> None:
    assert not records.recorded(F, record(50, ELSEWHERE))
    assert not records.recorded(F, record(40), records.half(F, HERE))
    assert records.half(F, HERE) == record(40)
    assert records.recorded(F, record(30), records.half(F, HERE))


def test_calls_whose_recordings_end_together_are_compared_with_each_other(records: Records) -> None:
    before = records.half(F, HERE)
    assert not records.recorded(F, record(50), before)
    complete = records.recorded(F, record(60), before)
    assert complete is not None
    assert complete.memory == record(50).memory, "what both touched"
    assert records.recorded(F, record(40), before) is None, "what is complete stays"
    assert records.fitting(F, HERE) == complete


def test_a_recording_that_ends_after_another_has_completed_the_record_changes_nothing(records: Records) -> None:
    assert not records.recorded(F, record(50))
    before = records.half(F, HERE)
    assert records.recorded(F, record(40), before) == record(40)
    assert records.recorded(F, record(30), before) is None
    assert not records.is_wanted(F, HERE)
    assert records.fitting(F, HERE) == record(40)


def test_a_record_grows_by_what_it_missed_but_not_for_ever(records: Records) -> None:
    record_twice(records, record())
    assert records.may_grow(F, HERE, 0) is None
    assert records.may_grow(F, ELSEWHERE, 90) is None
    for number in range(MOST_GROWTHS):
        assert records.may_grow(F, HERE, 1) is not None
        assert grow(records, 1000 + 10 * number)
        grown = records.fitting(F, HERE)
        assert grown is not None
        assert grown.memory[-1] == ((1000 + 10 * number) * PAGE, 2 * PAGE)
    assert records.may_grow(F, HERE, 90) is None
    assert records.size_bytes(F) == (101 + 2 * MOST_GROWTHS) * PAGE
    drift(records)
    record_twice(records, record())
    assert records.may_grow(F, HERE, 90) is not None


def test_a_record_is_looked_at_until_it_seems_complete(records: Records) -> None:
    record_twice(records, record())
    assert [records.look(F) for _ in range(MOST_LOOKS + 2)] == [True] * MOST_LOOKS + [False] * 2
    assert not records.is_to_look(F)
    assert grow(records, 1000)
    assert records.is_to_look(F)
    for number in range(1, MOST_GROWTHS):
        assert grow(records, 1000 + 10 * number)
    assert not records.is_to_look(F)
    drift(records)
    record_twice(records, record())
    assert records.look(F)


def test_nothing_that_does_not_fit_is_taken_in(records: Records) -> None:
    found = record()
    assert not records.grow(F, found, record(200))
    record_twice(records, found)
    assert not records.grow(F, found, found), "nothing was missed"
    assert not records.grow(F, record(), record(150)), "it is no longer in use"
    assert not records.grow(F, found, record(300)), "a call that touched more than that did something else"
    assert records.fitting(F, HERE) == found
    assert records.grow(F, found, record(200))


def test_functions_that_were_not_used_for_long_are_forgotten() -> None:
    records = Records(most_functions=2)
    for name in ("a", "b"):
        records.recorded(name, record())
    assert records.fitting("a", HERE)
    records.recorded("c", record())
    assert records.is_known("a")
    assert not records.is_known("b")
    records.loaded("b", record())
    assert not records.is_known("a")
