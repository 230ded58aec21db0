"""How memory can be moved on this machine, and how much of it functions use: what the Swapper tells others.

Reads files of the kernel, some dozen microseconds each. What follows from the numbers is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from actorfaas.config import Settings
from actorfaas.errors import CgroupError, SwapError
from actorfaas.swap import capabilities, swaps
from actorfaas.swap.cgroup import Detected, Tree
from actorfaas.swap.cgroup_files import parse_pressure

OUTSIDE, SELF, NONE = "outside", "self", "none"

_MIB = 1 << 20
_MEMINFO = Path("/proc/meminfo")
_PRESSURE = Path("/proc/pressure/memory")


@dataclass(frozen=True, slots=True)
class Mode:
    """How memory can be moved (`OUTSIDE`, `SELF`, `NONE`), why, and the budget of all functions (0: no limit)."""

    name: str
    sentence: str
    budget_bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory now. `areas`: the swap in use, by path and size. `pressure_percent` is negative where it is not told."""

    usage_bytes: int
    pressure_percent: float
    swap_total_bytes: int
    swap_used_bytes: int
    areas: tuple[tuple[str, int], ...]


def find_mode(settings: Settings, tree: Tree | None) -> Mode:
    """Ask the kernel what can be done, within what the settings allow. Takes milliseconds."""
    if settings.paging == "off":
        return Mode(NONE, "idle workers stay in memory: paging is switched off (setting paging)", 0)
    if tree is None:
        groups = Detected(0, Path(), False, "the node has no control groups; its log says why")
    else:
        groups = Detected(tree.version, tree.root, True, f"control groups v{tree.version} in {tree.root}")
    can = capabilities.find_out(groups)
    if can.can_page_others:
        name = OUTSIDE
    elif can.swap and can.page_out_self:
        name = SELF
    else:
        name = NONE
    return Mode(name, can.mechanism, _budget_bytes(settings, tree, has_swap=bool(can.swap)))


def sample(tree: Tree | None) -> Sample:
    """Measure. Without control groups the usage is not known, and told as 0."""
    areas = swaps.active()
    return Sample(
        _usage_bytes(tree),
        _pressure_percent(tree),
        sum(area.size_bytes for area in areas),
        sum(area.used_bytes for area in areas),
        tuple((area.path, area.size_bytes) for area in areas),
    )


def _usage_bytes(tree: Tree | None) -> int:
    """What functions use, without the node's own processes, which may be in a leaf beside them."""
    if tree is None:
        return 0
    try:
        usage = tree.top().usage_bytes()
        node = tree.group(tree.root / "node")
        return max(0, usage - node.usage_bytes()) if node.exists() else usage
    except CgroupError:  # the node is stopping
        return 0


def _pressure_percent(tree: Tree | None) -> float:
    try:
        if tree is not None and (percent := tree.top().pressure_percent()) is not None:
            return percent
        return parse_pressure(_PRESSURE.read_text())
    except (OSError, SwapError, ValueError):  # built or started without it
        return -1.0


def _budget_bytes(settings: Settings, tree: Tree | None, *, has_swap: bool) -> int:
    """What nobody can measure has no limit; nor has, unless asked for, what could go nowhere."""
    if tree is None:
        return 0
    if settings.memory_budget_mb:
        return settings.memory_budget_mb * _MIB
    return _available_bytes(tree) // 2 if has_swap else 0


def _available_bytes(tree: Tree) -> int:
    """The machine's memory, or the least limit of the groups the tree is in."""
    least = next(
        int(line.split()[1]) * 1024 for line in _MEMINFO.read_text().splitlines() if line.startswith("MemTotal:")
    )
    folder = tree.parent
    while (folder / "cgroup.procs").exists():
        try:
            limit = tree.group(folder).limit_bytes()
        except CgroupError:  # the root group of v2 has none
            limit = None
        least = min(least, limit or least)
        folder = folder.parent
    return least
