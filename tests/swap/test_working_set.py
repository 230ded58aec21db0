"""Records of working sets: order, what is left out, merging, bounds, bytes."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorfaas.swap.maps import Mapping
from actorfaas.swap.ranges import PAGE_SIZE as P
from actorfaas.swap.ranges import Range, from_pages, normalise, page_addresses, total_bytes
from actorfaas.swap.record_format import from_bytes, to_bytes
from actorfaas.swap.working_set import Bounds, FileRange, Group, Recording, WorkingSet

HEAP = Mapping(0, 64 * P, "rw-p", 0, 0, "[heap]")
LIBRARY = Mapping(100 * P, 120 * P, "r-xp", 5 * P, 7, "/lib/a.so")
DATA = Mapping(120 * P, 130 * P, "r--p", 0, 8, "/lib/b.so")
MAPPINGS = (HEAP, LIBRARY, DATA)


def pages(*numbers: int) -> list[Range]:
    return from_pages(number * P for number in numbers)


def test_groups_are_what_each_scan_finds_first() -> None:
    recording = Recording(MAPPINGS)
    recording.scan(pages(5, 6))
    recording.scan(pages(5, 6))
    recording.scan(pages(1, 5, 6, 9))
    record = recording.finish("here")
    assert [group.memory for group in record.groups] == [((5 * P, 2 * P),), ((P, P), (9 * P, P))]
    assert record.pages == 4


def test_what_is_own_and_scattered_is_told_apart() -> None:
    copies = Mapping(200 * P, 210 * P, "rw-p", 0, 9, "/lib/c.so")
    recording = Recording((*MAPPINGS, copies))
    recording.scan(pages(1, 2, 3, 4, 201, 202))
    record = recording.finish("", own=pages(1, 2, 201))
    assert record.shared == tuple(pages(3, 4, 202))
    assert record.scattered == tuple(pages(201, 202))
    assert record.to_read == ((P, 4 * P),)
    assert from_bytes(to_bytes(record)) == record
    assert record.without(pages(2, 3, 201)) == WorkingSet(
        "",
        (Group(tuple(pages(1, 4, 202))),),
        shared=tuple(pages(4, 202)),
        scattered=tuple(pages(202)),
        spans=tuple(pages(1, 4)),
    )


def test_what_two_calls_touched_keeps_the_order_of_one() -> None:
    file = FileRange(118 * P, 2 * P, "/lib/a.so", 23 * P)
    first = WorkingSet("", (Group(tuple(pages(9)), (file,)), Group(tuple(pages(1, 2, 5)))), shared=tuple(pages(2, 5)))
    later = WorkingSet("", (Group(tuple(pages(1, 2, 3)), (file._replace(address=119 * P),)), Group(tuple(pages(9)))))
    common = first.common(later)
    assert common.memory == [(9 * P, P), (P, 2 * P)]
    assert common.files == [FileRange(119 * P, P, "/lib/a.so", 24 * P)]
    assert common.shared == tuple(pages(2))


def test_grown_records_tell_apart_what_both_have() -> None:
    first = WorkingSet("", (Group(tuple(pages(1))),), 0, tuple(pages(1)), (), tuple(pages(1)))
    more = WorkingSet("", (Group(tuple(pages(2, 5))),), 4096, tuple(pages(2)), tuple(pages(5)))
    grown = first.grown(more)
    assert (grown.shared, grown.scattered, grown.fresh) == (tuple(pages(1, 2)), tuple(pages(5)), tuple(pages(1)))
    assert grown.left_out_bytes == 4096


def test_zero_pages_are_left_out_until_they_are_written() -> None:
    recording = Recording(MAPPINGS)
    recording.scan(pages(1, 2, 3), zero=pages(2, 3))
    recording.scan(pages(1, 2, 3), zero=pages(3))
    assert recording.finish("", Bounds(gap_pages=32)).memory == [(P, P), (2 * P, P)]


def test_what_was_present_before_the_call_says_nothing() -> None:
    recording = Recording(MAPPINGS, before=pages(1))
    recording.scan(pages(1, 2))
    assert recording.finish("").memory == pages(2)


def test_file_pages_become_places_in_their_files() -> None:
    recording = Recording(MAPPINGS)
    recording.scan(pages(3, 118, 119, 120, 121), files=pages(118, 119, 120, 121))
    record = recording.finish("")
    assert record.memory == pages(3)
    assert record.files == [
        FileRange(118 * P, 2 * P, "/lib/a.so", 23 * P),
        FileRange(120 * P, 2 * P, "/lib/b.so", 0),
    ]
    assert (record.memory_bytes, record.file_bytes) == (P, 4 * P)


def test_a_file_page_outside_known_mappings_is_taken_as_memory() -> None:
    recording = Recording(MAPPINGS)
    recording.scan(pages(200), files=pages(200))
    assert recording.finish("").memory == pages(200)


def test_near_ranges_merge_but_not_across_holes_or_other_kinds() -> None:
    recording = Recording(MAPPINGS)
    recording.scan(pages(1, 3, 62, 101, 104), files=pages(101, 104))
    record = recording.finish("", Bounds(gap_pages=58))
    assert record.memory == [(P, 62 * P)]
    assert record.files == [FileRange(101 * P, 4 * P, "/lib/a.so", 6 * P)]


def test_too_many_ranges_are_merged_and_too_many_groups_joined() -> None:
    recording = Recording(MAPPINGS)
    for first in (0, 20, 40):
        recording.scan(pages(*range(first + 1, first + 20, 2)))
    record = recording.finish("", Bounds(most_ranges=4, most_groups=2))
    assert len(record.memory) <= 4
    assert len(record.groups) == 2
    assert record.left_out_bytes == 0


def test_what_does_not_fit_is_what_was_touched_last() -> None:
    recording = Recording(MAPPINGS)
    recording.scan(pages(30))
    recording.scan(pages(1, 2, 110), files=pages(110))
    record = recording.finish("", Bounds(most_bytes=2 * P))
    assert record.memory == [(30 * P, P), (P, P)]
    assert record.files == []
    assert record.left_out_bytes == 2 * P


def test_another_layout_keeps_only_files() -> None:
    group = Group(((P, P),), (FileRange(100 * P, P, "/lib/a.so", 0),))
    record = WorkingSet("a", (group, Group(((9 * P, P),))))
    assert record.for_layout("a") is record
    other = record.for_layout("b")
    assert other.memory == []
    assert other.files == [FileRange(0, P, "/lib/a.so", 0)]


def test_the_working_set_is_paged_out_first_and_in_its_order() -> None:
    record = WorkingSet("", (Group(((9 * P, P),)), Group(((P, 2 * P), (50 * P, P)))))
    order = record.page_out_order([(2 * P, 10 * P), (60 * P, P)])
    assert order == [(9 * P, P), (2 * P, P), (3 * P, 6 * P), (10 * P, 2 * P), (60 * P, P)]


page_sets = st.sets(st.integers(0, 129), max_size=40)


@given(st.lists(st.tuples(page_sets, page_sets), max_size=5), st.integers(0, 64), st.integers(1, 50))
def test_a_record_covers_what_was_seen_once_and_no_zero_page(
    scans: list[tuple[set[int], set[int]]], gap_pages: int, most_ranges: int
) -> None:
    recording = Recording(MAPPINGS)
    seen: set[int] = set()
    zero: set[int] = set()
    for present, zeros in scans:
        recording.scan(pages(*present), files=[LIBRARY.range, DATA.range], zero=pages(*(zeros & present)))
        seen |= present - zeros
        zero |= zeros & present
    record = recording.finish("x", Bounds(gap_pages=gap_pages, most_ranges=most_ranges, most_groups=3))
    ranges = record.memory + [(one.address, one.length_bytes) for one in record.files]
    covered = [address // P for address in page_addresses(ranges)]
    assert len(covered) == len(set(covered)) == record.pages
    assert not set(covered) & (zero - seen)
    if not record.left_out_bytes:
        assert set(covered) >= seen
    if not gap_pages and most_ranges == 50:  # 50 ranges always suffice for 40 pages a scan, or some are merged
        assert set(covered) <= seen or len(seen) > most_ranges
    assert len(ranges) <= most_ranges
    assert len(record.groups) <= 3
    assert all(list(group.memory) == normalise(group.memory) for group in record.groups), "in address order"
    assert from_bytes(to_bytes(record)) == record


@given(st.lists(st.sets(st.integers(0, 60), min_size=1, max_size=20), max_size=4), st.sets(st.integers(0, 60)))
def test_page_out_covers_all_private_memory_once(groups: list[set[int]], private: set[int]) -> None:
    recording = Recording(MAPPINGS)
    for group in groups:
        recording.scan(pages(*group))
    ranges = pages(*private)
    order = recording.finish("").page_out_order(ranges)
    assert total_bytes(order) == total_bytes(ranges)
    assert normalise(order) == ranges


def test_bytes_are_small_and_versioned() -> None:
    memory = tuple((0x7F0000000000 + 3 * index * P, P) for index in range(10_000))
    record = WorkingSet("layout", (Group(memory),), 5)
    packed = to_bytes(record)
    assert len(packed) < 30_000
    assert from_bytes(packed) == record
    fields = msgpack.unpackb(packed)
    for changed in ([1, *fields[1:]], [fields[0], 16384, *fields[2:]], fields[:-1], 7, [1]):
        with pytest.raises(ValueError, match=r"record|unpack"):
            from_bytes(msgpack.packb(changed))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_record_or_a_value_error(data: bytes) -> None:
    try:
        from_bytes(data)
    except ValueError:
        return


@pytest.mark.parametrize(
    "groups",
    [
        [[[1], []]],
        [[[0, 0], []]],
        [[[-1, 1], []]],
        [[[0, "1"], []]],
        [[[], [1, 0, 0, 1]]],
        [[[], [0, -1, 0, 1]]],
        [[[], [0, 0, 0]]],
        [[[0, True], []]],
        [5],
        5,
    ],
)
def test_wrong_shapes_are_refused(groups: object) -> None:
    with pytest.raises(ValueError, match=r"record|unpack|shape"):
        from_bytes(msgpack.packb([1, P, "", 0, ["/a"], groups]))


def test_long_records_are_refused_unread() -> None:
    with pytest.raises(ValueError, match="exceeds"):
        from_bytes(bytes((4 << 20) + 1))
