"""The pager against the real kernel: what leaves, what comes back, what is recorded, what it says when it cannot."""

from __future__ import annotations

import os
from array import array
from itertools import pairwise

import pytest

from actorfaas.errors import CgroupError, ProcessGone, SwapError
from actorfaas.swap import pagemap
from actorfaas.swap.cgroup import Tree
from actorfaas.swap.pagemap import Page
from actorfaas.swap.pager import Pager, Process
from actorfaas.swap.ranges import PAGE_SIZE, Range, Ranges, from_pages, intersect, normalise, subtract, total_bytes
from actorfaas.swap.swaps import SwapArea
from actorfaas.swap.target import Target
from actorfaas.swap.working_set import WorkingSet
from bench.paged_child import Child
from tests.system.swap.kit import HEAP, MIB, TOUCHED, Born


def recorded(pager: Pager, process: Process, worker: Child) -> WorkingSet:
    assert not pager.page_out(process, None, remember=True).error
    recorder = pager.start_recording(process)
    recorder.scan()
    worker.touch(write=True)
    return recorder.finish()


def test_a_worker_is_known_by_its_leaf_and_its_template(
    pager: Pager, tree: Tree, template: Child, born: Born, process: Process
) -> None:
    assert process.group is not None
    assert process.group.path == tree.worker("f@1", "1").path
    sibling, _ = born("2")
    with_sibling = pager.open(sibling.pid)
    pager.close(with_sibling)
    assert with_sibling.layout == process.layout
    assert f"{template.pid}-" in process.layout


def test_only_processes_of_the_node_are_taken(tree: Tree, worker: Child) -> None:
    stranger = Pager(tree, node_pid=worker.pid)  # of whom nobody descends
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(SwapError, match="not one of this node's"):
        stranger.open(worker.pid)
    with pytest.raises(SwapError, match="not one of this node's"):
        stranger.open(1)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_page_out_frees_what_the_worker_owns(swap: SwapArea, pager: Pager, process: Process, worker: Child) -> None:
    before, _ = pager.memory_of(process)
    done = pager.page_out(process, None, remember=False)
    assert done.error == ""
    assert done.freed_bytes >= 0.9 * HEAP
    assert done.usage_bytes == pager.memory_of(process)[0] <= before - done.freed_bytes + MIB
    again = pager.page_out(process, None, remember=False)
    assert again.error == ""
    assert again.freed_bytes <= MIB
    worker.touch()


def test_every_worker_in_a_group_is_told_of(pager: Pager, born: Born) -> None:
    first, second = (born(key)[0] for key in ("1", "2"))
    found = {pid: (function, memory) for function, pid, memory in pager.memory_by_leaf()}
    assert set(found) == {first.pid, second.pid}
    for function, memory in found.values():
        assert function == "f@1"
        assert HEAP <= memory.usage_bytes <= 1.2 * HEAP
    assert Pager(None, os.getpid()).memory_by_leaf() == []


def test_what_was_recorded_comes_back_before_the_call(
    swap: SwapArea, pager: Pager, process: Process, worker: Child
) -> None:
    touched = from_pages(worker.range_of(page)[0] for page in worker.choose(TOUCHED, seed=3))
    record = recorded(pager, process, worker)
    assert record.layout == process.layout
    in_heap = intersect(normalise(record.memory), [worker.heap])
    kept = subtract(touched, in_heap)  # the kernel may keep a few pages back, which are then no part of what is read
    assert total_bytes(kept) <= 0.02 * total_bytes(touched)
    assert total_bytes(in_heap) <= 1.02 * total_bytes(touched)
    for _ in range(2):
        assert not pager.page_out(process, record, remember=False).error
        assert pager.page_in(process, record) >= 0.96 * total_bytes(touched)
        assert subtract(normalise(record.memory), pagemap.find(process.target, Page.PRESENT)) == []
        before = pager.faults(process)
        worker.touch(write=True)
        after = pager.faults(process)
        assert after.major - before.major <= 8 + total_bytes(kept) // PAGE_SIZE
    assert pager.page_in(process, record) <= 0.1 * total_bytes(touched)


