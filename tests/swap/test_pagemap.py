"""Classifying page map entries, and the page map of this process."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorfaas.swap import pagemap
from actorfaas.swap.pagemap import Page, Region, classify, find
from actorfaas.swap.ranges import PAGE_SIZE, intersect, total_bytes
from actorfaas.swap.target import Target

BASE = 0x7F0000000000
PRESENT, SWAPPED, FILE = 1 << 63, 1 << 62, 1 << 61
entries = st.lists(
    st.sampled_from([0, PRESENT, SWAPPED, PRESENT | FILE, SWAPPED | FILE, FILE]).flatmap(
        lambda bits: st.integers(0, (1 << 55) - 1).map(lambda number: bits | number)
    ),
    max_size=50,
)


def kind_of(entry: int) -> Page:
    kind = Page(0)
    if entry & PRESENT:
        kind |= Page.PRESENT
    if entry & SWAPPED:
        kind |= Page.SWAPPED
    if kind and entry & FILE:
        kind |= Page.FILE
    return kind


@given(entries)
def test_runs_cover_each_entry_once_with_its_kind(values: list[int]) -> None:
    found = list(classify(struct.pack(f"<{len(values)}Q", *values), BASE))
    expected = {BASE + i * PAGE_SIZE: kind_of(v) for i, v in enumerate(values) if v & (PRESENT | SWAPPED)}
    told = {a: r.kind for r in found for a in range(r.start, r.start + r.length, PAGE_SIZE)}
    assert told == expected
    for left, right in pairwise(found):
        assert left.start + left.length < right.start or left.kind != right.kind


def test_other_bits_do_not_matter() -> None:
    soft_dirty_exclusive = (1 << 55) | (1 << 56)
    packed = struct.pack("<3Q", PRESENT | soft_dirty_exclusive, PRESENT, soft_dirty_exclusive)
    assert list(classify(packed, BASE)) == [Region(BASE, 2 * PAGE_SIZE, Page.PRESENT)]


@pytest.mark.parametrize("with_scan", [True, False])
def test_touched_pages_of_this_process_are_present(with_scan: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if with_scan and not pagemap.has_scan():
        pytest.skip("no PAGEMAP_SCAN before Linux 6.7")
    monkeypatch.setattr(pagemap, "has_scan", lambda: with_scan)
    with mmap.mmap(-1, 64 * PAGE_SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory, Target(os.getpid()) as me:
        view = ctypes.c_char.from_buffer(memory)
        start = ctypes.addressof(view)
        del view
        for page in (3, 4, 5, 40):
            memory[page * PAGE_SIZE] = 1
        span = (start, 64 * PAGE_SIZE)
        touched = [(start + 3 * PAGE_SIZE, 3 * PAGE_SIZE), (start + 40 * PAGE_SIZE, PAGE_SIZE)]
        assert find(me, Page.PRESENT, within=span) == touched
        assert intersect(find(me, Page.PRESENT), [span]) == touched
        assert find(me, Page.PRESENT, lacking=Page.FILE, within=span) == touched
        assert find(me, Page.PRESENT | Page.FILE, within=span) == []
        regions = pagemap.regions(me, span)
        assert sum(region.length for region in regions) == total_bytes(touched)
        present, of_files = find(me, Page.PRESENT), find(me, Page.PRESENT | Page.FILE)
    assert total_bytes(present) > total_bytes(of_files) > 0


def test_more_runs_than_one_call_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    if not pagemap.has_scan():
        pytest.skip("no PAGEMAP_SCAN before Linux 6.7")
    monkeypatch.setattr(pagemap, "_REGIONS_A_CALL", 3)
    with mmap.mmap(-1, 64 * PAGE_SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory, Target(os.getpid()) as me:
        view = ctypes.c_char.from_buffer(memory)
        start = ctypes.addressof(view)
        del view
        for page in range(0, 64, 2):
            memory[page * PAGE_SIZE] = 1
        found = find(me, Page.PRESENT, within=(start, 64 * PAGE_SIZE))
    assert found == [(start + page * PAGE_SIZE, PAGE_SIZE) for page in range(0, 64, 2)]
