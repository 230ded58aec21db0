"""What can be invoked under which name, as the Frontends are told: when they ask, and when it changes."""

from __future__ import annotations

import asyncio

from actorfaas.core.catalogue import Catalogue
from actorfaas.messages import RoutesChanged
from actorfaas.runtime.actor import Connection, Sender


class Routes:
    """`loaded` is set once it is known what is in service; nobody is told anything before."""

    def __init__(self, catalogue: Catalogue, loaded: asyncio.Event) -> None:
        self._catalogue = catalogue
        self._loaded = loaded
        self._listeners: list[Connection] = []
        self._told: RoutesChanged | None = None

    async def send(self, sender: Sender) -> None:
        """Answer a Frontend, which is told of changes from then on."""
        await self._loaded.wait()
        sender.reply(RoutesChanged(self._catalogue.routes()))
        if sender.connection not in self._listeners and not sender.connection.is_closed:
            self._listeners.append(sender.connection)

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        self._listeners = [one for one in self._listeners if one is not connection]

    def tell_changes(self) -> bool:
        """Tell the Frontends when routes differ from those that they were told last. Whether they do."""
        routes = RoutesChanged(self._catalogue.routes())
        if not self._loaded.is_set() or routes == self._told:
            return False
        self._told = routes
        for connection in self._listeners:
            connection.tell(routes)
        return True
