"""Where workers and templates live: a control group for each, in which its memory is counted and limited.

Owns what this package needs of such groups and how much a worker may use; a node without usable groups has none. How
they are made in the kernel is somebody else's.
"""

from __future__ import annotations

from typing import Protocol

_MIB = 1024 * 1024
ALLOWANCE_BYTES = 128 * _MIB
"""Beyond what a function was promised, before its worker is killed: what the platform itself needs there, above all for
encoding a result (64 MiB at most, for a moment twice), and page tables."""


class Home(Protocol):
    """The group of one worker."""

    @property
    def entrance(self) -> str:
        """The file to which a process writes "0" to move itself in."""

    def oom_kills(self) -> int | None:
        """How many of its processes the kernel has killed for memory; None: it cannot be told."""

    def was_full(self) -> bool:
        """Whether its own limit was ever reached."""

    def leave(self) -> None:
        """Nobody is to live here any more: remove it as soon as it is empty. Called once; does not block."""


class Homes(Protocol):
    """The groups of all functions of a node. Nothing here raises: who gets no group lives where its parent does."""

    def template(self, topic: str) -> str:
        """The entrance to the group of a function's templates, made now if need be; "" for none."""

    def worker(self, topic: str, limit_bytes: int) -> Home | None:
        """A new group for one worker; `limit_bytes` 0 for no limit."""

    def remove(self, topic: str) -> None:
        """Remove the function's groups as soon as they are empty."""

    def close(self) -> None:
        """Remove what can be removed now; the rest is left to the node."""


class NoHomes:
    """`Homes` where there are no groups."""

    def template(self, topic: str) -> str:
        return ""

    def worker(self, topic: str, limit_bytes: int) -> Home | None:
        return None

    def remove(self, topic: str) -> None:
        pass

    def close(self) -> None:
        pass


def limit_bytes(memory_mb: int, loaded_bytes: int) -> int:
    """The most that may be charged to a worker; 0 for no limit.

    `memory_mb` is what the handler may allocate beyond what its function has loaded. A worker that writes to all that
    it shares with its template (`loaded_bytes`) has copies of it. Normally Python's MemoryError comes long before this
    limit, which is for what the process's own limit cannot count: shared memory, and the processes it starts.
    """
    return memory_mb * _MIB + loaded_bytes + ALLOWANCE_BYTES if memory_mb > 0 else 0


def killed_for_memory(home: Home | None, memory_mb: int) -> str | None:
    """Why a worker that was killed by nobody here was killed, if for memory; "" if not; None: it cannot be told."""
    kills = home.oom_kills() if home is not None else None
    if home is None or kills is None:
        return None
    if kills == 0:
        return ""
    return f"out of memory (limit {memory_mb} MB)" if home.was_full() else "out of memory: the machine had none left"
