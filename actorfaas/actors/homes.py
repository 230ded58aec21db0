"""The control groups of templates and workers, as the FunctionWorker supervisor makes and removes them.

Carries out `templates.homes` in the node's tree of control groups (`swap.cgroup`), for one actor: everything here runs
on its loop. A group that cannot be removed yet (a process in it is just exiting) is tried again; what is left at the
end goes with the node's tree.
"""

from __future__ import annotations

import asyncio
import os
from itertools import count
from pathlib import Path

from actorfaas.errors import CgroupError
from actorfaas.logs import Logger
from actorfaas.swap.cgroup import Group, Tree
from actorfaas.swap.cgroup_files import parse_flat
from actorfaas.templates.homes import Home

_RETRY_S = 0.2
_RETRIES_A_TURN = 64
_MAX_LEAVING = 4096
"""Groups to be tried again. When there are more, the oldest is left to the node's end."""

_PEAKS = ("memory.max_usage_in_bytes", "memory.memsw.max_usage_in_bytes")
_CHARGED_AT_ONCE_BYTES = 1 << 20  # the kernel charges pages in batches, so a peak stays a little below the limit


class GroupHome:
    """One worker's leaf."""

    def __init__(self, homes: GroupHomes, group: Group, version: int) -> None:
        self._homes = homes
        self._group = group
        self._version = version

    @property
    def entrance(self) -> str:
        """See Home."""
        return str(self._group.entrance)

    def oom_kills(self) -> int | None:
        """See Home."""
        try:
            return self._group.oom_kills()
        except CgroupError:
            return None

    def was_full(self) -> bool:
        """See Home."""
        try:
            if self._version == 1:  # its counts of failures stay 0 on some kernels: the peaks tell
                limit = self._group.limit_bytes()
                peaks = (self._group.read_number(name) for name in _PEAKS if (self._group.path / name).exists())
                return limit is not None and max(peaks) + _CHARGED_AT_ONCE_BYTES > limit
            return parse_flat(self._group.read("memory.events"))["max"] > 0
        except CgroupError:
            return False

    def leave(self) -> None:
        """See Home."""
        self._homes.leave(self._group.path)


class GroupHomes:
    """`Homes` in a node's tree."""

    def __init__(self, tree: Tree, log: Logger) -> None:
        self._tree = tree
        self._log = log
        self._serials = count(1)
        self._maker = os.getpid()  # names of leaves must not come again while those of a supervisor before are left
        self._leaving: dict[Path, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._has_failed = False

    def take_over(self) -> None:
        """Remove what a supervisor before this one left in the tree."""
        for group in self._tree.groups():
            self.leave(group.path)

    def template(self, topic: str) -> str:
        """See Homes."""
        try:
            group = self._tree.template(topic)
        except CgroupError as error:
            self._failed(error)
            return ""
        for path in (group.path, group.path.parent):
            self._leaving.pop(path, None)  # of the same function before
        return str(group.entrance)

    def worker(self, topic: str, limit_bytes: int) -> Home | None:
        """See Homes."""
        try:
            group = self._tree.worker(topic, f"{self._maker}-{next(self._serials)}")
            if limit_bytes:
                # v1 counts memory and swap together: nothing beside the limit. v2 counts them apart, and all of a
                # worker must fit in swap when it is paged out.
                group.set_limit(limit_bytes, 0 if self._tree.version == 1 else limit_bytes)
        except CgroupError as error:
            self._failed(error)
            return None
        return GroupHome(self, group, self._tree.version)

    def remove(self, topic: str) -> None:
        """See Homes."""
        group = self._tree.find_function(topic)
        if group is not None:
            self.leave(group.path / "template")
            self.leave(group.path)

    def close(self) -> None:
        """See Homes."""
        if self._timer is not None:
            self._timer.cancel()
        for group in self._tree.groups():
            self._is_removed(group.path)

    def leave(self, path: Path) -> None:
        """Remove a group, now or as soon as it is empty."""
        if self._is_removed(path):
            return
        if len(self._leaving) >= _MAX_LEAVING:
            del self._leaving[next(iter(self._leaving))]
        self._leaving[path] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_RETRY_S, self._retry)

    def _retry(self) -> None:
        self._timer = None
        turn = list(self._leaving)[:_RETRIES_A_TURN]
        for path in turn:
            del self._leaving[path]
        for path in turn:  # those that are still not empty go to the end, and set the timer again
            self.leave(path)
        if self._leaving and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_RETRY_S, self._retry)

    def _is_removed(self, path: Path) -> bool:
        try:
            self._tree.group(path).remove(0.0)
        except CgroupError:
            return False
        return True

    def _failed(self, error: CgroupError) -> None:
        if not self._has_failed:
            self._has_failed = True
            self._log.warning("no control groups for workers; their memory is not counted", error=str(error))
