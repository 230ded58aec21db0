"""Names shared by the tests of swapping, and how they page a process out."""

from __future__ import annotations

from collections.abc import Callable

from actorfaas.swap.cgroup import Group
from actorfaas.swap.madvise import Advice, advise
from actorfaas.swap.target import Target
from bench.paged_child import Child

MIB = 1 << 20
HEAP = 32 * MIB
TOUCHED = 800

Born = Callable[[str], tuple[Child, Group]]
"""Makes a worker: forked from the template into its leaf, with a heap of its own."""


def page_out(worker: Child, leaf: Group, target: Target) -> None:
    advise(target, [worker.heap], Advice.PAGE_OUT)
    leaf.reclaim()
