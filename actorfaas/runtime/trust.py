"""Whom an actor talks to: processes as the kernel names them (SO_PEERCRED), not as they introduce themselves.

Workers run as the node's user and can reach the actors' sockets, so the user alone says little. Under a node its
actor processes trust each other and nobody else; the node tells them which they are (`ActorProcesses`) over the
control sockets that only they inherit. Without a node (one actor process by itself) whoever runs as our user does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable

from actorfaas.runtime.channel import Credentials

Trusts = Callable[[Credentials], bool]
"""Whether a process may call an actor of ours, or be called by it."""


class Trust:
    """What one process knows about the others."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        """Set once the node has said who is who."""
        self._pids: frozenset[int] | None = None

    def wait_for_the_node(self) -> None:
        """There is a node, and it has not said anything yet."""
        self._pids = frozenset()

    def learn(self, pids: Iterable[int]) -> None:
        """These are the node's actor processes, and no others."""
        self._pids = frozenset(pids)
        self.told.set()

    def covers(self, credentials: Credentials) -> bool:
        """Whether that process is to be talked to. A process can always talk to itself."""
        if credentials.uid not in (os.geteuid(), 0):
            return False
        return self._pids is None or credentials.pid in self._pids or credentials.pid == os.getpid()
