"""What the kernel does where memory is shared: by fork, by control groups. Part of `bench.kernel_facts`."""

from __future__ import annotations

import ctypes
import os
import time
from array import array
from itertools import chain
from statistics import median

from actorfaas.errors import SwapError
from actorfaas.swap import pagemap
from actorfaas.swap.cgroup import Tree
from actorfaas.swap.madvise import Advice, advise
from actorfaas.swap.pagemap import Page
from actorfaas.swap.ranges import (
    PAGE_SIZE,
    Range,
    intersect,
    page_addresses,
    total_bytes,
)
from actorfaas.swap.target import Target
from bench.kernel_workers import (
    HEAP_BYTES,
    MIB,
    Bench,
    timed,
)
from bench.paged_child import Child


def measure_shared(bench: Bench, tree: Tree, template: Child) -> None:
    """A worker fresh from the fork: who is charged for what, and what paging it out does to the template's pages."""
    home, leaf = tree.template("facts@1"), tree.worker("facts@1", "fresh")
    home_before = home.usage_bytes()
    with leaf.hosting(template.pid, home):
        child, _ = template.fork()
    try:
        bench.fact("fresh fork of an 80 MB template: charged to the worker", leaf.usage_bytes() / MIB, "MiB", "")
        bench.fact("  of it kernel memory", (leaf.stat().kernel_bytes or 0) / MIB, "MiB", "")
        bench.fact("  charged to the template more than before", (home.usage_bytes() - home_before) / MIB, "MiB", "")
        with Target(child.pid) as target:
            present = total_bytes(intersect(pagemap.find(target, Page.PRESENT), [child.heap]))
            advise(target, [child.heap], Advice.PAGE_OUT)
            left = total_bytes(intersect(pagemap.find(target, Page.PRESENT), [child.heap]))
        bench.fact("  shared pages that PAGEOUT of the worker takes", (present - left) / MIB, "MiB", "none")
        home.reclaim()
        with Target(template.pid) as target:
            left = total_bytes(intersect(pagemap.find(target, Page.PRESENT), [template.heap]))
        bench.fact(
            "  shared pages that reclaim of the template's group takes", (HEAP_BYTES - left) / MIB, "MiB", "most"
        )
        bench.fact("  template's group usage after that", home.usage_bytes() / MIB, "MiB", "")
        template.choose(HEAP_BYTES // PAGE_SIZE, 0)
        template.touch()
    finally:
        child.kill()
        leaf.remove(5)


def measure_move(bench: Bench, tree: Tree, template: Child) -> None:
    """The template's way into a worker's group and back; and a worker that is moved only after the fork."""
    home, leaf = tree.template("facts@1"), tree.worker("facts@1", "late")

    def there_and_back() -> None:
        with leaf.hosting(template.pid, home):
            pass

    took = [timed(there_and_back) for _ in range(50)]
    bench.fact("into a group and back, one after the other", median(took), "ms", "0.03 (v1)")

    def moves_itself() -> None:
        template.ask("enter", leaf.entrance)
        template.ask("enter", home.entrance)

    for name, move in (("is moved", there_and_back), ("moves itself (and is told to, twice)", moves_itself)):
        took = []
        for _ in range(10):
            time.sleep(0.3)  # the kernel's lock falls back to its slow state
            took.append(timed(move))
        bench.fact(f"into a group and back once in a while, template {name}", median(took), "ms", "")
    child, _ = template.fork()
    try:
        child.choose(HEAP_BYTES // PAGE_SIZE, 0)
        child.touch(write=True)
        leaf.attach(child.pid)
        bench.fact("80 MB worker moved after it has run: charged there", leaf.usage_bytes() / MIB, "MiB", "hardly")
    finally:
        child.kill()
        leaf.remove(5)


def measure_fork(bench: Bench) -> None:
    """How long fork takes by the size of the parent."""
    for size in (100 * MIB, 500 * MIB):
        took = []
        with Child.start(size) as parent:
            for _ in range(bench.rounds + 2):
                child, seconds = parent.fork()
                took.append(seconds * 1000)
                child.kill()
        design = {100 * MIB: "2", 500 * MIB: "10"}[size]
        bench.fact(f"fork() of a parent of {size // MIB} MB", median(took), "ms", design)


def measure_sharing(bench: Bench, tree: Tree, template: Child) -> None:
    """What mapping pages from outside does to those that a fresh worker shares with its template."""
    for name, way in (("/proc/PID/mem", _read_all), ("process_vm_readv", _read_pinned)):
        leaf = tree.worker("facts@1", "shared")
        with leaf.hosting(template.pid, tree.template("facts@1")):
            child, _ = template.fork()
        try:
            with Target(child.pid) as target:
                before = leaf.usage_bytes()
                way(target, [child.heap])
                grown = (leaf.usage_bytes() - before) / MIB
            bench.fact(f"80 MB shared with the template, read by {name}: worker grows by", grown, "MiB", "")
            if way is _read_all:
                home = tree.template("facts@1")
                home.reclaim()
                bench.fact("  and reclaim of the template's group then leaves", home.usage_bytes() / MIB, "MiB", "")
        finally:
            child.kill()
            leaf.remove(5)


def _read_all(target: Target, ranges: list[Range]) -> None:
    """Every page through /proc/PID/mem, also those that are mapped."""
    with os.fdopen(target.open("mem"), "rb", buffering=0) as memory:
        for start, length in ranges:
            if len(os.pread(memory.fileno(), length, start)) != length:
                raise SwapError(f"process {target.pid} has no {length} bytes at {start:#x}")


def _read_pinned(target: Target, ranges: list[Range]) -> None:
    """process_vm_readv(2) of a byte of each page, 1,024 pages a call."""
    libc = ctypes.CDLL(None)
    sink = array("B", bytes(1024))
    local = array("Q", sink.buffer_info())
    pages = list(page_addresses(ranges))
    for first in range(0, len(pages), 1024):
        remote = array("Q", chain.from_iterable((page, 1) for page in pages[first : first + 1024]))
        here, there = (ctypes.c_void_p(vectors.buffer_info()[0]) for vectors in (local, remote))
        done = libc.process_vm_readv(target.pid, here, 1, there, len(remote) // 2, 0)
        if done != len(remote) // 2:
            raise SwapError(f"process_vm_readv read {done} of {len(remote) // 2} pages")
