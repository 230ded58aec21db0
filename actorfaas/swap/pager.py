"""Memory of one worker out and in, as the kernel does it best. Blocking: one thread at a time for each process.

Out: private ranges are advised out in the order in which the working set will be read, then the worker's control group
is reclaimed, without which nothing is freed. In: the recorded pages are read in batches and mapped from outside.
What came of it is measured, not assumed: the kernel takes advice about everything and follows what it likes.
Which worker, when, and what is then told to whom, is decided elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from actorfaas.config import Settings
from actorfaas.errors import CgroupError, ProcessGone, SwapError
from actorfaas.swap import cgroup, measuring, pagemap, prefetch, swaps
from actorfaas.swap.cgroup import Group, Tree
from actorfaas.swap.cgroup_base import FUNCTION_PREFIX, WORKER_PREFIX
from actorfaas.swap.cgroup_files import safe_name
from actorfaas.swap.joining import joined
from actorfaas.swap.madvise import Advice, advise
from actorfaas.swap.maps import private_ranges
from actorfaas.swap.measuring import Mode, Sample
from actorfaas.swap.pagemap import Page
from actorfaas.swap.populate import populate, populate_own, renew
from actorfaas.swap.prefetch import Pages, Plans
from actorfaas.swap.ranges import Range, Ranges, by_size, intersect, normalise, total_bytes
from actorfaas.swap.recorder import Recorder
from actorfaas.swap.target import Faults, Target
from actorfaas.swap.working_set import FileRange, WorkingSet

OUT_BATCH_BYTES = 16 << 20
"""How much is advised out before it is asked whether the worker is needed again."""

READ_ALL_BYTES = 32 << 20
"""A worker without a record that has at most this much in swap is read back as a whole."""

UNKNOWN = -1

_READERS = prefetch.SCATTERED_PARTS + 2
"""Threads that map what is read, for all page-ins."""

_MOST_ANCESTORS = 16
_LITTLE_BYTES = 1 << 20  # a worker that owns less than this is out, whatever came of it
_IN_FLIGHT_BYTES = 768 << 10  # so much that nobody maps may still be being written
_ANON_ONLY = 200  # swappiness
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


def never() -> bool:
    """For those who are not interrupted."""
    return False


@dataclass(frozen=True, slots=True)
class PagedOut:
    """What a page-out did. `usage_bytes`: what is still charged; `error`: why it stayed in memory, else "".

    `present`: the pages that stayed (shared ones, above all), for a recording to pass over. `shared_bytes`: what its
    template has in memory, 0 if that cannot be told.
    """

    freed_bytes: int
    usage_bytes: int
    error: str = ""
    present: tuple[Range, ...] = ()
    shared_bytes: int = 0


class Memory(NamedTuple):
    """What is charged to a worker, in memory and in swap; `UNKNOWN` for what the kernel does not tell."""

    usage_bytes: int
    swap_bytes: int


@dataclass(slots=True)
class Process:
    """A worker to be paged: its process, the control group it was born in, and whose address space it shares."""

    target: Target
    group: Group | None
    layout: str
    present: tuple[Range, ...] = field(default=())
    """What stayed in memory when it was last paged out, while nothing has run since."""
    out: tuple[Range, ...] = field(default=())
    """What was in swap then; both only if they were to be remembered."""
    before: tuple[Range, ...] = field(default=())
    """What was there when it was last paged in, if that was to be remembered."""
    has_places: bool = False
    """Whether it has been out before, so that pages may keep the places in swap that they had then."""
    renewed: WorkingSet | None = None
    """The record whose pages were given no places yet when they were last read back."""
    laid_out: WorkingSet | None = None
    """The record whose pages have places beside each other, in access order."""
    is_out: bool = False
    """Whether all that is in a record is out, as far as this pager did anything about it since."""


class Pager:
    """Pages the workers of one node. Every method raises SwapError or OSError for what did not work."""

    def __init__(self, tree: Tree | None, node_pid: int) -> None:
        """`tree`: the node's control groups, if it has any. Only descendants of `node_pid` are paged."""
        self.tree = tree
        self._node_pid = node_pid
        self._plans = Plans()
        self._readers = ThreadPoolExecutor(_READERS, "read")
        self._at_templates = Lock()

    def open(self, pid: int, function_topic: str = "") -> Process:
        """Take hold of a worker; `close` lets go.

        Raises SwapError if it is no process of the node, and ProcessGone, also if the number is that of a process in
        the groups of another function than `function_topic` (if that is said), which has got it since.
        """
        with ExitStack() as unless_taken:
            target = unless_taken.enter_context(Target(pid))
            if not self._is_of_node(target):
                raise SwapError(f"process {pid} is not one of this node's")
            group = cgroup.leaf_of(self.tree, target) if self.tree else None
            if group is not None and function_topic and not _is_of(group, function_topic):
                raise ProcessGone(pid)
            process = Process(target, group, _layout_of(target))
            unless_taken.pop_all()
        return process

    def close(self, process: Process) -> None:
        """Let go. No other method may be at work with it."""
        process.target.close()

    def page_out(
        self, process: Process, record: WorkingSet | None, is_needed: Callable[[], bool] = never, *, remember: bool
    ) -> PagedOut:
        """Bring private memory out unless it `is_needed`; `remember` what stayed, for a recording of the next call."""
        target, group = process.target, process.group
        process.present = process.out = ()
        owned, before = _charged(process)
        if record is not None and (process.renewed is record or not process.has_places):
            process.laid_out = record
        elif process.is_out:  # it came back by faults, and what it wrote to then has lost its place
            process.laid_out = None
        process.renewed = None
        process.is_out, process.has_places = False, True
        private = private_ranges(target.mappings())
        for batch in by_size(record.page_out_order(private) if record else private, OUT_BATCH_BYTES):
            if is_needed():
                return PagedOut(0, before, "it was needed before it was out")
            advise(target, batch, Advice.PAGE_OUT)
        refused = ""
        of_template = shared = 0
        try:
            if group is not None:
                group.reclaim()
                of_template, shared = self._reclaim_from_template(group)
        except CgroupError as error:
            refused = str(error)
        if remember:
            process.present = tuple(pagemap.find(target, Page.PRESENT))
            process.out = tuple(pagemap.find(target, Page.SWAPPED))
        target.check()
        _, after = _charged(process)
        freed = max(0, before - after)
        why_kept = _why_kept(owned, freed, refused)
        process.is_out = not why_kept
        return PagedOut(freed + of_template, after, why_kept, process.present, shared)

    def reclaim_rest(self, process: Process) -> int:
        """Some time after a page-out: free the pages that were still being written then; how many bytes that were."""
        if process.group is None:
            return 0
        freed, _ = self._reclaim_from_template(process.group)
        return process.group.reclaim() + freed

    def _reclaim_from_template(self, group: Group) -> tuple[int, int]:
        """Free pages of a worker that are charged to its template; how many bytes that were, and how many are left.

        When a template writes to a page it shares with the worker it has just forked, it gets a new one, and the worker
        keeps the old one: some hundred KB a fork, charged where they were before. After a page-out nobody maps them,
        and so they are told from what the template uses, which is left in peace: less is asked for than there is of
        them, because the kernel makes up for those it cannot free yet with others.
        """
        assert self.tree is not None  # a worker has a group only in a tree
        template = self.tree.template_beside(group)
        with self._at_templates:
            found = template.stat()
            freed = 0
            if found.unmapped_bytes >= _LITTLE_BYTES:
                freed = template.reclaim(found.unmapped_bytes - _IN_FLIGHT_BYTES, _ANON_ONLY)
            return freed, found.anon_bytes

    def page_in(self, process: Process, record: WorkingSet, *, remember: bool = False) -> int:
        """Read and map what of the record is not there; how many bytes that were.

        A step is mapped by other threads while the next one is being read. `remember` what was there, for `grown`.
        """
        target = process.target
        if remember or not process.is_out:
            process.before = process.present or tuple(pagemap.find(target, Page.PRESENT))
        process.present = ()
        if not remember:
            process.out = ()
        plan = self._plans.of(record) if process.is_out else prefetch.plan(record.without(process.before))
        process.is_out = False
        _read_ahead(plan.files)
        map_own: Callable[[Target, Ranges], object] = populate_own
        if process.laid_out is not record:
            map_own, process.renewed = renew, record
        mapping = [self._readers.submit(_map, target, pages, map_own) for pages in plan.scattered]
        try:
            for step in plan.steps:
                advise(target, step.ranges, Advice.WILL_NEED)
                mapping.append(self._readers.submit(_map, target, step.pages, map_own))
            mapping.append(self._readers.submit(renew, target, plan.fresh))
        finally:
            wait(mapping)
        for one in mapping:
            one.result()
        target.check()
        return plan.length_bytes

    def grown(self, process: Process, record: WorkingSet) -> WorkingSet:
        """After a call: the record with what it touched besides, that was not there either when it was paged in."""
        known = normalise(chain(process.before, record.mapped))
        out, process.out = process.out, ()
        more = Recorder(process.target, process.layout, known).finish()
        if not more.pages:
            return record
        grown = record.grown(more)
        return joined(grown, out, process.target.mappings(), most_along_bytes=0) if out else grown

    def read_all(self, process: Process) -> int:
        """Before a call that is to be recorded: read what is out, if that is little; how many bytes that were.

        It takes a fraction of the time that the call's faults would, one by one. Nothing is mapped by it, so what the
        call touches is still told from the rest. Advice does not reach private pages of mapped files.
        """
        readable = normalise(one.range for one in process.target.mappings() if one.is_private and not one.is_file)
        out = intersect(pagemap.find(process.target, Page.SWAPPED), readable)
        if total_bytes(out) > READ_ALL_BYTES:
            return 0
        advise(process.target, out, Advice.WILL_NEED)
        return total_bytes(out)

    def start_recording(self, process: Process) -> Recorder:
        """Before a call: what it will touch is found out by `Recorder.scan` during it and `finish` after it."""
        before = process.present or tuple(pagemap.find(process.target, Page.PRESENT))
        out = process.out or tuple(pagemap.find(process.target, Page.SWAPPED))
        process.present = process.out = ()
        return Recorder(process.target, process.layout, before, out)

    def faults(self, process: Process) -> Faults:
        """The page faults it has had."""
        return process.target.faults()

    def page_out_function(self, function_topic: str) -> int:
        """Bring out what a function's template and workers share; how many bytes were freed.

        Advice passes shared pages over, reclaim takes those nobody has used lately. Nobody may be at work there.
        """
        group = self.tree.find_function(function_topic) if self.tree else None
        if group is None:
            raise SwapError(f"{function_topic} has no control group, without which shared memory cannot be paged out")
        return group.reclaim()

    def find_mode(self, settings: Settings) -> Mode:
        """See `measuring`."""
        return measuring.find_mode(settings, self.tree)

    def sample(self) -> Sample:
        """See `measuring`."""
        return measuring.sample(self.tree)

    def memory_of(self, process: Process) -> Memory:
        """What a worker uses, by its group; without one, only what of it is in swap."""
        try:
            in_swap = process.target.status_bytes("VmSwap").get("VmSwap", UNKNOWN)
            return _memory_of(process.group, in_swap) if process.group else Memory(UNKNOWN, in_swap)
        except (SwapError, OSError):  # it has ended, or its number was given back meanwhile
            return Memory(UNKNOWN, UNKNOWN)

    def memory_by_leaf(self) -> list[tuple[str, int, Memory]]:
        """The function topic and process of every worker that has a group, and what it uses."""
        found = []
        for group in self.tree.groups() if self.tree else ():
            function, _, leaf = str(group.path.relative_to(group.path.parents[1])).partition("/")
            if not leaf.startswith(WORKER_PREFIX):
                continue
            try:
                memory = _memory_of(group, UNKNOWN)
                found += [(function.removeprefix(FUNCTION_PREFIX), pid, memory) for pid in group.pids()]
            except CgroupError:  # removed meanwhile
                continue
        return found

    def memory_by_function(self) -> list[tuple[str, Memory]]:
        """The topic of every function that has a group, and what its template and workers use together."""
        found = []
        for group in self.tree.functions() if self.tree else ():
            with suppress(CgroupError):  # removed meanwhile
                found.append((group.path.name.removeprefix(FUNCTION_PREFIX), _memory_of(group, UNKNOWN)))
        return found

    def _is_of_node(self, target: Target) -> bool:
        pid = target.parent_pid()
        for _ in range(_MOST_ANCESTORS):
            if pid in (0, 1, self._node_pid):
                break
            with Target(pid) as ancestor:
                pid = ancestor.parent_pid()
        return pid == self._node_pid


