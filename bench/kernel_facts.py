"""What the kernel really does with a process that is paged out and in; the facts `docs/swap.md` builds on.

`python -m bench.kernel_facts [--quick] [--json FILE]` needs root, control groups and some GB free on the disk of the
temporary folder. It makes a swap file there (and removes it at the end, whatever happens), forks workers with a heap of
80 MB from a template, each into a control group of its own, and prints each figure beside the one the design was made
with. No part of the platform runs but its kernel interfaces.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from actorfaas.errors import SwapError
from actorfaas.swap import capabilities, cgroup, pagemap, swapfile
from actorfaas.swap.cgroup import Tree
from actorfaas.swap.madvise import Advice, advise
from actorfaas.swap.pagemap import Page
from actorfaas.swap.pager import Pager
from actorfaas.swap.populate import populate, populate_own, renew
from actorfaas.swap.ranges import (
    PAGE_SIZE,
    Range,
    intersect,
    normalise,
    page_count,
    subtract,
    total_bytes,
)
from bench.kernel_groups import measure_fork, measure_move, measure_shared, measure_sharing
from bench.kernel_workers import (
    HEAP_BYTES,
    MIB,
    PAGE_CLUSTER,
    SWAP_BYTES,
    TOUCHED_PAGES,
    Bench,
    Worker,
    born,
    timed,
)
from bench.paged_child import Child
from bench.report import Report, options

# --- the facts ----------------------------------------------------------------------------------------------------


def measure_page_out(bench: Bench, worker: Worker) -> None:
    """MADV_PAGEOUT alone against the group's usage, then reclaim."""
    before = worker.leaf.usage_bytes()
    resident = worker.target.resident_bytes()
    out_ms = timed(lambda: advise(worker.target, [worker.child.heap], Advice.PAGE_OUT))
    bench.fact("PAGEOUT of 80 MB: time", out_ms, "ms", "")
    rss_part = (resident - worker.target.resident_bytes()) / HEAP_BYTES
    bench.fact("PAGEOUT alone: RSS falls by, of the heap", rss_part, "×", "all")
    freed_part = (before - worker.leaf.usage_bytes()) / HEAP_BYTES
    bench.fact("PAGEOUT alone: group usage falls by, of the heap", freed_part, "×", "none")
    bench.fact("then reclaim: time", timed(worker.leaf.reclaim), "ms", "")
    freed_part = (before - worker.leaf.usage_bytes()) / HEAP_BYTES
    bench.fact("then reclaim: group usage has fallen by, of the heap", freed_part, "×", "all")
    stat = worker.leaf.stat()
    bench.fact("left charged to the worker when out", worker.leaf.usage_bytes() / MIB, "MiB", "≤ 0.3 (goal)")
    bench.fact("  of it kernel memory (page tables and others)", (stat.kernel_bytes or 0) / MIB, "MiB", "")
    tables = worker.target.status_bytes("VmPTE").get("VmPTE", 0)
    bench.fact("  page tables of the process (VmPTE)", tables / MIB, "MiB", "")
    worker.child.touch()


Way = Callable[[Worker, list[Range]], None]


def nothing(_: Worker, __: list[Range]) -> None:
    """Demand paging."""


def whole_heap(worker: Worker, _: list[Range]) -> None:
    """WILLNEED over everything."""
    advise(worker.target, [worker.child.heap], Advice.WILL_NEED)


def recorded(worker: Worker, ranges: list[Range]) -> None:
    """WILLNEED over the recorded pages."""
    advise(worker.target, ranges, Advice.WILL_NEED)


def recorded_and_populated(worker: Worker, ranges: list[Range]) -> None:
    """WILLNEED, then mapped from outside."""
    advise(worker.target, ranges, Advice.WILL_NEED)
    populate(worker.target, ranges)


def populated(worker: Worker, ranges: list[Range]) -> None:
    """Mapped from outside without reading ahead."""
    populate(worker.target, ranges)


WAYS: list[tuple[str, Way, bool, str, str]] = [
    ("demand faults", nothing, False, "0", "92"),
    ("demand faults, working set laid out first", nothing, True, "0", ""),
    ("WILLNEED whole heap", whole_heap, False, "45", ""),
    ("WILLNEED recorded", recorded, False, "7", "13"),
    ("WILLNEED recorded, laid out first", recorded, True, "", ""),
    ("populate recorded alone, laid out first", populated, True, "", ""),
    ("WILLNEED + populate", recorded_and_populated, False, "15 in all", "0.70"),
    ("WILLNEED + populate, laid out first", recorded_and_populated, True, "15 in all", "0.70"),
]


