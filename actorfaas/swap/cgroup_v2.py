"""Control groups v2: the one hierarchy (Documentation/admin-guide/cgroup-v2.rst).

Peculiar to v2: a group with the memory controller for groups below it may have no processes of its own (the root group
may), so the node's own processes move into a leaf beside the functions. `memory.reclaim` (Linux 5.19) reclaims by the
byte; before, `memory.high` is lowered for a moment.
"""

from __future__ import annotations

import errno
from pathlib import Path

from actorfaas.errors import CgroupError, ProcessGone
from actorfaas.swap.cgroup_base import Group, Tree
from actorfaas.swap.cgroup_files import MemoryStat, parse_flat, parse_limit, parse_pressure, parse_stat_v2

_CONTROL = "cgroup.subtree_control"
_TRIES = 4


class GroupV2(Group):
    """A group of the unified hierarchy."""

    __slots__ = ()

    @property
    def entrance(self) -> Path:
        """See Group."""
        return self.path / "cgroup.procs"

    def usage_bytes(self) -> int:
        """See Group."""
        return self.read_number("memory.current")

    def swap_bytes(self) -> int | None:
        """See Group."""
        return self.read_number("memory.swap.current") if self._counts_swap() else None

    def limit_bytes(self) -> int | None:
        """See Group."""
        return parse_limit(self.read("memory.max"))

    def set_limit(self, memory_bytes: int | None, swap_bytes: int | None = None) -> None:
        """See Group."""
        self.write("memory.max", "max" if memory_bytes is None else str(memory_bytes))
        if self._counts_swap():
            self.write("memory.swap.max", "max" if swap_bytes is None else str(swap_bytes))

    def stat(self) -> MemoryStat:
        """See Group."""
        return parse_stat_v2(self.read("memory.stat"))

    def oom_kills(self) -> int:
        """See Group."""
        return parse_flat(self.read("memory.events"))["oom_kill"]

    def reclaim(self, length_bytes: int | None = None, swappiness: int | None = None) -> int:
        """See Group."""
        before = self.usage_bytes()
        wanted = before if length_bytes is None else min(length_bytes, before)
        if wanted == 0:
            return 0
        if (self.path / "memory.reclaim").exists():
            self._reclaim_bytes(wanted, swappiness)
        else:
            self._reclaim_by_high(before - wanted)
        return max(0, before - self.usage_bytes())

    def pressure_percent(self) -> float | None:
        """See Group; None if the kernel was built or started without it."""
        if not (self.path / "memory.pressure").exists():
            return None
        try:
            return parse_pressure(self.read("memory.pressure"))
        except CgroupError as error:
            if _number(error) == errno.EOPNOTSUPP:
                return None
            raise

    def kill(self) -> None:
        """See Group: in one step (Linux 5.14), so that a process that forks cannot slip away."""
        if not (self.path / "cgroup.kill").exists():
            super().kill()
            return
        self.write("cgroup.kill", "1")

    def enable_memory(self) -> None:
        """Let the groups below count memory. Raises CgroupError."""
        if "memory" not in self.read(_CONTROL).split():
            self.write(_CONTROL, "+memory")

    def disable_memory(self) -> bool:
        """Stop that; whether it could be (not while groups below use it themselves)."""
        try:
            self.write(_CONTROL, "-memory")
        except CgroupError:
            return False
        return True

    def _reclaim_bytes(self, wanted: int, swappiness: int | None) -> None:
        request = str(wanted) if swappiness is None else f"{wanted} swappiness={swappiness}"
        try:
            self.write("memory.reclaim", request)
        except CgroupError as error:
            if _number(error) == errno.EINVAL and swappiness is not None:  # before 6.11
                self._reclaim_bytes(wanted, None)
            elif _number(error) != errno.EAGAIN:  # less than asked for could be freed
                raise

    def _reclaim_by_high(self, high: int) -> None:
        before = self.read("memory.high").strip()
        try:
            self.write("memory.high", str(high))
        finally:
            self.write("memory.high", before)

    def _counts_swap(self) -> bool:
        return (self.path / "memory.swap.max").exists()


class TreeV2(Tree):
    """A node's groups below the group it was started in."""

    version = 2

    def group(self, path: Path) -> GroupV2:
        """See Tree."""
        return GroupV2(path)

    def open(self) -> None:
        """See Tree. If the node's group may not keep processes, all of them move to the leaf `node`."""
        self._mkdir(self.root)
        parent = self.group(self.parent)
        if "memory" not in parent.read(_CONTROL).split():
            self._enable_in_parent(parent)
        self.group(self.root).enable_memory()

    def _enable_in_parent(self, parent: GroupV2) -> None:
        try:
            parent.enable_memory()
        except CgroupError as error:
            if _number(error) != errno.EBUSY:
                raise
            self._move(parent, self._node_leaf())
            parent.enable_memory()

    def close(self, timeout_s: float = 5.0) -> None:
        """See Tree. The node's processes move back to where they came from, if they still can."""
        leaf, parent = self.group(self.root / "node"), self.group(self.parent)
        for group in self.groups():
            if group.path != leaf.path:
                group.kill()
        for group in self.groups():
            if group.path != leaf.path:
                group.remove(timeout_s)
        if leaf.exists():
            if not (self.top_v2().disable_memory() and parent.disable_memory()):
                return  # another node's tree is beside ours; the leaf stays until the processes in it have ended
            self._move(leaf, parent)
            leaf.remove(timeout_s)
        self.top().remove(timeout_s)

    def top_v2(self) -> GroupV2:
        """`top`, as what it is."""
        return self.group(self.root)

    def _node_leaf(self) -> GroupV2:
        leaf = self.root / "node"
        self._mkdir(leaf)
        return self.group(leaf)

    def _move(self, source: GroupV2, to: GroupV2) -> None:
        """All processes, and those they fork meanwhile."""
        for _ in range(_TRIES):
            pids = source.pids()
            if not pids:
                return
            for pid in pids:
                try:
                    to.attach(pid)
                except ProcessGone:
                    continue
        raise CgroupError(f"{source.path}: new processes keep appearing; they could not be moved to {to.path}")

    def _make(self, path: Path, *, inner: bool) -> GroupV2:
        self._mkdir(path)
        group = self.group(path)
        if inner:
            group.enable_memory()
        return group

    def _mkdir(self, path: Path) -> None:
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise CgroupError(f"the control group {path} cannot be made: {error.strerror or error}") from error


def _number(error: CgroupError) -> int | None:
    return error.__cause__.errno if isinstance(error.__cause__, OSError) else None
