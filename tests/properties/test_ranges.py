"""Range arithmetic against sets of page numbers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from actorfaas.swap.ranges import (
    PAGE_SIZE,
    Range,
    batches,
    from_pages,
    intersect,
    normalise,
    page_addresses,
    page_count,
    pieces,
    subtract,
    subtract_in_order,
    total_bytes,
)

pages = st.integers(0, 60)
one_range = st.tuples(pages, st.integers(0, 12)).map(lambda r: (r[0] * PAGE_SIZE, r[1] * PAGE_SIZE))
any_ranges = st.lists(one_range, max_size=12)
normal = any_ranges.map(normalise)


def as_set(ranges: list[Range]) -> set[int]:
    return set(page_addresses(ranges))


def is_normal(ranges: list[Range]) -> bool:
    return all(length > 0 for _, length in ranges) and all(a[0] + a[1] < b[0] for a, b in pairwise(ranges))


@given(any_ranges)
def test_normalise_keeps_the_pages(ranges: list[Range]) -> None:
    result = normalise(ranges)
    assert is_normal(result)
    assert as_set(result) == as_set(ranges)
    assert normalise(result) == result


@given(any_ranges, st.integers(0, 4))
def test_merging_over_gaps_adds_only_gaps_up_to_that_size(ranges: list[Range], gap_pages: int) -> None:
    plain, merged = normalise(ranges), normalise(ranges, gap_pages * PAGE_SIZE)
    assert is_normal(merged)
    gaps = subtract(merged, plain)
    assert all(length <= gap_pages * PAGE_SIZE for _, length in gaps)
    assert as_set(merged) == as_set(plain) | as_set(gaps)


@given(normal, normal)
def test_intersection_and_difference_are_those_of_sets(left: list[Range], right: list[Range]) -> None:
    both, only_left = intersect(left, right), subtract(left, right)
    assert is_normal(both)
    assert is_normal(only_left)
    assert as_set(both) == as_set(left) & as_set(right)
    assert as_set(only_left) == as_set(left) - as_set(right)
    assert total_bytes(both) + total_bytes(only_left) == total_bytes(left)


@given(any_ranges, normal)
def test_the_difference_in_order_leaves_out_what_is_there(left: list[Range], right: list[Range]) -> None:
    there = as_set(right)
    expected = [address for address in page_addresses(left) if address not in there]
    assert list(page_addresses(subtract_in_order(left, right))) == expected


@given(st.sets(pages))
def test_pages_there_and_back(numbers: set[int]) -> None:
    addresses = {number * PAGE_SIZE for number in numbers}
    ranges = from_pages(addresses)
    assert is_normal(ranges)
    assert set(page_addresses(ranges)) == addresses
    assert page_count(ranges) == len(addresses)


@given(any_ranges, st.integers(1, 5))
def test_batches_keep_order_and_size(ranges: list[Range], most: int) -> None:
    parts = list(batches(ranges, most))
    assert [r for part in parts for r in part] == ranges
    assert all(1 <= len(part) <= most for part in parts)


@given(any_ranges, st.integers(1, 5))
def test_pieces_keep_the_pages_in_order(ranges: list[Range], most_pages: int) -> None:
    parts = list(pieces(ranges, most_pages * PAGE_SIZE))
    assert list(page_addresses(parts)) == list(page_addresses(ranges))
    assert all(0 < length <= most_pages * PAGE_SIZE for _, length in parts)
