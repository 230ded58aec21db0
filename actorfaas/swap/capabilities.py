"""What this process may do to idle workers' memory on this machine, each answer with a sentence for people.

Everything is found out by trying it on this process itself or by reading; nothing is changed or left behind.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from dataclasses import dataclass, fields
from pathlib import Path

from actorfaas.errors import SwapError
from actorfaas.swap import cgroup, madvise, pagemap, swaps, zram
from actorfaas.swap.madvise import Advice
from actorfaas.swap.ranges import PAGE_SIZE
from actorfaas.swap.target import Target

_CAP_SYS_PTRACE, _CAP_SYS_ADMIN, _CAP_SYS_NICE = 19, 21, 23


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes or no, and why or how."""

    yes: bool
    sentence: str

    def __bool__(self) -> bool:
        return self.yes


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The answers. `cgroup_version` is 0, 1 or 2."""

    root: Answer
    sys_nice: Answer
    sys_ptrace: Answer
    sys_admin: Answer
    cgroups: Answer
    cgroup_version: int
    reclaim: Answer
    pagemap_scan: Answer
    process_madvise: Answer
    page_out_self: Answer
    swap: Answer
    zram: Answer

    @property
    def can_page_others(self) -> bool:
        """Whether workers can be paged out and in from outside."""
        return bool(self.process_madvise and self.sys_nice and self.swap)

    @property
    def mechanism(self) -> str:
        """How idle workers leave memory here, in a sentence."""
        if not self.swap:
            return "idle workers stay in memory: there is no swap"
        if not self.can_page_others:
            if not self.page_out_self:
                return "idle workers stay in memory: this process may page neither others nor itself"
            return "idle workers page themselves out; what is freed is up to the kernel"
        if not (self.cgroups and self.reclaim):
            return "idle workers are paged out from outside; without control groups, what is freed is up to the kernel"
        return f"idle workers are paged out from outside and their memory is freed at once ({self.cgroups.sentence})"

    def answers(self) -> dict[str, Answer]:
        """All answers by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Answer)}


def find_out(groups: cgroup.Detected | None = None) -> Capabilities:
    """Ask the kernel. Takes a few milliseconds. `groups`: the control groups to be used, if that is settled already."""
    held = effective_capabilities(Path("/proc/self/status").read_text())
    groups = groups or cgroup.detect()
    return Capabilities(
        root=Answer(os.geteuid() == 0, "root" if os.geteuid() == 0 else f"user {os.geteuid()}, not root"),
        sys_nice=_capability(held, _CAP_SYS_NICE, "CAP_SYS_NICE", "paging other processes out and in"),
        sys_ptrace=_capability(held, _CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "looking at processes of other users"),
        sys_admin=_capability(held, _CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "turning swap on and off"),
        cgroups=Answer(groups.usable, groups.sentence),
        cgroup_version=groups.version,
        reclaim=_reclaim(groups),
        pagemap_scan=_pagemap_scan(),
        process_madvise=_process_madvise(),
        page_out_self=_page_out_self(),
        swap=_swap(),
        zram=_zram(),
    )


def effective_capabilities(status: str) -> int:
    """The set CapEff in the text of /proc/PID/status, as a bit mask. Pure."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _capability(held: int, bit: int, name: str, use: str) -> Answer:
    if held & 1 << bit:
        return Answer(True, f"{name}: {use} is allowed")
    return Answer(False, f"{name} is missing: {use} is not allowed")


def _reclaim(groups: cgroup.Detected) -> Answer:
    if not groups.usable:
        return Answer(False, "no control group whose memory could be reclaimed")
    if groups.version == 1:
        return Answer(True, "memory.force_empty frees what was paged out")
    if any((folder / "memory.reclaim").exists() for folder in _below(groups.parent)):
        return Answer(True, "memory.reclaim frees what was paged out")
    return Answer(
        True, "memory.reclaim is not there (Linux 5.19 has it); lowering memory.high frees what was paged out"
    )


def _below(folder: Path) -> list[Path]:
    return [folder, *(path for path in folder.iterdir() if path.is_dir())]


def _pagemap_scan() -> Answer:
    if pagemap.has_scan():
        return Answer(True, "PAGEMAP_SCAN tells what is in memory in a fraction of a millisecond")
    return Answer(False, "no PAGEMAP_SCAN (Linux 6.7 has it): /proc/PID/pagemap is read instead, some times slower")


def _process_madvise() -> Answer:
    page = mmap.mmap(-1, PAGE_SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        with Target(os.getpid()) as me:
            advised = madvise.advise(me, [(_address_of(page), PAGE_SIZE)], Advice.WILL_NEED)
    except (SwapError, OSError) as error:
        return Answer(False, str(error))
    finally:
        page.close()
    if advised.ranges_passed_over:
        return Answer(False, "process_madvise cannot read ahead (Linux 5.13 can)")
    return Answer(True, "process_madvise can page out and read ahead")


def _page_out_self() -> Answer:
    page = mmap.mmap(-1, PAGE_SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        page[0] = 1
        madvise.advise_self([(_address_of(page), PAGE_SIZE)], Advice.COLD)
        refused = madvise.advise_self([(_address_of(page), PAGE_SIZE)], Advice.PAGE_OUT).ranges_passed_over
    except OSError as error:
        return Answer(False, f"MADV_PAGEOUT: {errno.errorcode.get(error.errno or 0, 'error')}")
    finally:
        page.close()
    if refused:
        return Answer(False, "no MADV_PAGEOUT (Linux 5.4 has it)")
    return Answer(True, "a process can page itself out (MADV_PAGEOUT)")


def _address_of(page: mmap.mmap) -> int:
    view = ctypes.c_char.from_buffer(page)
    address = ctypes.addressof(view)
    del view  # else the map could not be closed
    return address


def _swap() -> Answer:
    areas = swaps.active()
    if not areas:
        return Answer(False, "no swap; turn some on with: actorfaas swap on")
    total, used = sum(a.size_bytes for a in areas), sum(a.used_bytes for a in areas)
    return Answer(True, f"{total >> 20} MiB of swap, {used >> 20} MiB used, on {', '.join(a.path for a in areas)}")


def _zram() -> Answer:
    if reason := zram.why_not():
        return Answer(False, reason)
    return Answer(True, "zram can be used as a tier in front of the disk")
