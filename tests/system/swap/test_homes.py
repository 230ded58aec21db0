"""Workers and templates in control groups of their own: what is charged where, who is killed, what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorfaas.messages import Done, StartWorkers, StopFunction, TaskResult, WorkerExited, WorkerStarted
from actorfaas.swap import cgroup
from actorfaas.swap.cgroup import Group, Tree
from actorfaas.swap.pager import Pager
from actorfaas.swap.swaps import SwapArea
from actorfaas.swap.target import Target
from actorfaas.templates.homes import ALLOWANCE_BYTES
from tests.actors_kit import Kit
from tests.system.kit import Node, eventually, node_with
from tests.system.supervisor_rig import SupervisorRig, WorkerEnd
from tests.system.swap.kit import MIB

LIMIT_MB = 32
CODE = f"""
    import mmap
    import os
    import threading
    from actorfaas import function

    loaded = bytearray(os.urandom(4096) * 2048)   # 8 MiB, shared with the template
    kept = []

    @function(memory_mb={LIMIT_MB})
    def keep(event):
        kept.append(bytearray(event["own"]))
        return len(kept)

    @function(memory_mb={LIMIT_MB})
    def share(event):
        memory = mmap.mmap(-1, event["shared"])   # no limit of a process counts it
        for page in range(0, event["shared"], 4096):
            memory[page] = 1
        kept.append(memory)
        return len(kept)
