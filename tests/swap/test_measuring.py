"""How memory can be moved and what is used, with control groups that are folders of the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorfaas.config import Settings
from actorfaas.swap import measuring, swaps
from actorfaas.swap.capabilities import Answer, Capabilities
from actorfaas.swap.cgroup import Owner, Tree
from actorfaas.swap.cgroup_v2 import TreeV2
from actorfaas.swap.measuring import find_mode, sample
from actorfaas.swap.swaps import SwapArea

MIB, GIB = 1 << 20, 1 << 30
YES, NO = Answer(True, "fine"), Answer(False, "not here")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree in a group with a limit of 4 GiB."""
    made = TreeV2(tmp_path / "group", Owner(1, 2))
    made.root.mkdir(parents=True)
    for folder in (tmp_path, made.parent, made.root):
        (folder / "cgroup.procs").write_text("")
        (folder / "memory.max").write_text("max\n")
    (made.parent / "memory.max").write_text(f"{4 * GIB}\n")
    (made.root / "memory.current").write_text(f"{100 * MIB}\n")
    return made


@pytest.fixture(autouse=True)
def meminfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "meminfo"
    path.write_text(f"MemTotal: {16 * GIB // 1024} kB\n")
    monkeypatch.setattr(measuring, "_MEMINFO", path)
    monkeypatch.setattr(measuring, "_PRESSURE", tmp_path / "pressure")


@pytest.fixture
def can(monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """What the machine can do, by name; all of it unless a test says otherwise."""
    names = "root sys_nice sys_ptrace sys_admin cgroups reclaim pagemap_scan process_madvise page_out_self swap zram"
    answers = dict.fromkeys(names.split(), YES)
    monkeypatch.setattr("actorfaas.swap.capabilities.find_out", lambda _: Capabilities(cgroup_version=2, **answers))
    return answers


@pytest.mark.parametrize(
    ("lacking", "mode"), [((), "outside"), (("sys_nice",), "self"), (("sys_nice", "page_out_self"), "none")]
)
def test_the_mode_is_the_best_there_is(tree: Tree, can: dict[str, Answer], lacking: tuple[str, ...], mode: str) -> None:
    can.update(dict.fromkeys(lacking, NO))
    found = find_mode(Settings(), tree)
    assert found.name == mode
    assert found.sentence
    assert found.budget_bytes == 2 * GIB  # half of the group's limit, which is less than the machine has


def test_without_swap_nothing_moves_and_only_a_budget_that_was_asked_for_holds(
    tree: Tree, can: dict[str, Answer]
) -> None:
    can["swap"] = NO
    assert (find_mode(Settings(), tree).name, find_mode(Settings(), tree).budget_bytes) == ("none", 0)
    assert find_mode(Settings(memory_budget_mb=300), tree).budget_bytes == 300 * MIB


def test_what_cannot_be_measured_has_no_budget(can: dict[str, Answer]) -> None:
    assert find_mode(Settings(memory_budget_mb=300), None).budget_bytes == 0
    assert sample(None).usage_bytes == 0


def test_paging_can_be_switched_off(tree: Tree, can: dict[str, Answer]) -> None:
    found = find_mode(Settings(paging="off", memory_budget_mb=300), tree)
    assert (found.name, found.budget_bytes) == ("none", 0)
    assert "switched off" in found.sentence


def test_the_machine_is_the_limit_where_no_group_is(tree: Tree, can: dict[str, Answer]) -> None:
    (tree.parent / "memory.max").unlink()  # as in the root group
    assert find_mode(Settings(), tree).budget_bytes == 8 * GIB


def test_a_sample_leaves_the_nodes_own_processes_out(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    areas = [SwapArea("/a", "file", GIB, MIB, 5), SwapArea("/b", "file", GIB, 2 * MIB, 4)]
    monkeypatch.setattr(swaps, "active", lambda: areas)
    found = sample(tree)
    assert (found.usage_bytes, found.pressure_percent) == (100 * MIB, -1.0)
    assert (found.swap_total_bytes, found.swap_used_bytes) == (2 * GIB, 3 * MIB)
    assert found.areas == (("/a", GIB), ("/b", GIB))
    (tree.root / "node").mkdir()
    (tree.root / "node" / "memory.current").write_text(f"{70 * MIB}\n")
    assert sample(tree).usage_bytes == 30 * MIB


def test_pressure_is_the_groups_or_else_the_machines(tree: Tree, tmp_path: Path) -> None:
    line = "avg10={0} avg60=0.00 avg300=0.00 total=5"
    (tmp_path / "pressure").write_text(f"some {line.format(3.5)}\nfull {line.format(1)}\n")
    assert sample(tree).pressure_percent == 3.5
    (tree.root / "memory.pressure").write_text(f"some {line.format(7.25)}\nfull {line.format(1)}\n")
    assert sample(tree).pressure_percent == 7.25


def test_a_tree_that_is_gone_uses_nothing(tree: Tree) -> None:
    (tree.root / "memory.current").unlink()
    assert sample(tree).usage_bytes == 0
