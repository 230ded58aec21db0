"""The kernel half of swapping against the real kernel: a swap file, control groups, and processes to page.

Runs as root where control groups count memory: under v1 or v2, whichever the machine has (tests/vm boots a v2 one).
`ACTORFAAS_TEST_SWAP_DIR` names a folder for the swap file where the temporary folder cannot hold one.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actorfaas.errors import CgroupError, ProcessGone, SwapUnavailable
from actorfaas.swap import capabilities, cgroup, filesystem, pagemap, swapfile, swaps, zram
from actorfaas.swap.cgroup import Group, Owner, Tree
from actorfaas.swap.madvise import Advice, advise
from actorfaas.swap.pagemap import Page
from actorfaas.swap.populate import populate
from actorfaas.swap.ranges import PAGE_SIZE, from_pages, intersect, page_count, total_bytes
from actorfaas.swap.swaps import SwapArea
from actorfaas.swap.target import Target
from bench.paged_child import Child

MIB = 1 << 20
HEAP = 32 * MIB
TOUCHED = 800


def why_not() -> str:
    """The reason these tests cannot run here, or nothing."""
    can = capabilities.find_out()
    for answer in (can.root, can.sys_admin, can.sys_nice, can.sys_ptrace, can.cgroups, can.process_madvise):
        if not answer:
            return answer.sentence
    return filesystem.why_not_for_swap(swap_folder())


def swap_folder() -> Path:
    return Path(os.environ.get("ACTORFAAS_TEST_SWAP_DIR") or tempfile.gettempdir())


REASON = why_not()
pytestmark = [pytest.mark.system, pytest.mark.swap, pytest.mark.skipif(bool(REASON), reason=REASON or "can run")]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="afaas-swap-", dir=swap_folder()) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def swap() -> Iterator[SwapArea]:
    """A swap file in use, given up at the end."""
    with tempfile.TemporaryDirectory(prefix="afaas-swap-", dir=swap_folder()) as name:
        path = Path(name) / "swap"
        try:
            yield swapfile.ensure(path, 256 * MIB, priority=1000, keep_free_bytes=64 * MIB).area
        finally:
            swapfile.turn_off(path, timeout_s=60)
            swapfile.remove(path)


@pytest.fixture
def tree() -> Iterator[Tree]:
    """A tree of control groups of this process, removed at the end."""
    made = cgroup.open_tree(cgroup.owner_of(os.getpid()))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def template(tree: Tree) -> Iterator[Child]:
    """A process with a heap, in a template's leaf."""
    with Child.start(HEAP, tree.template("f@1").path) as child:
        yield child


Born = Callable[[str], tuple[Child, Group]]


