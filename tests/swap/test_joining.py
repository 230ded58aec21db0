"""Ranges that are read together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorfaas.swap.joining import MOST_ALONG_BYTES, MOST_EARLY_BYTES, WIDEST_GAP_BYTES, joined
from actorfaas.swap.maps import Mapping
from actorfaas.swap.ranges import PAGE_SIZE as P
from actorfaas.swap.ranges import Range, from_pages, intersect, normalise, subtract, total_bytes
from actorfaas.swap.record_format import from_bytes, to_bytes
from actorfaas.swap.working_set import Group, WorkingSet

HEAP = Mapping(0, 5000 * P, "rw-p", 0, 0, "[heap]")
NEXT = Mapping(5000 * P, 5100 * P, "rw-p", 0, 0, "")


def pages(*numbers: int) -> list[Range]:
    return from_pages(number * P for number in numbers)


def record(*groups: list[Range], scattered: tuple[Range, ...] = ()) -> WorkingSet:
    return WorkingSet("", tuple(Group(tuple(group)) for group in groups), scattered=scattered)


def test_ranges_are_joined_over_what_is_not_in_swap() -> None:
    found = joined(record(pages(1, 30), pages(3)), pages(1, 3, 30), [HEAP, NEXT])
    assert found.spans == ((P, 30 * P),)
    assert found.memory == [(P, P), (30 * P, P), (3 * P, P)], "the others are not mapped"
    assert from_bytes(to_bytes(found)) == found


def test_a_page_between_is_read_along_but_no_more() -> None:
    assert MOST_ALONG_BYTES == P
    found = joined(record(pages(9), pages(1, 3)), pages(1, 2, 3, 5, 6, 9), [HEAP, NEXT])
    assert found.spans == ((9 * P, P), (P, 3 * P)), "in the order of the first touch"
    assert found.groups[-1].memory == tuple(pages(2)), "it is mapped too, so that it keeps its place beside the others"
    alone = joined(record(pages(9), pages(1, 3)), pages(1, 2, 3, 5, 6, 9), [HEAP, NEXT], most_along_bytes=0)
    assert alone.spans == ((9 * P, P), (P, P), (3 * P, P))
    assert len(alone.groups) == 2


def test_what_is_touched_first_is_read_first() -> None:
    most = MOST_EARLY_BYTES // P
    apart = joined(record(pages(0, most + 2), pages(*range(1, most + 2))), pages(*range(most + 3)), [HEAP, NEXT])
    assert apart.spans == ((0, P), ((most + 2) * P, P), (P, (most + 1) * P))
    near = joined(record(pages(0, most + 1), pages(*range(1, most + 1))), pages(*range(most + 2)), [HEAP, NEXT])
    assert near.spans == ((0, (most + 2) * P),), "a few pages early, rather than in a request of their own"
    assert len(near.groups) == 2, "they are touched, if later"


def test_what_was_read_before_is_not_read_again() -> None:
    found = joined(record(pages(5), pages(1, 9)), pages(1, 5, 9), [HEAP, NEXT])
    assert found.spans == ((5 * P, P), (P, 4 * P), (6 * P, 4 * P))


def test_nothing_is_joined_across_mappings_or_wide_gaps() -> None:
    far = WIDEST_GAP_BYTES // P + 2
    found = joined(record(pages(1, far + 1, 4999, 5001)), pages(1), [HEAP, NEXT])
    assert found.spans == tuple(pages(1, far + 1, 4999, 5001))


def test_what_was_nowhere_is_fresh_and_copies_of_files_are_left_out() -> None:
    found = joined(record(pages(1, 2, 40), scattered=tuple(pages(40))), pages(1, 40), [HEAP, NEXT])
    assert found.fresh == tuple(pages(2))
    assert found.spans == ((P, 2 * P),)


def test_a_record_of_nothing_stays_so() -> None:
    assert joined(record(), pages(1), [HEAP]) == record()


some = st.sets(st.integers(0, 120), max_size=30)


@given(st.lists(some, max_size=4), some)
def test_all_is_read_and_little_else(groups: list[set[int]], out: set[int]) -> None:
    seen: set[int] = set()
    made = []
    for group in groups:
        made.append(pages(*(group - seen)))
        seen |= group
    before = record(*made)
    found = joined(before, pages(*out), [HEAP, NEXT])
    spans = normalise(found.spans)
    assert total_bytes(spans) == total_bytes(found.spans), "nothing twice"
    assert all(intersect([span], before.mapped) for span in found.spans)
    assert subtract(before.mapped, spans) == []
    read = intersect(spans, pages(*out))
    assert subtract(read, found.mapped) == []
    assert total_bytes(found.memory) - total_bytes(before.memory) <= P * max(0, len(normalise(before.memory)) - 1)