def runs_of_places(target: Target, ranges: Ranges) -> list[int]:
    """Where the runs of neighbouring places in swap begin that the pages have, in this order."""
    places = [place for one in ranges for place in places_of(target, one)]
    return [place for before, place in pairwise([-2, *places]) if place != before + 1]


def places_of(target: Target, one: Range) -> list[int]:
    """The places of those pages of a range that are in swap (pagemap.rst: bit 62, and bits 5 to 54)."""
    start, length = one
    entries = array("Q", os.pread(target.pagemap_fd(), length // PAGE_SIZE * 8, start // PAGE_SIZE * 8))
    return [entry >> 5 & (1 << 50) - 1 for entry in entries if entry >> 62 & 1]


def test_a_call_to_be_recorded_finds_all_it_touches_read_and_is_recorded_alone(
    swap: SwapArea, pager: Pager, process: Process, worker: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = from_pages(worker.range_of(page)[0] for page in worker.choose(TOUCHED, seed=3))
    assert not pager.page_out(process, None, remember=True).error
    assert pager.read_all(process) == 0, "it is more than is read as a whole"
    monkeypatch.setattr("actorfaas.swap.pager.READ_ALL_BYTES", 2 * HEAP)
    assert pager.read_all(process) >= 0.9 * HEAP
    recorder = pager.start_recording(process)
    before = pager.faults(process)
    worker.touch()
    after = pager.faults(process)
    assert after.major - before.major <= TOUCHED // 8
    in_heap = intersect(normalise(recorder.finish().memory), [worker.heap])
    assert total_bytes(in_heap) <= 1.02 * total_bytes(touched), "what was read and not touched is no part of it"


def test_what_a_record_missed_is_found_after_the_call(
    swap: SwapArea, pager: Pager, process: Process, worker: Child
) -> None:
    worker.choose(TOUCHED, seed=3)
    record = recorded(pager, process, worker)
    for _ in range(2):
        assert not pager.page_out(process, record, remember=False).error
        pager.page_in(process, record, remember=True)
        others = from_pages(worker.range_of(page)[0] for page in worker.choose(TOUCHED, seed=4))
        before = pager.faults(process)
        worker.touch(write=True)
        faults = pager.faults(process).major - before.major
        before_it, record = record, pager.grown(process, record)
        assert intersect(normalise(record.memory), others) == others
    assert faults <= 8, "the grown record has what the other calls touch"
    assert total_bytes(intersect(subtract(record.mapped, before_it.mapped), [worker.heap])) == 0


def test_pages_get_new_places_after_faults_have_scattered_them(
    swap: SwapArea, pager: Pager, process: Process, worker: Child
) -> None:
    worker.choose(TOUCHED, seed=3)
    record = recorded(pager, process, worker)

    def out() -> int:
        assert not pager.page_out(process, record, remember=False).error
        return len(runs_of_places(process.target, record.to_read))

    out()
    pager.page_in(process, record)
    in_order = out()
    assert in_order <= len(record.to_read)
    worker.choose(TOUCHED // 2, seed=9)
    worker.touch(write=True)
    scattered = out()
    assert scattered > 2 * in_order
    pager.page_in(process, record)
    assert out() < 0.6 * scattered, "most often it is as before, but the kernel may have had no free cluster just then"


def test_a_page_out_gives_way_to_who_needs_the_worker(
    swap: SwapArea, pager: Pager, process: Process, worker: Child
) -> None:
    asked = iter([False, True])
    done = pager.page_out(process, None, lambda: next(asked), remember=False)
    assert done.freed_bytes == 0
    assert "needed" in done.error
    assert pager.memory_of(process)[0] >= 0.9 * HEAP
    worker.touch()


def test_a_refused_reclaim_is_told(
    swap: SwapArea, pager: Pager, process: Process, worker: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert process.group is not None

    def refuse(*_: object, **__: object) -> int:
        raise CgroupError("memory.force_empty: '0' refused")

    monkeypatch.setattr(type(process.group), "reclaim", refuse)
    done = pager.page_out(process, None, remember=False)
    assert "refused" in done.error
    assert pager.page_in(process, WorkingSet(process.layout, ())) == 0
    worker.touch()


def test_a_template_and_what_its_workers_share_go_together(
    swap: SwapArea, pager: Pager, tree: Tree, template: Child, process: Process, worker: Child
) -> None:
    assert not pager.page_out(process, None, remember=False).error
    home = tree.template("f@1")
    assert home.usage_bytes() >= HEAP
    assert pager.page_out_function("f@1") >= 0.8 * HEAP
    assert home.usage_bytes() <= 0.2 * HEAP
    template.choose(TOUCHED, seed=1)
    template.touch()
    worker.touch()
    with pytest.raises(SwapError, match="no control group"):
        pager.page_out_function("unknown@1")


def test_pages_a_template_left_to_its_workers_are_freed_with_them(
    swap: SwapArea, pager: Pager, tree: Tree, template: Child
) -> None:
    """The template writes after the fork: it gets new pages, the worker keeps the old ones, charged to the template."""
    home, leaf = tree.template("f@1"), tree.worker("f@1", "1")
    with leaf.hosting(template.pid, home):
        worker, _ = template.fork()
    template.choose(HEAP // PAGE_SIZE, 0)
    template.touch(write=True)
    process = pager.open(worker.pid)
    try:
        assert home.usage_bytes() >= 2 * HEAP
        done = pager.page_out(process, None, remember=False)
        done_later = pager.reclaim_rest(process)
        assert done.freed_bytes + done_later >= 0.8 * HEAP
        assert home.usage_bytes() <= 1.2 * HEAP, "what the template itself uses stays"
        assert home.limit_bytes() is None
        worker.choose(TOUCHED, seed=1)
        worker.touch()
    finally:
        pager.close(process)
        worker.kill()


def test_a_record_of_another_address_space_still_has_the_files(
    swap: SwapArea, pager: Pager, process: Process, worker: Child
) -> None:
    worker.choose(TOUCHED, seed=3)
    record = recorded(pager, process, worker)
    elsewhere = record.for_layout("another")
    assert elsewhere.memory == []
    assert not pager.page_out(process, record, remember=False).error
    assert pager.page_in(process, elsewhere) == elsewhere.file_bytes
    assert total_bytes(intersect(pagemap.find(process.target, Page.PRESENT), [worker.heap])) <= 0.1 * HEAP
    worker.touch()


def test_a_process_that_ended_is_told_from_every_step(
    swap: SwapArea, pager: Pager, process: Process, worker: Child
) -> None:
    worker.choose(TOUCHED, seed=3)
    record = recorded(pager, process, worker)
    recorder = pager.start_recording(process)
    worker.kill()
    for attempt in (
        lambda: pager.page_out(process, record, remember=True),
        lambda: pager.page_in(process, record),
        lambda: pager.start_recording(process),
        recorder.scan,
        recorder.finish,
        lambda: pager.faults(process),
        lambda: pager.open(worker.pid),
    ):
        with pytest.raises(ProcessGone):
            attempt()


def test_without_control_groups_memory_still_moves(swap: SwapArea, worker: Child) -> None:
    pager = Pager(None, os.getpid())
    process = pager.open(worker.pid)
    try:
        assert process.group is None
        done = pager.page_out(process, None, remember=False)
        assert done.error == ""
        assert done.freed_bytes >= 0.9 * HEAP
        assert pager.memory_of(process)[1] >= 0.9 * HEAP
        with pytest.raises(SwapError, match="no control group"):
            pager.page_out_function("f@1")
        worker.touch()
    finally:
        pager.close(process)
