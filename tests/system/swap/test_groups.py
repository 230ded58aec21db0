"""Control groups: who is charged for what, limits, and what is left when a node has died."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from actorfaas.errors import CgroupError, ProcessGone
from actorfaas.swap import cgroup
from actorfaas.swap.cgroup import Owner, Tree
from actorfaas.swap.populate import populate
from actorfaas.swap.ranges import PAGE_SIZE
from actorfaas.swap.swaps import SwapArea
from actorfaas.swap.target import Target
from bench.paged_child import Child
from tests.system.swap.kit import HEAP, MIB, Born, page_out


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
    percent = tree.top().pressure_percent()
    if tree.version == 1:
        assert percent is None
    elif percent is not None:
        assert 0 <= percent <= 100


def test_an_owner_can_be_read_from_a_name() -> None:
    me = cgroup.owner_of(os.getpid())
    assert Owner.of_directory(me.directory) == me
