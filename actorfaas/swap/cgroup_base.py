"""What both versions of control groups have in common: the interface, and all that is done the same way.

    OWN/actorfaas-PID-START/            a node's tree, inside the group the node was started in
    ├── node/                           the platform's own processes (v2 only, where it is needed)
    └── fn-NAME@VERSION/                a function
        ├── template/                   its template process: what workers share is charged here
        └── w-KEY/                      one worker: what only it has is charged here

Memory is charged to the group in which it is first touched, so a worker must be *born* in its leaf (`hosting`).
When to limit, reclaim and remove is decided elsewhere. Everything here blocks, for micro- to milliseconds; `reclaim`
for as long as writing takes.
"""

from __future__ import annotations

import errno
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actorfaas.errors import CgroupError, ProcessGone
from actorfaas.swap.cgroup_files import (
    MemoryStat,
    Owner,
    depth_first,
    pids_in,
    safe_name,
)
from actorfaas.swap.target import Target

FUNCTION_PREFIX, WORKER_PREFIX = "fn-", "w-"
"""What the names of groups begin with; what follows is the function's topic, or the worker's key."""

_TEMPLATE = "template"
_PROCS = "cgroup.procs"
_RETRY_S = 0.005


class Group(ABC):
    """One control group, by its folder. Cheap to make: nothing is opened until it is asked."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @property
    @abstractmethod
    def entrance(self) -> Path:
        """The file a process with one thread writes "0" to, to move itself here: cheaper than being moved.

        Being moved takes the kernel's lock on all forks and exits, about 10 ms unless it was taken just before; under
        v1, a thread that moves itself need not take it.
        """

    @abstractmethod
    def usage_bytes(self) -> int:
        """Memory charged to it and to those below; what is in swap does not count, what is in the swap cache does."""

    @abstractmethod
    def swap_bytes(self) -> int | None:
        """Swap charged to it; None where the kernel does not count."""

    @abstractmethod
    def limit_bytes(self) -> int | None:
        """The hard limit of memory; None for none."""

    @abstractmethod
    def set_limit(self, memory_bytes: int | None, swap_bytes: int | None = None) -> None:
        """The hard limit of memory, and of swap beside it; None for none. Who goes beyond both is killed (OOM)."""

    @abstractmethod
    def stat(self) -> MemoryStat:
        """What the memory is made of."""

    @abstractmethod
    def oom_kills(self) -> int:
        """How many processes in it (v2: or below) were killed for its limit."""

    @abstractmethod
    def reclaim(self, length_bytes: int | None = None, swappiness: int | None = None) -> int:
        """Write out and free `length_bytes` (None: all that can be); how much less is charged afterwards.

        Blocks. Coldest first: what was advised to be paged out goes at once. `swappiness` (0 files only, 200 swap only)
        holds for this call where supported. One call at a time for each group: where only its limit can be lowered,
        two would take each other's for the one to restore.
        """

    @abstractmethod
    def pressure_percent(self) -> float | None:
        """The share of the last 10 s in which some task of this group waited for memory (v2), or None."""

    def attach(self, pid: int) -> None:
        """Move a process here; what it touched before stays charged where it was. Raises ProcessGone."""
        try:
            self.write(_PROCS, str(pid))
        except CgroupError as error:
            if isinstance(error.__cause__, ProcessLookupError):
                raise ProcessGone(pid) from None
            raise

    @contextmanager
    def hosting(self, pid: int, home: Group) -> Iterator[None]:
        """Have process `pid` in this group for as long as it takes to fork, then send it back to `home`.

        Its child stays here, and so do the child's page tables and all it touches. A process that may write to
        control groups does better to move itself, see `entrance`. Raises ProcessGone.
        """
        self.attach(pid)
        try:
            yield
        finally:
            home.attach(pid)

    def pids(self) -> list[int]:
        """The processes in it; zombies are not listed, but keep it from being removed."""
        try:
            return pids_in(self.read(_PROCS))
        except CgroupError as error:
            if is_missing(error):
                return []
            raise

    def kill(self) -> None:
        """SIGKILL to every process in it."""
        for pid in self.pids():
            try:
                with Target(pid) as target:
                    if pid in self.pids():
                        target.kill()
            except ProcessGone:
                continue

    def exists(self) -> bool:
        """Whether its folder is there."""
        return self.path.is_dir()

    def remove(self, timeout_s: float = 1.0) -> None:
        """Remove it, waiting for processes that are just exiting; nothing if it is gone. Raises CgroupError."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self.path.rmdir()
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() >= deadline:
                    holders = ", ".join(map(str, self.pids())) or "zombies or groups below"
                    raise CgroupError(f"{self.path} cannot be removed: {error.strerror} (held by {holders})") from error
                time.sleep(_RETRY_S)
            else:
                return

    def read(self, name: str) -> str:
        """One of its files. Raises CgroupError."""
        try:
            return (self.path / name).read_text()
        except OSError as error:
            raise CgroupError(f"{self.path / name} cannot be read: {error.strerror or error}") from error

    def read_number(self, name: str) -> int:
        """A file with one number."""
        return int(self.read(name))

    def write(self, name: str, text: str) -> None:
        """Write a whole file in one call, as the kernel wants it. Raises CgroupError."""
        try:
            fd = os.open(self.path / name, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise CgroupError(f"{self.path / name}: {text!r} refused: {error.strerror or error}") from error


class Tree(ABC):
    """A node's groups. Opening an existing tree continues with it, so that a restarted actor finds its groups."""

    version: int

    def __init__(self, parent: Path, owner: Owner) -> None:
        """The tree of `owner` in the group `parent` (see `cgroup.detect`). Nothing is made before `open`."""
        self.parent = parent
        self.owner = owner
        self.root = parent / owner.directory

    @abstractmethod
    def group(self, path: Path) -> Group:
        """The group of a folder."""

    @abstractmethod
    def open(self) -> None:
        """Make the tree, or continue with the one that is there. Raises CgroupError."""

    @abstractmethod
    def _make(self, path: Path, *, inner: bool) -> Group:
        """Make a group (if it is not there) that has groups below it (`inner`) or processes in it."""

    def top(self) -> Group:
        """The whole tree: what all functions use together, and where a budget can be enforced."""
        return self.group(self.root)

    def function(self, name: str) -> Group:
        """The group of a function version, made if need be."""
        return self._make(self.root / safe_name(FUNCTION_PREFIX, name), inner=True)

    def find_function(self, name: str) -> Group | None:
        """The group of a function version, if it was made."""
        group = self.group(self.root / safe_name(FUNCTION_PREFIX, name))
        return group if group.exists() else None

    def functions(self) -> list[Group]:
        """The groups of all functions."""
        return [self.group(path) for path in self.root.glob(f"{FUNCTION_PREFIX}*")]

    def template_beside(self, leaf: Group) -> Group:
        """The leaf of the template that a worker's leaf is beside; nothing is made."""
        return self.group(leaf.path.parent / _TEMPLATE)

    def template(self, function: str) -> Group:
        """The leaf of a function's template."""
        return self._make(self.function(function).path / _TEMPLATE, inner=False)

    def worker(self, function: str, key: str) -> Group:
        """The leaf of one worker; `key` is unique within the function, and chosen before the worker has a pid."""
        return self._make(self.function(function).path / safe_name(WORKER_PREFIX, key), inner=False)

    def groups(self) -> list[Group]:
        """All groups of functions, templates and workers, deepest first."""
        return [self.group(path) for path in _below(self.root) if path != self.root]

    def close(self, timeout_s: float = 5.0) -> None:
        """Kill what is left in the functions' groups and remove the tree. Raises CgroupError."""
        self._remove_tree(self.root, timeout_s)

    def abandoned(self) -> list[Owner]:
        """Dead nodes of this user that left their trees beside ours."""
        found = []
        for path in self.parent.iterdir():
            owner = Owner.of_directory(path.name)
            if owner is None or owner == self.owner or not path.is_dir() or path.stat().st_uid != os.geteuid():
                continue
            if not _is_running(owner):
                found.append(owner)
        return found

    def clean_up(self, timeout_s: float = 5.0) -> list[Owner]:
        """Kill what dead nodes left running, remove their trees; whose they were. Raises CgroupError."""
        found = self.abandoned()
        for owner in found:
            self._remove_tree(self.parent / owner.directory, timeout_s)
        return found

    def _remove_tree(self, root: Path, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        paths = _below(root)
        for path in paths:
            self.group(path).kill()
        for path in paths:
            self.group(path).remove(max(0.0, deadline - time.monotonic()))


def _below(root: Path) -> list[Path]:
    """The folders of a tree, deepest first; empty if it is not there."""
    return depth_first([Path(folder) for folder, _, _ in os.walk(root)])


def _is_running(owner: Owner) -> bool:
    try:
        with Target(owner.pid, owner.start_time):
            return True
    except ProcessGone:
        return False
    except PermissionError:  # somebody else's process has the number now
        return False


def is_missing(error: CgroupError) -> bool:
    """Whether a group failed because it is gone."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOENT, errno.ENODEV)
