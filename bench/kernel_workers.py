"""A worker in a control group of its own, and a report of facts: what the kernel's benchmarks measure with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from actorfaas.swap import pagemap
from actorfaas.swap.cgroup import Group, Tree
from actorfaas.swap.madvise import Advice, advise
from actorfaas.swap.pagemap import Page
from actorfaas.swap.ranges import (
    PAGE_SIZE,
    Range,
)
from actorfaas.swap.target import Target
from bench.paged_child import Child
from bench.report import Report

MIB = 1 << 20
HEAP_BYTES = 80 * MIB
TOUCHED_PAGES = 8 * MIB // PAGE_SIZE
SWAP_BYTES = 1536 * MIB
PAGE_CLUSTER = Path("/proc/sys/vm/page-cluster")
SEED_OF_LAYOUT = 11


def timed(work: Callable[[], object]) -> float:
    """How long it took, in ms."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


@dataclass
class Bench:
    """The report, and how often each thing is measured."""

    report: Report
    rounds: int

    def fact(self, what: str, measured: float, unit: str, design: str) -> None:
        """One line: a figure beside the design's."""
        self.report.rows.append({"fact": what, "measured": measured, "unit": unit, "design": design})


@dataclass
class Worker:
    """A worker that was born in a control group, with a heap that is all its own."""

    child: Child
    leaf: Group
    target: Target

    def page_out(self, ranges: list[Range] | None = None, *, first: list[Range] | None = None) -> None:
        """All private memory out, `first` before the rest, and freed."""
        everything = ranges or pagemap.find(self.target, Page.PRESENT, Page.FILE | Page.ZERO)
        for part in (first or [], everything):
            advise(self.target, part, Advice.PAGE_OUT)
        self.leaf.reclaim()

    def call(self) -> float:
        """One request: touches its pages and writes to each, as reference counts do; how long it took, in ms."""
        return self.child.touch(write=True) * 1000

    def record(self) -> list[Range]:
        """Page out, have one request run, and tell which pages it touched (faults in the heap and around it)."""
        self.page_out()
        self.call()
        return pagemap.working_set(self.target)


@contextmanager
def born(tree: Tree, template: Child, key: str) -> Iterator[Worker]:
    """Fork a worker into its leaf and have it write every page of the heap."""
    leaf = tree.worker("facts@1", key)
    with leaf.hosting(template.pid, tree.template("facts@1")):
        child, _ = template.fork()
    try:
        with Target(child.pid) as target:
            child.choose(HEAP_BYTES // PAGE_SIZE, 0)
            child.touch(write=True)
            child.choose(TOUCHED_PAGES, SEED_OF_LAYOUT)
            child.touch()
            yield Worker(child, leaf, target)
    finally:
        child.kill()
        leaf.remove(5)
