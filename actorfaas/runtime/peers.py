"""The connections an actor keeps to its peers: made, introduced, and made again with exponential back-off."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

from actorfaas import wire
from actorfaas.errors import PeerUnavailable
from actorfaas.logs import Logger
from actorfaas.messages import Hello, Message
from actorfaas.runtime.channel import Connection, Owner, attach, peer_credentials
from actorfaas.runtime.trust import Trusts

FIRST_DELAY_S = 0.02
LONGEST_DELAY_S = 0.25
"""A failed attempt costs microseconds, and every moment between two is added to the recovery from a crash."""


class PeerLink:
    """The one connection to one peer; `run` keeps it up for as long as the actor lives."""

    def __init__(
        self,
        peer: str,
        path: Path,
        *,
        caller: str,
        owner: Owner,
        log: Logger,
        ask_timeout_s: float,
        trusts: Trusts,
        connected: Callable[[Connection], None],
    ) -> None:
        self.peer = peer
        self._path = path
        self._caller = caller
        self._owner = owner
        self._log = log
        self._ask_timeout_s = ask_timeout_s
        self._trusts = trusts
        self._connected = connected
        self._connection: Connection | None = None
        self._is_up = asyncio.Event()
        self._is_down = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether the peer can be talked to now."""
        return self._connection is not None and not self._connection.is_closed

    @property
    def connection(self) -> Connection:
        """The connection. Raises PeerUnavailable when there is none."""
        connection = self._connection
        if connection is None or connection.is_closed:
            raise PeerUnavailable(f"{self.peer} is not connected")
        return connection

    async def wait_until_up(self, timeout_s: float) -> Connection:
        """The connection, as soon as there is one. Raises PeerUnavailable after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.is_up:
                    self._is_up.clear()
                    await self._is_up.wait()
        except TimeoutError as error:
            raise PeerUnavailable(f"{self.peer} was not reachable for {timeout_s:g} s") from error
        return self.connection

    def connection_closed(self, connection: Connection) -> None:
        """The owner passes on that a connection has ended."""
        if connection is self._connection:
            self._connection = None
            self._is_down.set()

    async def run(self) -> None:
        """Connect, wait for the end of the connection, and again."""
        delay_s = FIRST_DELAY_S
        loop = asyncio.get_running_loop()
        while True:
            connection = await self._try_to_connect()
            if connection is not None:
                began = loop.time()
                self._is_down.clear()
                self._connection = connection
                self._is_up.set()
                self._connected(connection)
                if not connection.is_closed:
                    await self._is_down.wait()
                if loop.time() - began > LONGEST_DELAY_S:
                    delay_s = FIRST_DELAY_S
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)

    async def _try_to_connect(self) -> Connection | None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(str(self._path))  # a Unix socket connects at once, or the backlog is full (EAGAIN)
            credentials = peer_credentials(sock)
        except OSError:
            sock.close()
            return None
        if not self._trusts(credentials):
            self._log.warning("who listens is no actor of this node", peer=self.peer, **credentials._asdict())
            sock.close()
            return None
        connection = Connection(self.peer, self._owner, self._log, ask_timeout_s=self._ask_timeout_s, is_outgoing=True)
        hello: Message = Hello(actor=self._caller, pid=os.getpid(), protocol=wire.PROTOCOL_VERSION)
        connection.tell(hello)
        try:
            await attach(connection, sock)
        except OSError:
            return None
        return None if connection.is_closed else connection
