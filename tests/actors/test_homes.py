"""Removing groups that are not empty yet, and what the kernel's files say about a worker's; in plain folders."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from actorfaas import logs
from actorfaas.actors import homes
from actorfaas.actors.homes import GroupHome, GroupHomes
from actorfaas.swap.cgroup_files import Owner
from actorfaas.swap.cgroup_v1 import TreeV1
from actorfaas.swap.cgroup_v2 import TreeV2
from tests.system.kit import eventually

MIB = 1 << 20


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GroupHomes:
    monkeypatch.setattr(homes, "_RETRY_S", 0.001)
    return GroupHomes(TreeV1(tmp_path, Owner(1, 1)), logs.get("test"))


def occupied(folder: Path) -> Path:
    """A folder that cannot be removed yet."""
    folder.mkdir()
    (folder / "held").touch()
    return folder


async def until_gone(path: Path) -> None:
    await asyncio.to_thread(eventually, lambda: not path.exists(), f"the end of {path}")


async def test_an_empty_group_is_removed_at_once(made: GroupHomes, tmp_path: Path) -> None:
    (tmp_path / "leaf").mkdir()
    made.leave(tmp_path / "leaf")
    assert not (tmp_path / "leaf").exists()
    made.leave(tmp_path / "leaf")  # gone already


async def test_a_group_that_is_not_empty_is_tried_again_and_holds_up_no_other(made: GroupHomes, tmp_path: Path) -> None:
    first, second = occupied(tmp_path / "first"), occupied(tmp_path / "second")
    made.leave(first)
    made.leave(second)
    (second / "held").unlink()
    await until_gone(second)
    assert first.exists()
    (first / "held").unlink()
    await until_gone(first)
    made.close()


async def test_only_so_many_are_tried_again_the_oldest_is_left(
    made: GroupHomes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, "_MAX_LEAVING", 1)
    first, second = occupied(tmp_path / "first"), occupied(tmp_path / "second")
    made.leave(first)
    made.leave(second)
    (first / "held").unlink()
    (second / "held").unlink()
    await until_gone(second)
    assert first.exists()


async def test_without_a_tree_workers_have_no_groups_and_that_is_said_once(tmp_path: Path) -> None:
    with capture_logs() as said:
        broken = GroupHomes(TreeV1(tmp_path / "gone", Owner(1, 1)), logs.get("test"))
        assert broken.template("f@1") == ""
        assert broken.worker("f@1", MIB) is None
        broken.remove("f@1")
        broken.take_over()
        broken.close()
    assert [line["log_level"] for line in said] == ["warning"]


@pytest.mark.parametrize(("peak", "full"), [(64 * MIB, True), (64 * MIB - 4096 * 32, True), (40 * MIB, False)])
def test_whether_a_group_was_full_under_v1(made: GroupHomes, tmp_path: Path, peak: int, full: bool) -> None:
    (tmp_path / "memory.limit_in_bytes").write_text(f"{64 * MIB}\n")
    (tmp_path / "memory.max_usage_in_bytes").write_text("4096\n")
    (tmp_path / "memory.memsw.max_usage_in_bytes").write_text(f"{peak}\n")
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    home = GroupHome(made, TreeV1(tmp_path, Owner(1, 1)).group(tmp_path), 1)
    assert home.was_full() is full
    assert home.oom_kills() == 2
    assert home.entrance == str(tmp_path / "tasks")


@pytest.mark.parametrize(("failures", "full"), [(3, True), (0, False)])
def test_whether_a_group_was_full_under_v2(made: GroupHomes, tmp_path: Path, failures: int, full: bool) -> None:
    (tmp_path / "memory.events").write_text(f"low 0\nhigh 0\nmax {failures}\noom 1\noom_kill 1\n")
    home = GroupHome(made, TreeV2(tmp_path, Owner(1, 1)).group(tmp_path), 2)
    assert home.was_full() is full
    assert home.oom_kills() == 1


def test_a_group_that_is_gone_tells_nothing(made: GroupHomes, tmp_path: Path) -> None:
    home = GroupHome(made, TreeV1(tmp_path, Owner(1, 1)).group(tmp_path / "gone"), 1)
    assert home.oom_kills() is None
    assert not home.was_full()