"""
THREADED = CODE + "\n    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"


@pytest.fixture
async def rig(tree: Tree, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SupervisorRig]:
    """A supervisor that was handed down the tree of a node."""
    monkeypatch.setenv(cgroup.HANDED_DOWN, cgroup.to_hand_down(tree))
    made = SupervisorRig(kit)
    await made.start()
    yield made
    made.close()


def leaf_of(tree: Tree, pid: int) -> Group | None:
    with Target(pid) as target:
        return cgroup.leaf_of(tree, target)


def home_of(tree: Tree, pid: int) -> Group:
    leaf = leaf_of(tree, pid)
    assert leaf is not None
    return leaf


async def until_gone(path: Path) -> None:
    await asyncio.to_thread(eventually, lambda: not path.exists(), f"the end of {path}")


async def one_shot(rig: SupervisorRig, topic: str) -> WorkerEnd:
    rig.manager.tell("fw_supervisor", StartWorkers(topic, "fork", 1, pooled=False))
    end = await rig.next_worker()
    await rig.manager.expect(WorkerStarted, lambda message: message.pid == end.pid)
    return end


async def test_a_pooled_worker_and_its_template_have_leaves_and_each_is_charged_for_its_own(
    rig: SupervisorRig, tree: Tree
) -> None:
    started = await rig.deploy(CODE, "keep")
    template = home_of(tree, started.template_pid)
    assert template.path == tree.template("keep@1").path
    worker, other = await rig.worker("keep@1"), await rig.worker("keep@1")
    leaf, others = home_of(tree, worker.pid), home_of(tree, other.pid)
    assert leaf.path != others.path
    assert leaf.path.parent == others.path.parent == template.path.parent
    assert leaf.pids() == [worker.pid]

    before = template.usage_bytes(), leaf.usage_bytes(), others.usage_bytes()
    assert before[1] < 8 * MIB, "what it shares with its template is not charged to a worker"
    assert isinstance(await worker.call({"own": 16 * MIB}), TaskResult)
    assert leaf.usage_bytes() - before[1] > 15 * MIB
    assert template.usage_bytes() - before[0] < 4 * MIB
    assert others.usage_bytes() - before[2] < 4 * MIB
    limit = leaf.limit_bytes()
    assert limit is not None
    assert limit >= LIMIT_MB * MIB + ALLOWANCE_BYTES + 8 * MIB, "a worker may write to all that its template loaded"


async def test_a_worker_beyond_its_limit_is_killed_alone_and_the_reason_is_told(rig: SupervisorRig, tree: Tree) -> None:
    started = await rig.deploy(CODE, "share")
    worker, other = await rig.worker("share@1"), await rig.worker("share@1")
    limit = home_of(tree, worker.pid).limit_bytes()
    assert limit is not None
    assert await worker.call({"shared": limit + 16 * MIB}) is None
    exited = await rig.manager.expect(WorkerExited)
    assert exited.pid == worker.pid
    assert exited.detail == f"was killed by signal 9 (SIGKILL): out of memory (limit {LIMIT_MB} MB)"
    result = await other.call({"shared": MIB})
    assert isinstance(result, TaskResult)
    assert result.payload == b"1"
    assert leaf_of(tree, started.template_pid) is not None


async def test_a_worker_killed_by_somebody_else_is_not_said_to_have_run_out_of_memory(
    rig: SupervisorRig, tree: Tree
) -> None:
    await rig.deploy(CODE, "share")
    offender, worker = await rig.worker("share@1"), await rig.worker("share@1")
    limit = home_of(tree, offender.pid).limit_bytes()
    assert limit is not None
    await offender.call({"shared": limit + 16 * MIB})
    assert "out of memory" in (await rig.manager.expect(WorkerExited)).detail
    with Target(worker.pid) as target:
        target.kill()
    assert (await rig.manager.expect(WorkerExited)).detail == "was killed by signal 9 (SIGKILL)"


async def test_leaves_go_with_their_workers_and_groups_with_their_function(rig: SupervisorRig, tree: Tree) -> None:
    await rig.deploy(CODE, "keep")
    worker, other = await rig.worker("keep@1"), await rig.worker("keep@1")
    leaf, others = home_of(tree, worker.pid), home_of(tree, other.pid)
    await worker.retire()
    await rig.manager.expect(WorkerExited)
    await until_gone(leaf.path)
    assert others.exists()
    await rig.manager.ask("fw_supervisor", StopFunction("keep@1", 0.0), Done, 30)
    await until_gone(leaf.path.parent)


async def test_a_function_that_is_started_again_at_once_keeps_its_groups(rig: SupervisorRig, tree: Tree) -> None:
    prepared = await rig.prepare({"app.py": CODE.replace("\n    ", "\n")})
    for _ in range(3):
        started = await rig.start_function(prepared, "keep")
        worker = await rig.worker("keep@1")
        assert leaf_of(tree, started.template_pid) is not None
        assert home_of(tree, worker.pid).pids() == [worker.pid]
        await rig.manager.ask("fw_supervisor", StopFunction("keep@1", 0.0), Done, 30)


async def test_workers_for_one_request_have_no_leaf(rig: SupervisorRig, tree: Tree) -> None:
    started = await rig.deploy(CODE, "keep")
    template = home_of(tree, started.template_pid)
    once = await one_shot(rig, "keep@1")
    assert home_of(tree, once.pid).path == template.path
    assert [path.name for path in template.path.parent.iterdir() if path.is_dir()] == ["template"]


async def test_cold_workers_have_no_leaf(rig: SupervisorRig, tree: Tree) -> None:
    started = await rig.deploy(CODE, "keep")
    template = home_of(tree, started.template_pid)
    cold = await rig.worker("keep@1", "cold")
    elsewhere = leaf_of(tree, cold.pid)  # under v2, the platform's own leaf
    assert elsewhere is None or elsewhere.path.parent == tree.root
    assert [path.name for path in template.path.parent.iterdir() if path.is_dir()] == ["template"]


async def test_what_cannot_fork_has_leaves_too_but_loads_there_without_a_limit(rig: SupervisorRig, tree: Tree) -> None:
    started = await rig.deploy(THREADED, "keep")
    assert not started.forkable
    worker = await rig.worker("keep@1")
    leaf = home_of(tree, worker.pid)
    assert leaf.path != tree.template("keep@1").path
    assert leaf.limit_bytes() is None
    assert leaf.usage_bytes() > 8 * MIB, "what it has loaded is its own"


async def test_a_supervisor_removes_what_one_before_it_left(
    tree: Tree, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [tree.worker("f@1", "1-1"), tree.template("f@1")]
    monkeypatch.setenv(cgroup.HANDED_DOWN, cgroup.to_hand_down(tree))
    rig = SupervisorRig(kit)
    await rig.start()
    with contextlib.closing(rig):
        assert not any(group.path.parent.exists() for group in left)


# --- a whole node ----------------------------------------------------------------------------------------------------


def leaves_of(node: Node) -> set[Path]:
    root = cgroup.detect().parent / cgroup.owner_of(node.process.pid).directory
    return set(root.glob("fn-*/w-*"))


def test_nothing_is_left_of_workers_whose_supervisor_was_killed(short_dir: Path) -> None:
    with node_with(short_dir, "steady") as node:
        node.until_serving("alive", 1)
        before = eventually(lambda: leaves_of(node), "a leaf of the worker")
        node.kill(node.actor_pids()["fw_supervisor"])
        eventually(lambda: not before & leaves_of(node), "the end of the old leaves")
        node.until_serving("alive", 1)
        assert eventually(lambda: leaves_of(node), "a leaf of the new worker")
        tree = next(iter(leaves_of(node))).parents[1]
    assert not tree.exists()


async def test_a_template_stays_in_memory_when_its_workers_leave(
    rig: SupervisorRig, tree: Tree, swap: SwapArea
) -> None:
    """Each has pages that are charged to the other: both have written to some after the fork.

    The last one here: where there is swap, a worker beyond its limit is not killed at once (v2).
    """
    started = await rig.deploy(CODE, "keep")
    pager = Pager(tree, os.getpid())
    for _ in range(12):
        worker = await rig.worker("keep@1")
        await worker.call({"own": 1000})
        process = pager.open(worker.pid)
        out = await asyncio.to_thread(pager.page_out, process, None, remember=False)
        pager.close(process)
        assert not out.error
    with Target(started.template_pid) as template:
        assert template.status_bytes("VmSwap")["VmSwap"] < 256 << 10
