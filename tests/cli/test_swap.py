"""`actorfaas swap`, and what `doctor` says about swap, on machines that look like others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actorfaas.cli import swap_checks
from actorfaas.cli.checks import Check, Machine
from actorfaas.config import Settings
from actorfaas.errors import SwapUnavailable
from actorfaas.swap import swapfile, swaps
from actorfaas.swap.swaps import NODE_LABEL, PERSON_LABEL, SwapArea, build_header
from tests.cli.conftest import Cli

GIB = 1 << 30
HEADER = "Filename\tType\tSize\tUsed\tPriority\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without anything, to which a test adds files."""
    (tmp_path / "proc/self").mkdir(parents=True)
    return Machine(Settings(data_dir=tmp_path / "data"), proc=tmp_path / "proc")


@pytest.fixture
def areas(monkeypatch: pytest.MonkeyPatch) -> list[SwapArea]:
    """What /proc/swaps lists."""
    made: list[SwapArea] = []
    monkeypatch.setattr(swaps, "active", lambda: made)
    return made


# --- swap status, on, off -------------------------------------------------------------------------------------------


def test_status_without_swap(alone: Cli, areas: list[SwapArea]) -> None:
    result = alone("swap", "status")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "actorfaas swap on" in result.stderr
    assert json.loads(alone("swap", "status", "-o", "json").stdout)["areas"] == []


def test_status_says_who_made_what(alone: Cli, areas: list[SwapArea], tmp_path: Path) -> None:
    for name, label in (("a", NODE_LABEL), ("b", PERSON_LABEL), ("c", "other")):
        (tmp_path / name).write_bytes(build_header(GIB, label, bytes(16)))
        areas.append(SwapArea(str(tmp_path / name), "file", GIB, GIB // 4, 5))
    areas.append(SwapArea("/dev/nothing", "partition", GIB, 0, -2))
    lines = alone("swap", "status").stdout.splitlines()
    assert lines[0].split()[:4] == ["swap", "kind", "size", "used"]
    assert [line.split("5  ")[-1] for line in lines[1:4]] == ["node", "actorfaas swap on", "others"]
    assert "25 %" in lines[1]
    assert lines[4].endswith("unknown")
    told = json.loads(alone("swap", "status", "-o", "json").stdout)
    assert [area["made_by"] for area in told["areas"]] == ["node", "actorfaas swap on", "others", "unknown"]
    assert told["areas"][0]["used_bytes"] == GIB // 4
    assert told["default_path"] == str(tmp_path / "data" / "swapfile")


@pytest.mark.parametrize("verb", ["on", "off"])
def test_only_root_can(alone: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str) -> None:
    path = tmp_path / "swapfile"
    path.write_bytes(build_header(GIB, PERSON_LABEL, bytes(16)))
    uid = path.stat().st_uid
    monkeypatch.setattr(swaps, "find_active", lambda path: SwapArea(str(path), "file", GIB, 0, 5))
    monkeypatch.setattr("os.geteuid", lambda: uid + 1)
    result = alone("swap", verb, "--path", str(path))
    assert result.exit_code == 1
    assert path.exists()
    assert "root" in result.stderr or "not a swap file of actorfaas" in result.stderr


def test_what_others_made_is_not_turned_off(alone: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(swapfile, "turn_off", never)
    path = tmp_path / "others"
    path.write_bytes(build_header(GIB, "", bytes(16)))
    result = alone("swap", "off", "--path", str(path))
    assert result.exit_code == 1
    assert "not a swap file of actorfaas" in result.stderr
    assert path.exists()
    assert "there is no swap file" in alone("swap", "off", "--path", str(tmp_path / "nothing")).stderr


def test_on_takes_sizes_with_units(alone: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def ensure(path: Path, size_bytes: int, **how: object) -> None:
        asked.append((path, size_bytes, how))
        raise SwapUnavailable("enough seen")

    monkeypatch.setattr(swapfile, "ensure", ensure)
    for size in ("512M", "1.5g", "2GiB"):
        assert "enough seen" in alone("swap", "on", "--size", size, "--priority", "7").stderr
    path, label = tmp_path / "data" / "swapfile", {"priority": 7, "label": PERSON_LABEL}
    assert asked == [(path, 512 << 20, label), (path, 3 * GIB // 2, label), (path, 2 * GIB, label)]
    for size in ("4", "x", "-1G", "1X"):
        assert alone("swap", "on", "--size", size).exit_code == 2


# --- doctor ---------------------------------------------------------------------------------------------------------


def test_swap(machine: Machine) -> None:
    found = swap_checks.check_swap(machine)
    assert (found.status, found.found) == ("warn", "none")
    assert "actorfaas swap on" in found.advice
    (machine.proc / "swaps").write_text(f"{HEADER}/swapfile file 2097152 0 -2\n/dev/zram0 partition 1048576 0 5\n")
    assert swap_checks.check_swap(machine) == Check("swap", "ok", "3.0 GiB on /swapfile, /dev/zram0, 0 B used")
    (machine.proc / "swaps").write_text(f"{HEADER}/swapfile file 1000 950 -2\n")
    assert "nearly full" in swap_checks.check_swap(machine).advice


def test_control_groups(machine: Machine, tmp_path: Path) -> None:
    assert swap_checks.check_cgroup(machine).status == "warn"
    (machine.proc / "self/cgroup").write_text("0::/\n")
    (machine.proc / "self/mountinfo").write_text("")
    found = swap_checks.check_cgroup(machine)
    assert (found.status, found.found) == ("warn", "no control groups that count memory")
    assert "cgroup2" in found.advice
    group = tmp_path / "cgroup"
    group.mkdir()
    for name, text in (("cgroup.controllers", "memory\n"), ("cgroup.procs", ""), ("cgroup.subtree_control", "")):
        (group / name).write_text(text)
    (machine.proc / "self/mountinfo").write_text(f"1 0 0:1 / {group} rw - cgroup2 cgroup2 rw\n")
    assert swap_checks.check_cgroup(machine) == Check("cgroup", "ok", f"control groups v2 in {group}")


def test_paging_says_why(machine: Machine) -> None:
    assert swap_checks.check_paging(machine).found
    off = Machine(Settings(paging="off"))
    assert swap_checks.check_paging(off).found == "switched off"


def test_what_the_kernel_can_do_is_said(machine: Machine) -> None:
    assert "PAGEMAP_SCAN" in swap_checks.check_page_map(machine).found
    assert swap_checks.check_zram(machine).status == "ok"
