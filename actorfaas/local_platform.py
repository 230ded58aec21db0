"""The platform behind a `Context` when a workflow runs in this process: its tasks run one after the other."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from actorfaas.context import Platform
from actorfaas.errors import MessageRefused, ReceiveTimeout
from actorfaas.tasks import MemoryTasks

if TYPE_CHECKING:
    from actorfaas.data import Data
    from actorfaas.tasks import Tasks

Json = Any  # a decoded JSON document: the caller's business

ANY = -1


class LocalSession:
    """The messages of one run that nobody has received yet, in order, by name and index."""

    def __init__(self) -> None:
        self.messages: deque[tuple[str, int, str]] = deque()


class LocalPlatform(Platform):
    """The platform of one task; `index`: its branch or item, -1 outside of any. `added`: the states it had run next."""

    def __init__(self, session: LocalSession, data: Data, state: str, index: int) -> None:
        self._session = session
        self._data = data
        self._state = state
        self._addresses = {(state, ANY), (state, index)}
        self.added: list[tuple[str, bytes]] = []

    def heartbeat(self) -> None:
        """Nobody waits for it."""

    def data(self) -> Data:
        return self._data

    def tasks(self) -> Tasks:
        return MemoryTasks()

    def send(self, to: str, message: Json, index: int | None) -> None:
        if not to:
            raise MessageRefused("a message goes to a name")
        self._session.messages.append((to, ANY if index is None else index, json.dumps(message)))

    def receive(self, timeout_s: float | None) -> Json:
        """What was sent before; nobody else runs who could send something while this waits."""
        for place, (to, index, text) in enumerate(self._session.messages):
            if (to, index) in self._addresses:
                del self._session.messages[place]
                return json.loads(text)
        raise ReceiveTimeout(f"no message for state {self._state!r} has been sent; tasks run one after the other here")

    def add_next(self, state: str, value: Json) -> None:
        self.added.append((state, json.dumps(value).encode()))

    def take_alias(self, alias: str) -> None:
        if not alias:
            raise MessageRefused("an alias is a name")
        self._addresses.add((alias, ANY))
