"""Advice, page maps and mapping from outside, against processes that are really paged."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from actorfaas.errors import ProcessGone
from actorfaas.swap import pagemap
from actorfaas.swap.madvise import Advice, advise
from actorfaas.swap.pagemap import Page
from actorfaas.swap.populate import populate, populate_own, renew
from actorfaas.swap.ranges import PAGE_SIZE, from_pages, intersect, page_count, subtract, total_bytes
from actorfaas.swap.swaps import SwapArea, active
from actorfaas.swap.target import Target
from bench.paged_child import Child
from tests.system.kit import eventually
from tests.system.swap.kit import HEAP, TOUCHED, Born, page_out


def used_bytes(swap: SwapArea) -> int:
    (area,) = (one for one in active() if one.path == swap.path)
    return area.used_bytes


def test_page_out_alone_frees_nothing_and_reclaim_does(swap: SwapArea, born: Born) -> None:
    worker, leaf = born("1")
    before = leaf.usage_bytes()
    assert before >= HEAP
    with Target(worker.pid) as target:
        resident_before = target.resident_bytes()
        advise(target, [worker.heap], Advice.PAGE_OUT)
        assert target.resident_bytes() <= resident_before - 0.9 * HEAP
        assert leaf.usage_bytes() >= 0.9 * HEAP
        assert leaf.reclaim() >= 0.9 * HEAP
        assert leaf.usage_bytes() <= 0.1 * HEAP
        assert total_bytes(pagemap.find(target, Page.SWAPPED)) >= HEAP
    worker.touch()  # every page is checked against what was written


def test_the_working_set_is_what_a_request_touched(swap: SwapArea, born: Born) -> None:
    worker, leaf = born("1")
    with Target(worker.pid) as target:
        touched = from_pages(worker.range_of(page)[0] for page in worker.choose(TOUCHED, seed=3))
        page_out(worker, leaf, target)
        worker.touch()
        found = intersect(pagemap.working_set(target), [worker.heap])
    assert intersect(found, touched) == touched
    assert total_bytes(found) <= 1.02 * total_bytes(touched)


def test_prefetched_pages_cost_no_faults(swap: SwapArea, born: Born) -> None:
    worker, leaf = born("1")
    worker.choose(TOUCHED, seed=4)
    with Target(worker.pid) as target:
        page_out(worker, leaf, target)
        before = target.faults()
        worker.touch()
        demand = target.faults()
        assert demand.major - before.major >= TOUCHED / 16  # readahead saves some of them
        recorded = pagemap.working_set(target)
        page_out(worker, leaf, target)
        advised = advise(target, recorded, Advice.WILL_NEED)
        assert advised.length_bytes == total_bytes(recorded)
        assert populate(target, recorded).pages == page_count(recorded)
        assert total_bytes(intersect(pagemap.find(target, Page.PRESENT), recorded)) == total_bytes(recorded)
        before = target.faults()
        worker.touch()
        after = target.faults()
    assert after.major - before.major <= 5
    assert after.minor - before.minor <= TOUCHED / 10


def test_own_pages_are_mapped_and_renewed_ones_give_their_places_up(swap: SwapArea, born: Born) -> None:
    worker, leaf = born("1")
    pages = from_pages(worker.range_of(page)[0] for page in worker.choose(TOUCHED, seed=6))
    with Target(worker.pid) as target:
        for map_own in (populate_own, renew):
            page_out(worker, leaf, target)
            before = used_bytes(swap)
            advise(target, pages, Advice.WILL_NEED)
            map_own(target, pages)
            assert intersect(pagemap.find(target, Page.PRESENT), pages) == pages
            assert intersect(pagemap.own(target), pages) == pages
        freed = 0.9 * total_bytes(pages)
        eventually(lambda: before - used_bytes(swap) >= freed or None, "places to be given up")
    worker.touch()  # what they hold is as it was


def test_what_others_map_is_not_own(swap: SwapArea, template: Child, born: Born) -> None:
    worker, _ = born("1")
    with Target(worker.pid) as target:
        own = intersect(pagemap.own(target), [worker.heap])
        assert total_bytes(own) >= 0.98 * HEAP
        present = pagemap.find(target, Page.PRESENT)
        assert total_bytes(subtract(present, pagemap.own(target))) > 0  # what it has of its template


def test_more_ranges_than_one_call_takes(swap: SwapArea, born: Born) -> None:
    worker, _ = born("1")
    every_other = [worker.range_of(page) for page in range(0, HEAP // PAGE_SIZE, 2)]
    assert len(every_other) > 3 * 1024
    with Target(worker.pid) as target:
        assert advise(target, every_other, Advice.PAGE_OUT).length_bytes == HEAP // 2
        swapped = intersect(pagemap.find(target, Page.SWAPPED), [worker.heap])
        assert total_bytes(swapped) >= 0.98 * HEAP / 2
        assert populate(target, every_other).pages == len(every_other)


def test_both_ways_to_read_the_page_map_agree(swap: SwapArea, born: Born, monkeypatch: pytest.MonkeyPatch) -> None:
    if not pagemap.has_scan():
        pytest.skip("this kernel has one way only")
    worker, leaf = born("1")
    with Target(worker.pid) as target:
        page_out(worker, leaf, target)
        worker.choose(TOUCHED, seed=5)
        worker.touch()
        answers = []
        for _ in range(2):
            answers.append(
                [pagemap.find(target, kind) for kind in (Page.PRESENT, Page.SWAPPED, Page.FILE | Page.PRESENT)]
            )
            monkeypatch.setattr(pagemap, "has_scan", lambda: False)
    assert answers[0] == answers[1]


def test_pages_that_vanished_are_passed_over(swap: SwapArea, born: Born) -> None:
    worker, _ = born("1")
    gone, count = 100, 50
    worker.ask("unmap", gone, count)
    pages = [worker.range_of(page) for page in range(200)]
    with Target(worker.pid) as target:
        advised = advise(target, pages, Advice.WILL_NEED)
        assert advised.ranges_passed_over == count
        assert advised.length_bytes == (200 - count) * PAGE_SIZE
        found = populate(target, pages)
    assert (found.pages, found.pages_vanished) == (200 - count, count)


def test_a_worker_can_page_itself_out(swap: SwapArea, born: Born) -> None:
    worker, leaf = born("1")
    assert worker.ask("page_out_self") == "0"
    leaf.reclaim()
    assert leaf.usage_bytes() <= 0.1 * HEAP
    worker.touch()


def test_a_process_that_ended_is_never_mistaken_for_another(born: Born) -> None:
    worker, _ = born("1")
    with Target(worker.pid) as target:
        with pytest.raises(ProcessGone):
            Target(worker.pid, target.start_time + 1)
        worker.kill()
        for attempt in (
            lambda: advise(target, [worker.heap], Advice.PAGE_OUT),
            lambda: populate(target, [worker.heap]),
            lambda: pagemap.regions(target),
            target.mappings,
            target.kill,
        ):
            with pytest.raises(ProcessGone):
                attempt()
        assert not target.is_alive()


def test_without_the_privilege_the_refusal_names_it(born: Born) -> None:
    worker, _ = born("1")
    program = textwrap.dedent(
        f"""
        import os
        from actorfaas.errors import PagingRefused
        from actorfaas.swap.madvise import Advice, advise
        from actorfaas.swap.populate import populate
        from actorfaas.swap.target import Target
        target = Target({worker.pid})
        os.setresuid(65534, 65534, 65534)
        heap = [{worker.heap}]
        for attempt in (lambda: advise(target, heap, Advice.PAGE_OUT), lambda: populate(target, heap)):
            try:
                attempt()
            except PagingRefused as error:
                print(error)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    first, second = done.stdout.splitlines()
    assert "CAP_SYS_NICE" in first
    assert "CAP_SYS_PTRACE" in second


def test_a_process_that_changed_its_user_still_finds_out_what_it_may() -> None:
    program = textwrap.dedent(
        """
        import os
        from actorfaas.swap.capabilities import find_out
        os.setresuid(65534, 65534, 65534)
        found = find_out()
        print(bool(found.sys_nice), found.can_page_others, bool(found.page_out_self))
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["False", "False", "True"], done.stderr