def _is_of(leaf: Group, function_topic: str) -> bool:
    return leaf.path.parent.name == safe_name(FUNCTION_PREFIX, function_topic)


def _memory_of(group: Group, in_swap: int) -> Memory:
    swap_bytes = group.swap_bytes()
    return Memory(group.usage_bytes(), in_swap if swap_bytes is None else swap_bytes)


def _layout_of(target: Target) -> str:
    """Names the process it was forked from, whose address space all its siblings share, across reboots too."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with Target(target.parent_pid()) as parent:
        return f"{boot}/{parent.pid}-{parent.start_time}"


def _charged(process: Process) -> tuple[int, int]:
    """What a worker's group has of anonymous memory and in all; without a group, what the process maps of it."""
    if process.group is None:
        mapped = process.target.status_bytes("RssAnon").get("RssAnon", 0)
        return mapped, mapped
    return process.group.stat().anon_bytes, process.group.usage_bytes()


def _why_kept(owned: int, freed: int, refused: str) -> str:
    """In words, why most of what it owned is still there; empty if it is not."""
    if owned < _LITTLE_BYTES or freed >= owned // 2:
        return ""
    if refused:
        return refused
    areas = swaps.active()
    if not areas:
        return "there is no swap any more"
    free = sum(area.size_bytes - area.used_bytes for area in areas)
    if free < owned - freed:
        return f"swap is full: {free >> 20} MiB are free, {owned - freed >> 20} MiB would have to go there"
    return f"the kernel kept {owned - freed >> 20} of {owned >> 20} MiB in memory"


def _map(target: Target, pages: Pages, map_own: Callable[[Target, Ranges], object]) -> None:
    map_own(target, pages.own)
    if pages.shared:
        populate(target, pages.shared, are_absent=True)


def _read_ahead(files: Iterable[FileRange]) -> None:
    """Ask for the pages of files of which it is not known where they are mapped."""
    for one in files:
        try:
            fd = os.open(one.path, _OPEN)
        except OSError:  # gone since, or in a place that only the function sees
            continue
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.posix_fadvise(fd, one.offset_bytes, one.length_bytes, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(fd)