def measure_wake(bench: Bench, worker: Worker) -> None:
    """Bringing back a worker whose request touches 8 MB, each way in every round."""
    ranges = worker.record()
    worker.page_out(first=ranges)
    swapped = total_bytes(intersect(pagemap.find(worker.target, Page.SWAPPED), ranges))
    in_heap = page_count(intersect(ranges, [worker.child.heap]))
    bench.report.notes.append(
        f"the working set recorded: {page_count(ranges)} pages in {len(ranges)} ranges; of these {in_heap} in the heap"
        f" (touched: {TOUCHED_PAGES}); {swapped // PAGE_SIZE} are in swap after a page-out, the others stay in memory:"
        " files, and pages shared with the template"
    )
    samples: dict[str, list[tuple[float, float, int, int]]] = {name: [] for name, *_ in WAYS}
    resident: list[float] = []
    for _ in range(bench.rounds):
        for name, way, laid_out, *_ in WAYS:
            worker.page_out(first=ranges if laid_out else shuffled_heap(worker))
            prefetch_ms = timed(lambda way=way: way(worker, ranges))  # type: ignore[misc]  # bound now
            before = worker.target.faults()
            call_ms = worker.call()
            after = worker.target.faults()
            samples[name].append((prefetch_ms, call_ms, after.major - before.major, after.minor - before.minor))
            resident.append(worker.call())
    for name, _, _, design_prefetch, design_call in WAYS:
        prefetch_ms, call_ms, major, minor = (median(series) for series in zip(*samples[name], strict=True))
        bench.report.rows.append(
            {
                "wake an 80 MB worker, 8 MB touched": name,
                "prefetch ms": prefetch_ms,
                "design": design_prefetch,
                "call ms": call_ms,
                "the design's": design_call,
                "major": round(major),
                "minor": round(minor),
            }
        )
    demand = median(s[1] for s in samples["demand faults"])
    bench.fact("the same request, resident", median(resident), "ms", "0.50")
    bench.fact("demand paging per touched page", demand * 1000 / TOUCHED_PAGES, "µs", "45–80")
    best = samples["WILLNEED + populate, laid out first"]
    bench.fact("prefetch rate, laid out first", swapped / 1000 / median(s[0] for s in best), "MB/s", "1,000–1,500")
    bench.fact("prefetch beats demand paging by", demand / median(s[0] + s[1] for s in best), "×", "≥ 3.7 (goal)")


def shuffled_heap(worker: Worker, pages: int = 64) -> list[Range]:
    """The heap in small pieces in random order: swap slots as they are after a while, not as on the first day."""
    start, length = worker.child.heap
    pieces = [(start + offset, pages * PAGE_SIZE) for offset in range(0, length, pages * PAGE_SIZE)]
    random.shuffle(pieces)
    return pieces


def measure_readahead(bench: Bench, worker: Worker) -> None:
    """Demand paging with other sizes of swap readahead; the setting is put back."""
    before = PAGE_CLUSTER.read_text()
    try:
        for setting in (0, 3, 5):
            PAGE_CLUSTER.write_text(str(setting))
            took = []
            for _ in range(bench.rounds):
                worker.page_out(first=shuffled_heap(worker))
                took.append(worker.call())
            bench.fact(f"demand faults with page-cluster {setting} ({1 << setting} pages)", median(took), "ms", "")
    finally:
        PAGE_CLUSTER.write_text(before)


def measure_scan(bench: Bench, worker: Worker) -> None:
    """PAGEMAP_SCAN against reading the file."""
    span = (worker.child.heap_start, 64 * MIB)
    if pagemap.has_scan():
        took = [timed(lambda: pagemap.find(worker.target, Page.PRESENT, within=span)) for _ in range(20)]
        bench.fact("PAGEMAP_SCAN of 64 MB", median(took), "ms", "0.2")
        took = [timed(lambda: pagemap.working_set(worker.target)) for _ in range(20)]
        bench.fact("PAGEMAP_SCAN of the whole process", median(took), "ms", "")
    took = [timed(lambda: list(pagemap.read_regions(worker.target, span))) for _ in range(20)]
    bench.fact("reading the page map of 64 MB instead", median(took), "ms", "")


def measure_populate(bench: Bench, worker: Worker) -> None:
    """What mapping a page from outside costs when nothing needs to be read."""
    worker.call()
    ranges = normalise(intersect(pagemap.working_set(worker.target), [worker.child.heap]))
    took = [timed(lambda: populate(worker.target, ranges)) for _ in range(10)]
    bench.fact("populate, pages mapped already", median(took) * 1000 / page_count(ranges), "µs/page", "")
    advise(worker.target, ranges, Advice.PAGE_OUT)  # they were written to, so they stay in the swap cache
    took_ms = timed(lambda: populate(worker.target, ranges))
    bench.fact("populate, pages in the swap cache", took_ms * 1000 / page_count(ranges), "µs/page", "")
    worker.call()
    advise(worker.target, ranges, Advice.PAGE_OUT)
    took_ms = timed(lambda: populate_own(worker.target, ranges))
    bench.fact("populate_own, pages in the swap cache", took_ms * 1000 / page_count(ranges), "µs/page", "")


def measure_places(bench: Bench, worker: Worker) -> None:
    """A page that is read back for reading keeps its place in swap: the order of later page-outs does not matter."""
    ranges = normalise(intersect(worker.record(), [worker.child.heap]))
    for name, map_own in (("read back as they were", populate_own), ("renewed when they were read back", renew)):
        took = []
        for _ in range(bench.rounds):
            worker.call()  # writes to its pages: they get new places
            worker.page_out(first=shuffled_heap(worker, pages=1))
            advise(worker.target, ranges, Advice.WILL_NEED)
            map_own(worker.target, ranges)
            worker.page_out(first=ranges)
            took.append(timed(lambda: recorded_and_mapped(worker, ranges)))
        bench.fact(f"WILLNEED + populate_own of pages that were {name}", median(took), "ms", "")


