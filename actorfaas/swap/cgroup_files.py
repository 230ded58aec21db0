"""What the files of control groups say, in both versions. Pure: text in, numbers out.

Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst, accounting/psi.rst; proc_pid_cgroup(5),
proc_pid_mountinfo(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MARK = "actorfaas-"
"""Every group of ours is below one with this in front of its name; others are never touched."""

_OWNER = re.compile(rf"{MARK}(\d+)-(\d+)")
_SOME_AVG10 = re.compile(r"^some avg10=([\d.]+)", re.MULTILINE)
_V1_UNLIMITED = 1 << 60  # v1 writes the largest multiple of the page size instead of "max"


@dataclass(frozen=True, slots=True)
class Owner:
    """The node a tree of groups belongs to: process id and start time (clock ticks after boot)."""

    pid: int
    start_time: int

    @property
    def directory(self) -> str:
        """The name of the tree's group."""
        return f"{MARK}{self.pid}-{self.start_time}"

    @classmethod
    def of_directory(cls, name: str) -> Owner | None:
        """Whose tree a group is, or None if it is no tree of ours."""
        match = _OWNER.fullmatch(name)
        return cls(int(match[1]), int(match[2])) if match else None


@dataclass(frozen=True, slots=True)
class MemoryStat:
    """What a group's memory is made of, in bytes.

    `unmapped_bytes` is anonymous memory that no process maps: paged out, but not freed yet. `kernel_bytes` (page tables
    and others): None if this kernel does not tell.
    """

    anon_bytes: int
    unmapped_bytes: int
    kernel_bytes: int | None


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted hierarchy: where, and which group is its root there."""

    version: int
    point: Path
    root: str


def parse_limit(text: str) -> int | None:
    """A limit in bytes; None for none."""
    value = text.strip()
    if value == "max":
        return None
    return None if int(value) >= _V1_UNLIMITED else int(value)


def parse_flat(text: str) -> dict[str, int]:
    """A file of lines "name number" (memory.stat, memory.events, memory.oom_control)."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def parse_stat_v2(text: str) -> MemoryStat:
    """v2's memory.stat."""
    fields = parse_flat(text)
    kernel = fields.get("kernel")  # since 5.18
    if kernel is None and "slab" in fields:
        kernel = sum(fields.get(name, 0) for name in ("slab", "kernel_stack", "pagetables", "percpu", "sock"))
    anon, shmem = fields["anon"], fields["shmem"]
    unmapped = max(0, fields["active_anon"] + fields["inactive_anon"] - anon - shmem)
    return MemoryStat(anon, unmapped, kernel)


def parse_stat_v1(text: str, kernel_bytes: int | None) -> MemoryStat:
    """v1's memory.stat; groups below are counted too."""
    fields = parse_flat(text)
    anon, shmem = fields["total_rss"], fields.get("total_shmem", 0)
    unmapped = max(0, fields["total_active_anon"] + fields["total_inactive_anon"] - anon - shmem)
    return MemoryStat(anon, unmapped, kernel_bytes)


def parse_pressure(text: str) -> float:
    """memory.pressure or /proc/pressure/memory: the share of the last 10 s (percent) in which some task waited for
    memory. Raises ValueError on anything else."""
    found = _SOME_AVG10.search(text)
    if found is None:
        raise ValueError("no pressure stall information")
    return float(found[1])


def parse_own_groups(text: str) -> dict[str, str]:
    """/proc/PID/cgroup: the group's path by controller; "" is v2."""
    found = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def parse_mounts(mountinfo: str) -> list[Mount]:
    """The hierarchies that can count memory: v2, and v1's memory controller."""
    mounts = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _source, options) = before.split(), after.split(maxsplit=2)
        if kind == "cgroup2":
            mounts.append(Mount(2, Path(fields[4]), fields[3]))
        elif kind == "cgroup" and "memory" in options.split(","):
            mounts.append(Mount(1, Path(fields[4]), fields[3]))
    return mounts


def own_folder(mount: Mount, group_path: str) -> Path:
    """Where a group's folder is below a mount, which in a container may begin in the middle of the hierarchy."""
    if ".." in Path(group_path).parts:  # outside this cgroup namespace
        return mount.point
    below = group_path
    if mount.root != "/":
        below = group_path.removeprefix(mount.root) if _is_below(group_path, mount.root) else "/"
    return mount.point / below.lstrip("/")


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root + "/")


def safe_name(prefix: str, name: str) -> str:
    """A folder name for something of the user's: never one of the kernel's own file names, and never a path."""
    return f"{prefix}{re.sub(r'[^A-Za-z0-9@._-]', '_', name)}"


def pids_in(text: str) -> list[int]:
    """cgroup.procs. A process of another pid namespace appears as 0 and is left out."""
    return [pid for pid in map(int, text.split()) if pid]


def depth_first(folders: Iterable[Path]) -> list[Path]:
    """Deepest first, so that each can be removed when its turn comes."""
    return sorted(folders, key=lambda folder: len(folder.parts), reverse=True)
