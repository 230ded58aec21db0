"""Which control groups a node finds usable, on machines made of folders."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from actorfaas.errors import CgroupError
from actorfaas.swap import cgroup
from actorfaas.swap.cgroup import Detected, Owner, detect, open_tree
from actorfaas.swap.cgroup_v1 import GroupV1
from actorfaas.swap.cgroup_v2 import GroupV2


class Machine:
    """A /proc and a /sys/fs/cgroup."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.sys = folder / "proc", folder / "cgroup"
        (self.proc / "self").mkdir(parents=True)
        self.own: list[str] = []
        self.mounts: list[str] = []

    def v2(self, own: str, *, controllers: str = "cpu memory", enabled: str = "", procs: str = "") -> Path:
        point = self.sys / "unified"
        self.mounts.append(f"31 24 0:27 / {point} rw - cgroup2 cgroup2 rw")
        self.own.append(f"0::{own}")
        group = point / own.lstrip("/")
        group.mkdir(parents=True)
        (group / "cgroup.controllers").write_text(controllers)
        (group / "cgroup.subtree_control").write_text(enabled)
        (group / "cgroup.procs").write_text(procs)
        if own != "/":
            (group / "cgroup.type").write_text("domain")
        return group

    def v1(self, own: str) -> Path:
        point = self.sys / "memory"
        self.mounts.append(f"30 24 0:26 / {point} rw - cgroup cgroup rw,memory")
        self.own.append(f"4:memory:{own}")
        group = point / own.lstrip("/")
        group.mkdir(parents=True)
        (group / "cgroup.procs").write_text("")
        return group

    def detect(self) -> Detected:
        (self.proc / "self/cgroup").write_text("\n".join(self.own))
        (self.proc / "self/mountinfo").write_text("\n".join(self.mounts))
        return detect(self.proc)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_none(machine: Machine) -> None:
    found = machine.detect()
    assert (found.version, found.usable) == (0, False)
    assert "mount cgroup2" in found.sentence
    with pytest.raises(CgroupError, match="mount cgroup2"):
        open_tree(Owner(1, 1), found)


def test_v2_is_taken_before_v1_if_it_counts_memory(machine: Machine) -> None:
    machine.v1("/a")
    group = machine.v2("/b")
    assert machine.detect() == Detected(2, group, True, f"control groups v2 in {group}")


def test_v1_is_taken_where_v2_is_empty(machine: Machine) -> None:
    group = machine.v1("/a")
    machine.v2("/", controllers="")
    assert machine.detect() == Detected(1, group, True, f"control groups v1 in {group}")


def test_a_group_shared_with_strangers_is_not_ours_to_rearrange(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getsid", lambda pid: 77 if pid == 1 else 78)
    machine.v2("/scope", procs=f"{os.getpid()}\n1\n")
    found = machine.detect()
    assert not found.usable
    assert "(1)" in found.sentence
    assert "systemd-run" in found.sentence


@pytest.mark.parametrize(("own", "enabled"), [("/", ""), ("/scope", "cpu memory")])
def test_strangers_do_not_matter_where_nobody_must_move(machine: Machine, own: str, enabled: str) -> None:
    machine.v2(own, enabled=enabled, procs=f"{os.getpid()}\n1\n")
    assert machine.detect().usable


def test_own_processes_can_be_moved(machine: Machine) -> None:
    machine.v2("/scope", procs=f"{os.getpid()}\n")
    assert machine.detect().usable


def test_what_is_not_writable_is_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.v2("/scope")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "cgroup.procs")
    found = machine.detect()
    assert not found.usable
    assert "cgroup.procs is not writable" in found.sentence
    assert "Delegate=yes" in found.sentence


def test_a_group_that_cannot_be_seen(machine: Machine) -> None:
    machine.v1("/a").joinpath("cgroup.procs").unlink()
    machine.sys.joinpath("memory/a").rmdir()
    assert "cannot be seen" in machine.detect().sentence


def test_an_owner_is_a_process_at_a_time() -> None:
    me = cgroup.owner_of(os.getpid())
    assert me.pid == os.getpid()
    assert me == cgroup.owner_of(os.getpid())


def test_a_group_without_reclaim_is_squeezed_by_its_high_mark(tmp_path: Path) -> None:
    group = GroupV2(tmp_path)
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.high").write_text("max\n")
    seen: list[str] = []
    original = GroupV2.write

    def write(self: GroupV2, name: str, text: str) -> None:
        seen.append(f"{name} {text}")
        original(self, name, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GroupV2, "write", write)
        group.reclaim(400)
    assert seen == ["memory.high 600", "memory.high max"]


def test_less_than_all_is_reclaimed_by_lowering_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """v1 knows no other way; the limit and the swappiness from before hold again, whatever came of it."""
    files = {"memory.usage_in_bytes": "1000", "memory.limit_in_bytes": "5000", "memory.swappiness": "60"}
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    seen: list[str] = []

    def write(_: GroupV1, name: str, text: str) -> None:
        seen.append(f"{name} {text}")
        if name == "memory.limit_in_bytes" and text == "600":
            raise CgroupError("busy") from OSError(errno.EBUSY, "less could be freed")

    monkeypatch.setattr(GroupV1, "write", write)
    group = GroupV1(tmp_path)
    group.reclaim(400, swappiness=200)
    assert seen == [
        "memory.swappiness 200",
        "memory.limit_in_bytes 600",
        "memory.limit_in_bytes 5000",
        "memory.swappiness 60",
    ]
    seen.clear()
    group.reclaim(1000)
    group.reclaim()
    group.reclaim(0)
    assert seen == ["memory.force_empty 0"] * 2


def test_a_limit_that_must_be_raised_from_the_other_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """v1 refuses memory + swap below memory, and memory above memory + swap."""
    limits = {"memory.limit_in_bytes": 100, "memory.memsw.limit_in_bytes": 100}
    (tmp_path / "memory.memsw.limit_in_bytes").write_text("")

    def write(_: GroupV1, name: str, text: str) -> None:
        wanted = {**limits, name: int(text)}
        if wanted["memory.limit_in_bytes"] > wanted["memory.memsw.limit_in_bytes"]:
            raise CgroupError("invalid")
        limits.update(wanted)

    monkeypatch.setattr(GroupV1, "write", write)
    group = GroupV1(tmp_path)
    for memory, swap in ((50, 0), (200, 100), (20, 10), (20, 500), (600, 0)):
        group.set_limit(memory, swap)
        assert limits == {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory + swap}
