"""What a real node sets up for its instances' memory: its groups, its swap file, what a crash leaves, what a stop does.

Nodes run in a folder whose file system can hold a swap file.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorfaas.swap import cgroup, swapfile, swaps
from actorfaas.swap.cgroup import Owner
from actorfaas.swap.swaps import NODE_LABEL
from tests.system.kit import PATIENCE_S, Node, eventually, node_with
from tests.system.swap.kit import MIB

SWAP_MB = 32


@pytest.fixture(autouse=True)
def no_other_swap() -> None:
    """Where there is other swap in use, other programs' pages may come into a node's file, and keep it from going."""
    if areas := swaps.active():
        pytest.skip(f"this machine has swap of its own: {areas[0].path}")


@pytest.fixture
def data_dir(folder: Path) -> Iterator[Path]:
    """A node's folder; whatever a test leaves on is turned off at the end."""
    yield folder
    swapfile.turn_off(folder / "swapfile", timeout_s=60)


def tree_of(node: Node) -> Path:
    """Where the tree of a node's control groups is, or would be."""
    return cgroup.detect().parent / cgroup.owner_of(node.process.pid).directory


def in_use(data_dir: Path) -> bool:
    return swaps.find_active(data_dir / "swapfile") is not None


def environment_of(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def test_a_node_makes_its_groups_and_its_swap_and_takes_them_down(data_dir: Path) -> None:
    with node_with(data_dir, "faulty", swap_mb=SWAP_MB, log_level="info") as node:
        tree = tree_of(node)
        assert tree.is_dir()
        path = data_dir / "swapfile"
        assert in_use(data_dir)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        header = swapfile.read_header(path)
        assert header is not None
        assert header.label == NODE_LABEL
        for pid in node.actor_pids().values():
            assert environment_of(pid)[cgroup.HANDED_DOWN].endswith(f":{tree}")
        assert '"mode": "outside"' in node.log
    assert not tree.exists()
    assert not in_use(data_dir)
    assert not path.exists()


def test_what_a_killed_node_left_is_taken_over_and_then_removed(data_dir: Path) -> None:
    with node_with(data_dir, swap_mb=SWAP_MB) as killed:
        left = tree_of(killed)
        killed.kill_everything()
    assert in_use(data_dir)
    inode = (data_dir / "swapfile").stat().st_ino
    assert left.is_dir()
    with node_with(data_dir, swap_mb=SWAP_MB, log_level="info") as node:
        assert '"how": "already on"' in node.log
        assert (data_dir / "swapfile").stat().st_ino == inode
        assert not left.exists()
        tree = tree_of(node)
    assert not in_use(data_dir)
    assert not tree.exists()


def test_swap_left_by_a_killed_node_goes_even_if_the_next_one_makes_none(data_dir: Path) -> None:
    with node_with(data_dir, swap_mb=SWAP_MB) as killed:
        killed.kill_everything()
    with node_with(data_dir, log_level="info") as node:
        assert "left its swap file" in node.log
        assert in_use(data_dir)
    assert not in_use(data_dir)
    assert not (data_dir / "swapfile").exists()


def test_swap_that_a_person_turned_on_stays(data_dir: Path) -> None:
    def swap(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "actorfaas", "swap", *arguments, "--data-dir", str(data_dir)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    done = swap("on", "--size", "32M", "--priority", "7")
    assert done.returncode == 0, done.stderr
    assert "32 MiB of swap, created" in done.stderr
    assert "already on" in swap("on", "--size", "32M").stderr
    with node_with(data_dir, swap_mb=SWAP_MB, log_level="info") as node:
        assert '"how": "already on"' in node.log
    assert in_use(data_dir)
    areas = json.loads(swap("status", "-o", "json").stdout)["areas"]
    (ours,) = (area for area in areas if area["path"] == str((data_dir / "swapfile").resolve()))
    assert (ours["made_by"], ours["priority"], ours["size_bytes"]) == ("actorfaas swap on", 7, 32 * MIB - 4096)
    done = swap("off")
    assert done.returncode == 0, done.stderr
    assert not in_use(data_dir)
    assert not (data_dir / "swapfile").exists()


def test_a_node_goes_on_without_what_it_cannot_have(data_dir: Path) -> None:
    (data_dir / "swapfile").write_text("somebody's")
    with node_with(data_dir, swap_mb=SWAP_MB, cgroups="off", log_level="info") as node:
        assert "not a swap file of actorfaas" in node.log
        assert not tree_of(node).exists()
        assert environment_of(node.actor_pids()["frontend"])[cgroup.HANDED_DOWN] == ""
    assert (data_dir / "swapfile").read_text() == "somebody's"


def test_a_node_that_cannot_start_leaves_nothing(data_dir: Path) -> None:
    (data_dir / "state.sqlite").write_text("no database")
    environment = os.environ | {"ACTORFAAS_SWAP_MB": str(SWAP_MB), "ACTORFAAS_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "actorfaas", "serve", "--port", "0"]
    before = {path.name for path in cgroup.detect().parent.iterdir()}
    node = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert node.wait(3 * PATIENCE_S) == 1
    after = {path.name for path in cgroup.detect().parent.iterdir()}
    assert not [name for name in after - before if (owner := Owner.of_directory(name)) and owner.pid == node.pid]
    assert not in_use(data_dir)
    assert not (data_dir / "swapfile").exists()


def test_a_swapper_that_is_killed_finds_the_groups_again(data_dir: Path) -> None:
    with node_with(data_dir, swap_mb=SWAP_MB, log_level="info") as node:
        swapper = int(eventually(lambda: swapper_pid(node), "a swapper"))
        node.kill(swapper)
        eventually(lambda: swapper_pid(node) not in (0, swapper), "another swapper")
        eventually(lambda: node.log.count('"mode": "outside"') == 2, "its word on paging")
        assert tree_of(node).is_dir()


def swapper_pid(node: Node) -> int:
    """The Swapper's process now; 0 while there is none."""
    for pid in node.processes():
        try:
            if b"actorfaas.actors.swapper:Swapper" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        except FileNotFoundError:
            continue
    return 0
