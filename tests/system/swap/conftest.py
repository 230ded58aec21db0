"""What the tests of swapping against the real kernel share: a swap file, control groups, and processes to page.

They run as root where control groups count memory: under v1 or v2, whichever the machine has (tests/vm boots a v2 one).
`ACTORFAAS_TEST_SWAP_DIR` names a folder for the swap file where the temporary folder cannot hold one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorfaas import testing
from actorfaas.swap import capabilities, cgroup, filesystem, swapfile
from actorfaas.swap.cgroup import Group, Tree
from actorfaas.swap.pager import Pager, Process
from actorfaas.swap.ranges import PAGE_SIZE
from actorfaas.swap.swaps import SwapArea
from bench.paged_child import Child
from tests.patience import SLOWNESS
from tests.system.swap.kit import HEAP, MIB, Born


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
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs what `why_not` looks for."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.system)
            item.add_marker(pytest.mark.swap)
            item.add_marker(pytest.mark.skipif(bool(REASON), reason=REASON or "can run"))


@pytest.fixture(autouse=True, scope="session")
def slow_machine() -> Iterator[None]:
    """Where every instruction is emulated (tests/vm), a node needs more time to start and to stop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("actorfaas.testing.START_TIMEOUT_S", testing.START_TIMEOUT_S * SLOWNESS)
        patch.setattr("actorfaas.testing.STOP_TIMEOUT_S", testing.STOP_TIMEOUT_S * SLOWNESS)
        yield


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


@pytest.fixture
def pager(tree: Tree) -> Pager:
    """The pager of a node that is this process."""
    return Pager(tree, os.getpid())


@pytest.fixture
def worker(born: Born) -> Child:
    """One worker."""
    return born("1")[0]


@pytest.fixture
def process(pager: Pager, worker: Child) -> Iterator[Process]:
    """The worker, as the pager holds it."""
    held = pager.open(worker.pid)
    yield held
    pager.close(held)