def recorded_and_mapped(worker: Worker, ranges: list[Range]) -> None:
    """WILLNEED, then mapped from outside, a thousand pages a call."""
    advise(worker.target, ranges, Advice.WILL_NEED)
    populate_own(worker.target, ranges)


def measure_second_page_out(bench: Bench, worker: Worker) -> None:
    """Pages that were only read since they came from swap still have their copy there."""
    for name, write in (("written to", True), ("only read", False)):
        worker.page_out()
        worker.child.touch(write=write)
        written = -_vmstat("pswpout")
        worker.page_out()
        written += _vmstat("pswpout")
        bench.fact(f"page-out after a request whose pages were {name}: pages written", written, "", "")


def measure_contiguity(bench: Bench, worker: Worker) -> None:
    """How much is read from swap to bring the working set back: read-ahead helps only if neighbours belong together."""
    ranges = worker.record()
    rest = subtract([worker.child.heap], intersect(ranges, [worker.child.heap]))
    for laid_out in (False, True):
        worker.page_out(first=ranges if laid_out else shuffled_heap(worker))
        swapped_in = -_vmstat("pswpin")
        worker.call()
        swapped_in += _vmstat("pswpin")
        name = "working set out first" if laid_out else "heap out in any order"
        bench.fact(f"read from swap by one request, {name}", swapped_in / TOUCHED_PAGES, "× touched", "")
    assert rest, "a working set that is the whole heap would say nothing"


def _vmstat(name: str) -> int:
    for line in Path("/proc/vmstat").read_text().splitlines():
        if line.startswith(name + " "):
            return int(line.split()[1])
    raise SwapError(f"/proc/vmstat does not count {name}")


def measure_pager(bench: Bench, tree: Tree, worker: Worker) -> None:
    """The same through the Swapper's pager: the whole process, its own record of one call."""
    pager = Pager(tree, os.getpid())
    process = pager.open(worker.child.pid)
    try:
        pager.page_out(process, None, remember=True)
        recorder = pager.start_recording(process)
        recorder.scan()
        worker.call()
        took_ms = -time.perf_counter() * 1000
        record = recorder.finish()
        took_ms += time.perf_counter() * 1000
        bench.fact("pager: making a record", took_ms, "ms", "")
        bench.fact("  its size", record.pages * PAGE_SIZE / MIB, "MiB", "")
        samples = []
        for _ in range(bench.rounds):
            out_ms = timed(lambda: pager.page_out(process, record, remember=False))
            in_ms = timed(lambda: pager.page_in(process, record))
            samples.append((out_ms, in_ms, worker.call(), worker.call()))
        names = ("page-out", "page-in of the working set", "the call after it", "the same call, resident")
        for name, series in zip(names, zip(*samples, strict=True), strict=True):
            bench.fact(f"pager: {name}", median(series), "ms", "")
    finally:
        pager.close(process)


# --- the run ------------------------------------------------------------------------------------------------------


@contextmanager
def swap_in_use() -> Iterator[None]:
    """A swap file before all others, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="afaas-facts-", dir=os.environ.get("ACTORFAAS_TEST_SWAP_DIR")) as folder:
        path = Path(folder) / "swap"
        try:
            swapfile.ensure(path, SWAP_BYTES, priority=1000)
            yield
        finally:
            swapfile.turn_off(path, timeout_s=120)
            swapfile.remove(path)


@contextmanager
def tree_of_groups() -> Iterator[Tree]:
    """Control groups of this process, gone at the end."""
    tree = cgroup.open_tree(cgroup.owner_of(os.getpid()))
    try:
        yield tree
    finally:
        tree.close()


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__)
    random.seed(chosen.seed)
    bench = Bench(Report("kernel_facts", chosen.seed), 5 if chosen.quick else 15)
    can = capabilities.find_out()
    bench.report.notes.extend(f"{name}: {answer.sentence}" for name, answer in can.answers().items())
    bench.report.notes.append(f"vm.page-cluster {PAGE_CLUSTER.read_text().strip()}")
    with swap_in_use(), tree_of_groups() as tree:
        with Child.start(HEAP_BYTES, tree.template("facts@1").path) as template:
            with born(tree, template, "1") as worker:
                measure_page_out(bench, worker)
                measure_wake(bench, worker)
                measure_readahead(bench, worker)
                measure_contiguity(bench, worker)
                measure_scan(bench, worker)
                measure_populate(bench, worker)
                measure_places(bench, worker)
                measure_second_page_out(bench, worker)
                measure_pager(bench, tree, worker)
            measure_shared(bench, tree, template)
            measure_sharing(bench, tree, template)
            measure_move(bench, tree, template)
        measure_fork(bench)
    bench.report.finish(chosen)


if __name__ == "__main__":
    try:
        main()
    except SwapError as error:
        sys.exit(f"kernel_facts: {error}")
