"""Control groups v1: the memory controller's hierarchy (Documentation/admin-guide/cgroup-v1/memory.rst).

Peculiar to v1: `memory.force_empty` reclaims all there is, and to reclaim less, the limit is lowered for a moment; swap
is counted together with memory (memsw); the memory of page tables and other kernel objects is in `memory.kmem.*`.
"""

from __future__ import annotations

import errno
from pathlib import Path

from actorfaas.errors import CgroupError
from actorfaas.swap.cgroup_base import Group, Tree, is_missing
from actorfaas.swap.cgroup_files import MemoryStat, parse_flat, parse_limit, parse_stat_v1

_LIMIT, _TOTAL_LIMIT = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
_SWAPPINESS = "memory.swappiness"


class GroupV1(Group):
    """A group in the memory controller's hierarchy."""

    __slots__ = ()

    @property
    def entrance(self) -> Path:
        """See Group."""
        return self.path / "tasks"

    def usage_bytes(self) -> int:
        """See Group."""
        return self.read_number("memory.usage_in_bytes")

    def swap_bytes(self) -> int | None:
        """See Group. The kernel tells memory and swap together: the difference, which can be a little off."""
        if not self._counts_swap():
            return None
        return max(0, self.read_number("memory.memsw.usage_in_bytes") - self.usage_bytes())

    def limit_bytes(self) -> int | None:
        """See Group."""
        return parse_limit(self.read(_LIMIT))

    def set_limit(self, memory_bytes: int | None, swap_bytes: int | None = None) -> None:
        """See Group. The limit of both together may never be below that of memory, so the order depends."""
        memory = "-1" if memory_bytes is None else str(memory_bytes)
        if not self._counts_swap():
            self.write(_LIMIT, memory)
            return
        both = "-1" if memory_bytes is None or swap_bytes is None else str(memory_bytes + swap_bytes)
        try:
            self.write(_LIMIT, memory)
            self.write(_TOTAL_LIMIT, both)
        except CgroupError:
            self.write(_TOTAL_LIMIT, both)
            self.write(_LIMIT, memory)

    def stat(self) -> MemoryStat:
        """See Group. The page tables are part of the kernel's memory."""
        try:
            kernel = self.read_number("memory.kmem.usage_in_bytes")
        except CgroupError as error:
            if not is_missing(error):
                raise
            kernel = None
        return parse_stat_v1(self.read("memory.stat"), kernel)

    def oom_kills(self) -> int:
        """See Group."""
        return parse_flat(self.read("memory.oom_control")).get("oom_kill", 0)

    def reclaim(self, length_bytes: int | None = None, swappiness: int | None = None) -> int:
        """See Group."""
        before = self.usage_bytes()
        if length_bytes == 0:
            return 0
        usual = self.read(_SWAPPINESS).strip() if swappiness is not None else ""
        if swappiness is not None:
            self.write(_SWAPPINESS, str(swappiness))
        try:
            if length_bytes is None or length_bytes >= before:
                self.write("memory.force_empty", "0")
            else:
                self._reclaim_by_limit(before - length_bytes)
        finally:
            if usual:
                self.write(_SWAPPINESS, usual)
        return max(0, before - self.usage_bytes())

    def pressure_percent(self) -> float | None:
        """None: v1 does not tell."""
        return None

    def _reclaim_by_limit(self, limit: int) -> None:
        """The kernel sets a limit only once usage is below it; until then the one before holds, and so nobody dies."""
        before = self.read(_LIMIT).strip()
        try:
            self.write(_LIMIT, str(limit))
        except CgroupError as error:
            if not (isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EBUSY):
                raise  # busy: less than asked for could be freed
        finally:
            self.write(_LIMIT, before)

    def _counts_swap(self) -> bool:
        return (self.path / _TOTAL_LIMIT).exists()


class TreeV1(Tree):
    """A node's groups below the group it was started in."""

    version = 1

    def group(self, path: Path) -> GroupV1:
        """See Tree."""
        return GroupV1(path)

    def open(self) -> None:
        """See Tree. The node itself stays where it is."""
        self._make(self.root, inner=True)

    def _make(self, path: Path, *, inner: bool) -> GroupV1:
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise CgroupError(f"the control group {path} cannot be made: {error.strerror or error}") from error
        group = self.group(path)
        if inner and group.read_number("memory.use_hierarchy") == 0:  # always 1 from 5.11 on
            group.write("memory.use_hierarchy", "1")
        return group
