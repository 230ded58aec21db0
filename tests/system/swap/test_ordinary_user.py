"""A node of an ordinary user beside swap: workers page themselves out and in, and everything works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorfaas.swap import cgroup
from actorfaas.swap.cgroup import Tree
from actorfaas.testing import RunningNode
from tests.patience import SLOWNESS
from tests.system.kit import Node, eventually
from tests.system.swap.kit import called, until_out

NOBODY = 65534
STOP_S = 20.0 * SLOWNESS
LOOK_S = 60.0 * SLOWNESS


def as_nobody(python: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """This Python's platform, run by another user with a Python that this user may run."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("ACTORFAAS_")}
    path = os.pathsep.join([str(Path(__file__).parents[3]), sysconfig.get_paths()["purelib"]])
    return subprocess.Popen(
        [python, *arguments],
        user=NOBODY,
        group=NOBODY,
        extra_groups=(),
        env={**settings, "PYTHONPATH": path, "HOME": "/nonexistent", "PATH": os.environ["PATH"], **environment},
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


DELEGATED = """
import os, signal, sys, time
from pathlib import Path
from actorfaas.swap import cgroup

MIB = 1 << 20
os.setsid()
while not Path("/proc/self/cgroup").read_text().strip().endswith(sys.argv[1]):
    time.sleep(0.01)
tree = cgroup.open_tree(cgroup.owner_of(os.getpid()))
leaf = tree.worker("f@1", "1")
leaf.set_limit(64 * MIB, 64 * MIB)
said, says = os.pipe()
pid = os.fork()
if pid == 0:
    leaf.entrance.write_text("0")
    heap = os.urandom(16 * MIB)
    os.write(says, b"!")
    signal.pause()
os.read(said, 1)
assert leaf.pids() == [pid]
assert leaf.usage_bytes() > 16 * MIB
assert leaf.reclaim() > 15 * MIB
assert leaf.swap_bytes() > 15 * MIB
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
tree.close()
assert not tree.root.exists()
"""


def interpreter() -> str:
    """A Python of this version that another user may run, or nothing."""
    for name in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        try:
            if as_nobody(name, "-c", "import actorfaas.node").wait(LOOK_S) == 0:
                return name
        except OSError:  # not there, or not for this user
            continue
    return ""


@pytest.fixture(scope="module")
def node(swap: object) -> Iterator[Node]:
    python = interpreter()
    if not python:
        pytest.skip("no Python of this version that an ordinary user may run")
    with tempfile.TemporaryDirectory(prefix="afaas-nobody-", dir="/var/tmp") as name:
        os.chown(name, NOBODY, NOBODY)
        settings = {"ACTORFAAS_DATA_DIR": name, "ACTORFAAS_PORT": "0", "ACTORFAAS_PAGING_POLICY": "immediate"}
        process = as_nobody(python, "-m", "actorfaas", "serve", **settings)
        try:
            eventually(lambda: Path(name, "node.json").exists(), "the node is ready")
            url = json.loads(Path(name, "node.json").read_text())["url"]
            running = Node(RunningNode(url, Path(name), process))
            with running.http:
                running.deploy("sizable")
                yield running
        finally:
            process.terminate()
            process.wait(STOP_S)


def test_every_process_belongs_to_the_user_and_the_mechanism_is_named(node: Node) -> None:
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in node.processes()} == {NOBODY}
    mechanisms = node.get("/v1/node")["mechanisms"]
    assert mechanisms["paging_mode"] == "self"
    assert "page themselves" in mechanisms["paging_sentence"]


def test_workers_page_themselves_out_and_in(node: Node) -> None:
    pids, kinds = set(), []
    for _ in range(6):
        until_out(node, "out_between_calls")
        result, kind = called(node, "out_between_calls")
        pids.add(result["pid"])
        kinds.append(kind)
    assert kinds[-1] == "prefetched", kinds
    assert {one["pid"] for one in until_out(node, "out_between_calls")} >= pids


@pytest.mark.parametrize("strategy", ["auto", "resident", "fork", "cold", "swap", "reap", "faasnap"])
def test_every_strategy_works(node: Node, strategy: str) -> None:
    for _ in range(3):
        called(node, "whoami", strategy=strategy)


def test_workflows_work(node: Node) -> None:
    assert node.ended(node.start("two_states", 0.01))["status"] == "succeeded"


def test_a_delegated_group_is_enough_for_groups_of_ones_own(swap: object, tree: Tree) -> None:
    """As a systemd user session delegates one: its folder and the files to move processes belong to the user."""
    if tree.version != 2:
        pytest.skip("v1 has no rule for delegating groups")
    python = interpreter()
    assert python, "no Python of this version that an ordinary user may run"
    group = cgroup.detect().parent / f"delegated-{os.getpid()}"
    group.mkdir()
    try:
        for path in (group, *(group / name for name in ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control"))):
            os.chown(path, NOBODY, NOBODY)
        process = as_nobody(python, "-c", DELEGATED, group.name)
        (group / "cgroup.procs").write_text(str(process.pid))
        assert process.wait(LOOK_S) == 0
    finally:
        tree.group(group).remove(timeout_s=LOOK_S)
