"""Where an actor can be reached: its Unix socket, and the introduction of those who call.

A caller is let in when the kernel says it is a process we trust (`runtime.trust`) and its first message is a `Hello`
of our protocol version, within a deadline. Everyone else is disconnected, which concerns nobody but them.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

from actorfaas import wire
from actorfaas.errors import ConfigError
from actorfaas.logs import Logger
from actorfaas.messages import Hello, Message
from actorfaas.runtime.channel import Connection, attach, peer_credentials
from actorfaas.runtime.tasks import Tasks
from actorfaas.runtime.trust import Trusts

HELLO_TIMEOUT_S = 5.0
MAX_SOCKET_PATH_BYTES = 107  # unix(7): sun_path has 108, with the terminating zero
_BACKLOG = 1024
_SECOND_LOOK_S = 0.05
_MAX_UNKNOWN = 64
_PAUSE_S = 0.1


def listening_socket(path: Path, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A non-blocking Unix socket at `path` (mode 0600) in a folder of mode 0700, in place of a stale one."""
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise ConfigError(
            f"{path} is too long for a Unix socket ({MAX_SOCKET_PATH_BYTES} bytes); set run_dir to a shorter path"
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        sock.setblocking(False)
        sock.bind(str(path))
        path.chmod(0o600)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


class Acceptor:
    """Accepts on a listening socket as long as it is open; callers that are not trusted are turned away.

    Not at once: an actor that was just started may call before the news of it has been read here.
    """

    def __init__(
        self, path: Path, kind: int, log: Logger, trusts: Trusts, accepted: Callable[[socket.socket], None]
    ) -> None:
        self._path = path
        self._log = log
        self._trusts = trusts
        self._accepted = accepted
        self._unknown: set[socket.socket] = set()  # until a second look; beyond _MAX_UNKNOWN they are turned away now
        self._sock = listening_socket(path, kind)
        asyncio.get_running_loop().add_reader(self._sock, self._accept)

    def close(self) -> None:
        """Take no more callers; the path disappears."""
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._path.unlink(missing_ok=True)
        for sock in self._unknown:
            sock.close()
        self._unknown.clear()

    def _accept(self) -> None:
        for _ in range(_BACKLOG):
            try:
                sock, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # out of descriptors: the caller waits in the backlog until there are some
                self._log.error("cannot accept a connection", path=str(self._path), error=str(error))
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._sock)
                loop.call_later(_PAUSE_S, self._go_on)
                return
            if self._trusts(peer_credentials(sock)):
                self._accepted(sock)
            elif len(self._unknown) < _MAX_UNKNOWN:
                self._unknown.add(sock)
                asyncio.get_running_loop().call_later(_SECOND_LOOK_S, self._look_again, sock)
            else:
                sock.close()

    def _go_on(self) -> None:
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._sock, self._accept)

    def _look_again(self, sock: socket.socket) -> None:
        if sock not in self._unknown:
            return  # closed meanwhile
        self._unknown.remove(sock)
        credentials = peer_credentials(sock)
        if self._trusts(credentials):
            self._accepted(sock)
        else:
            self._log.warning("a caller that is no actor of this node turned away", **credentials._asdict())
            sock.close()


class Listener:
    """An actor's socket. Connections that have introduced themselves go to `welcome`."""

    def __init__(
        self,
        path: Path,
        tasks: Tasks,
        log: Logger,
        ask_timeout_s: float,
        trusts: Trusts,
        welcome: Callable[[Connection, str], None],
        hello_timeout_s: float = HELLO_TIMEOUT_S,
    ) -> None:
        self._tasks = tasks
        self._log = log
        self._ask_timeout_s = ask_timeout_s
        self._hello_timeout_s = hello_timeout_s
        self._welcome = welcome
        self._strangers: set[Connection] = set()
        self._acceptor = Acceptor(path, socket.SOCK_STREAM, log, trusts, self._accepted)

    def close(self) -> None:
        """Take no more callers; those who have not introduced themselves are disconnected."""
        self._acceptor.close()
        for connection in list(self._strangers):
            connection.abort()

    def _accepted(self, sock: socket.socket) -> None:
        reception = _Reception(self)
        connection = Connection("a caller", reception, self._log, ask_timeout_s=self._ask_timeout_s)
        self._strangers.add(connection)
        timer = asyncio.get_running_loop().call_later(self._hello_timeout_s, self._too_late, connection)
        reception.timer = timer
        self._tasks.spawn(self._attach(connection, sock), "accept")

    async def _attach(self, connection: Connection, sock: socket.socket) -> None:
        try:
            await attach(connection, sock)
        except OSError as error:
            self._log.warning("a caller was gone at once", error=str(error))
            self._strangers.discard(connection)

    def _too_late(self, connection: Connection) -> None:
        self._log.warning("a caller did not introduce itself in time", pid=connection.credentials.pid)
        connection.abort()

    def introduced(self, connection: Connection, hello: Hello) -> None:
        """A stranger has said who it is."""
        if hello.protocol != wire.PROTOCOL_VERSION:
            self._log.warning(
                "caller speaks another protocol", peer=hello.actor, theirs=hello.protocol, ours=wire.PROTOCOL_VERSION
            )
            connection.abort()
            return
        self._strangers.discard(connection)
        self._welcome(connection, hello.actor)

    def left(self, connection: Connection) -> None:
        """A stranger has gone without a word."""
        self._strangers.discard(connection)


class _Reception:
    """Owns one connection until its Hello."""

    timer: asyncio.TimerHandle

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def message_arrived(self, connection: Connection, message: Message, ask_id: int) -> None:
        self.timer.cancel()
        if isinstance(message, Hello) and ask_id == 0:
            self._listener.introduced(connection, message)
        else:
            connection.abort()

    def burst_ended(self) -> None:
        pass

    def connection_closed(self, connection: Connection) -> None:
        self.timer.cancel()
        self._listener.left(connection)