@pytest.fixture
def born(tree: Tree, template: Child) -> Iterator[Born]:
    """Make workers: forked from the template into their leaf, with a heap of their own."""
    workers: list[Child] = []

    def fork(key: str) -> tuple[Child, Group]:
        leaf = tree.worker("f@1", key)
        with leaf.hosting(template.pid, tree.template("f@1")):
            worker, _ = template.fork()
        workers.append(worker)
        worker.choose(HEAP // PAGE_SIZE, 0)
        worker.touch(write=True)  # copies every page: from now on they are its own
        return worker, leaf

    yield fork
    for worker in workers:
        worker.kill()


def page_out(worker: Child, leaf: Group, target: Target) -> None:
    advise(target, [worker.heap], Advice.PAGE_OUT)
    leaf.reclaim()


# --- the swap file ------------------------------------------------------------------------------------------------


def test_a_swap_file_is_made_used_found_again_and_removed(folder: Path) -> None:
    path = folder / "swap"
    made = swapfile.ensure(path, 32 * MIB, priority=7, keep_free_bytes=0)
    try:
        assert made.how == "created"
        assert made.area.priority == 7
        assert made.area.size_bytes == 32 * MIB - PAGE_SIZE
        status = path.stat()
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert status.st_blocks * 512 >= 32 * MIB
        assert swapfile.ensure(path, 32 * MIB, priority=7, keep_free_bytes=0).how == "already on"
        with pytest.raises(SwapUnavailable, match="in use"):
            swapfile.remove(path)
        swapfile.turn_off(path, timeout_s=30)
        assert swaps.find_active(path) is None
        inode = path.stat().st_ino
        assert swapfile.ensure(path, 32 * MIB, priority=7, keep_free_bytes=0).how == "turned on again"
        assert path.stat().st_ino == inode
        swapfile.turn_off(path, timeout_s=30)
        assert swapfile.ensure(path, 48 * MIB, priority=7, keep_free_bytes=0).how == "created"
    finally:
        swapfile.turn_off(path, timeout_s=30)
        swapfile.remove(path)
    assert not path.exists()


def test_swap_that_cannot_be_is_refused(folder: Path) -> None:
    with pytest.raises(SwapUnavailable, match="too full"):
        swapfile.ensure(folder / "swap", 32 * MIB, priority=1, keep_free_bytes=1 << 60)
    with pytest.raises(SwapUnavailable, match="tmpfs"):
        swapfile.ensure(Path("/dev/shm/afaas-swap"), 32 * MIB, priority=1)
    assert list(folder.iterdir()) == []


def test_turning_off_that_takes_too_long_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "swap"
    swapfile.ensure(path, 16 * MIB, priority=1, keep_free_bytes=0)
    told: list[int] = []
    try:
        with monkeypatch.context() as slow:
            slow.setattr(swapfile, "_SWAPOFF", "import time; time.sleep(600)")
            with pytest.raises(SwapUnavailable, match="stays in use"):
                swapfile.turn_off(path, timeout_s=0, progress=told.append)
        assert told
        assert swaps.find_active(path)
    finally:
        swapfile.turn_off(path, timeout_s=30)
        swapfile.remove(path)


def test_a_zram_tier_comes_and_goes(folder: Path) -> None:
    if reason := zram.why_not():
        pytest.skip(reason)
    marker = folder / "zram"
    try:
        area = zram.turn_on(32 * MIB, 2000, marker)
    except SwapUnavailable as error:
        pytest.skip(str(error))
    try:
        assert area.is_zram
        assert area.priority == 2000
        assert zram.turn_on(32 * MIB, 2000, marker).path == area.path
        assert zram.compression(area).original_bytes >= 0
    finally:
        zram.turn_off(marker, timeout_s=30)
    assert swaps.find_active(Path(area.path)) is None
    assert not Path(area.path).exists()
    zram.turn_off(marker, timeout_s=30)


# --- paging -------------------------------------------------------------------------------------------------------


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
        assert pagemap.residency(target).swapped_bytes >= HEAP
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


# --- control groups -----------------------------------------------------------------------------------------------


def test_a_worker_is_charged_where_it_was_born(swap: SwapArea, tree: Tree, born: Born) -> None:
    (_, first), (_, second) = born("1"), born("2")
    home = tree.template("f@1")
    assert home.usage_bytes() >= HEAP
    for leaf in (first, second):
        assert HEAP <= leaf.usage_bytes() <= 1.2 * HEAP
        assert leaf.stat().anon_bytes >= HEAP
    assert tree.function("f@1").usage_bytes() >= 3 * HEAP
    assert len(home.pids()) == 1


def test_a_template_that_moves_itself_forks_into_the_group(tree: Tree, template: Child) -> None:
    home, leaf = tree.template("f@1"), tree.worker("f@1", "1")
    template.ask("enter", leaf.entrance)
    worker, _ = template.fork()
    try:
        template.ask("enter", home.entrance)
        assert leaf.pids() == [worker.pid]
        assert home.pids() == [template.pid]
        worker.choose(HEAP // PAGE_SIZE, 0)
        worker.touch(write=True)
        assert HEAP <= leaf.usage_bytes() <= 1.2 * HEAP
    finally:
        worker.kill()


def test_mapping_from_outside_copies_nothing_shared(tree: Tree, template: Child) -> None:
    leaf = tree.worker("f@1", "1")
    with leaf.hosting(template.pid, tree.template("f@1")):
        worker, _ = template.fork()
    try:
        with Target(worker.pid) as target:
            before = leaf.usage_bytes()
            assert populate(target, [worker.heap]).pages == HEAP // PAGE_SIZE
            assert leaf.usage_bytes() - before <= 0.1 * HEAP
    finally:
        worker.kill()


def test_swap_is_charged_to_the_worker(swap: SwapArea, born: Born) -> None:
    worker, leaf = born("1")
    if leaf.swap_bytes() is None:
        pytest.skip("this kernel does not count swap by group")
    with Target(worker.pid) as target:
        page_out(worker, leaf, target)
    swapped = leaf.swap_bytes()
    assert swapped is not None
    assert 0.9 * HEAP <= swapped <= 1.2 * HEAP


def test_an_offender_is_killed_alone(swap: SwapArea, born: Born) -> None:
    (offender, its_leaf), (neighbour, other_leaf) = born("1"), born("2")
    its_leaf.set_limit(HEAP + 8 * MIB, swap_bytes=0)
    assert its_leaf.limit_bytes() == HEAP + 8 * MIB
    with pytest.raises(ChildProcessError):
        offender.ask("grow", 64 * MIB)
    assert its_leaf.oom_kills() == 1
    assert other_leaf.oom_kills() == 0
    neighbour.touch()


def test_limits_can_be_raised_lowered_and_lifted(tree: Tree) -> None:
    leaf = tree.worker("f@1", "x")
    assert leaf.limit_bytes() is None
    for limit in (64 * MIB, 128 * MIB, 32 * MIB, None, 16 * MIB):
        leaf.set_limit(limit, swap_bytes=16 * MIB)
        assert leaf.limit_bytes() == limit


def test_a_budget_above_the_functions_holds(swap: SwapArea, tree: Tree, born: Born) -> None:
    worker, _ = born("1")
    tree.top().set_limit(HEAP)  # half of what is there; the rest goes to swap
    assert tree.top().usage_bytes() <= HEAP
    worker.touch()
    assert tree.top().usage_bytes() <= HEAP


def test_groups_are_found_again_and_removed(tree: Tree, born: Born) -> None:
    worker, leaf = born("1")
    again = cgroup.open_tree(tree.owner)
    assert again.worker("f@1", "1").pids() == [worker.pid]
    with pytest.raises(CgroupError, match="held by"):
        leaf.remove(timeout_s=0)
    worker.kill()
    leaf.remove()
    assert not leaf.exists()
    leaf.remove()
    assert leaf.pids() == []


def test_what_a_dead_node_left_is_cleaned_up_and_nothing_else(tree: Tree, born: Born) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = cgroup.owner_of(dead.pid)
    left = cgroup.open_tree(owner)
    stranger = tree.parent / f"stranger-{os.getpid()}"
    stranger.mkdir()
    with Child.start(MIB) as orphan, Child.start(MIB) as other:
        left.worker("f@1", "1").attach(orphan.pid)
        tree.group(stranger).attach(other.pid)
        try:
            assert owner not in tree.abandoned()
            dead.communicate(b"")
            assert owner in tree.clean_up()
            assert not left.top().exists()
            assert tree.group(stranger).pids() == [other.pid]
            assert tree.top().exists()
            assert owner not in tree.abandoned()
            assert orphan.kill() == -9
        finally:
            other.kill()
            tree.group(stranger).remove()


def test_a_process_that_is_gone_cannot_be_attached(tree: Tree, born: Born) -> None:
    worker, leaf = born("1")
    worker.kill()
    with pytest.raises(ProcessGone):
        leaf.attach(worker.pid)


def test_a_node_in_a_group_of_its_own_moves_aside(tree: Tree) -> None:
    if tree.version != 2:
        pytest.skip("v1 has no rule against inner processes")
    program = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from actorfaas.swap import cgroup
        os.setsid()
        group = Path(sys.argv[1])
        (group / "cgroup.procs").write_text(str(os.getpid()))
        tree = cgroup.open_tree(cgroup.owner_of(os.getpid()))
        leaf = tree.worker("f@1", "1")
        print(Path("/proc/self/cgroup").read_text().strip().endswith("/node"), leaf.usage_bytes() >= 0)
        tree.close()
        print(sorted(p.name for p in group.iterdir() if p.is_dir()), len((group / "cgroup.procs").read_text().split()))
        """
    )
    with_memory = Path("/sys/fs/cgroup") / f"own-{os.getpid()}"
    with_memory.mkdir()
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, str(with_memory)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout.splitlines() == ["True True", "[] 1"], done.stderr
    finally:
        tree.group(with_memory).remove()


def test_pressure_is_told_under_v2(tree: Tree, template: Child) -> None:
    pressure = tree.top().pressure()
    if tree.version == 1:
        assert pressure is None
    elif pressure is not None:
        assert pressure.some_total_us >= 0


def test_an_owner_can_be_read_from_a_name() -> None:
    me = cgroup.owner_of(os.getpid())
    assert Owner.of_directory(me.directory) == me
