"""File descriptors from one actor to another: a SOCK_SEQPACKET socket at RUN_DIR/NAME.handover.sock.

A packet is one wire frame (an ask) with one descriptor beside it (SCM_RIGHTS, unix(7)); the receiver answers every
packet with a `Done` frame, so that the sender knows the descriptor has arrived. Packets of one sender arrive in the
order of the calls. uvloop's transports cannot receive descriptors, hence `add_reader` and plain sockets here.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from actorfaas import wire
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused, WireError
from actorfaas.logs import Logger
from actorfaas.messages import Done, Message, Refused
from actorfaas.runtime.channel import peer_credentials
from actorfaas.runtime.listener import Acceptor
from actorfaas.runtime.trust import Trusts

MAX_PACKET_BYTES = 64 * 1024
_PACKETS_PER_TURN = 64
_MAX_FDS = 4  # more than one is against the rules, but then they must be received to be closed
_RETRY_DELAY_S = 0.02
_UNDER_WAY = 64
"""Most handovers without an answer: the receiver's answers must fit into the connection while nobody reads them."""

T = TypeVar("T")

HandedOver = Callable[[Message, socket.socket], Refused | None]
"""Takes the message and the socket, or says why not (the socket is then closed by the caller)."""


def _frame(message: Message, kind: int, ask_id: int) -> bytes:
    return b"".join(wire.encode(message, kind, ask_id))


class HandoverListener:
    """Receives descriptors for one actor."""

    def __init__(self, path: Path, log: Logger, trusts: Trusts, take: HandedOver) -> None:
        self._log = log
        self._take = take
        self._senders: set[socket.socket] = set()
        self._acceptor = Acceptor(path, socket.SOCK_SEQPACKET, log, trusts, self._accepted)

    def close(self) -> None:
        """Take no more; senders see their connection end."""
        self._acceptor.close()
        for sock in list(self._senders):
            self._drop(sock)

    def _accepted(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._senders.add(sock)
        asyncio.get_running_loop().add_reader(sock, self._receive, sock)

    def _drop(self, sock: socket.socket) -> None:
        self._senders.discard(sock)
        asyncio.get_running_loop().remove_reader(sock)
        sock.close()

    def _receive(self, sender: socket.socket) -> None:
        for _ in range(_PACKETS_PER_TURN):
            try:
                data, fds, flags = _receive_with_fds(sender)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._log.warning("handover connection broke", error=str(error))
                data, fds, flags = b"", [], 0
            received = [socket.socket(fileno=fd) if _is_socket(fd) else fd for fd in fds]
            if not data:
                self._drop(sender)
                return
            if not self._taken(sender, data, received, flags):
                self._drop(sender)
                return

    def _taken(self, sender: socket.socket, data: bytes, received: list[socket.socket | int], flags: int) -> bool:
        """Pass one packet on and answer it. False: the sender breaks the rules."""
        kept: socket.socket | None = None
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise WireError("a packet was too large")
            frame = wire.decode_one(data)
            if frame.kind != wire.Kind.ASK or len(received) != 1 or not isinstance(received[0], socket.socket):
                raise WireError("a handover is an ask with exactly one socket")
            refusal = self._take(frame.message, received[0])
            if refusal is None:
                kept = received[0]
            sender.send(_frame(refusal or Done(), wire.Kind.REPLY, frame.ask_id))
        except WireError as error:
            self._log.warning("handover refused", error=str(error), pid=peer_credentials(sender).pid)
            return False
        except OSError as error:  # a sender that does not read its answers, or is gone; what arrived stays
            self._log.warning("handover could not be acknowledged", error=str(error))
            return False
        finally:
            for item in received:
                if item is not kept:
                    item.close() if isinstance(item, socket.socket) else os.close(item)
        return True


def _receive_with_fds(sock: socket.socket) -> tuple[bytes, list[int], int]:
    """One packet, its descriptors (closed on exec), the flags. `socket.recv_fds` ignores the flags it is given."""
    data, ancillary, flags, _address = sock.recvmsg(
        MAX_PACKET_BYTES, socket.CMSG_SPACE(_MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC
    )
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds), flags


def _is_socket(fd: int) -> bool:
    return os.path.exists(f"/proc/self/fd/{fd}") and os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class HandoverClient:
    """Hands descriptors to one actor over one connection, which is made when needed and again when it broke."""

    def __init__(self, peer: str, path: Path, log: Logger, trusts: Trusts) -> None:
        self._peer = peer
        self._path = path
        self._log = log
        self._trusts = trusts
        self._sock: socket.socket | None = None
        self._turn = asyncio.Lock()
        self._room = asyncio.Semaphore(_UNDER_WAY)
        self._acknowledgements: dict[int, asyncio.Future[Message]] = {}
        self._next_id = 0

    async def hand_over(self, message: Message, sock: socket.socket, timeout_s: float) -> None:
        """Send a copy of `sock` with `message`; back once the peer has it. The caller still closes its own.

        Raises PeerUnavailable, AskTimeout, RequestRefused.
        """
        loop = asyncio.get_running_loop()
        acknowledged: asyncio.Future[Message] = loop.create_future()
        self._next_id = ask_id = self._next_id + 1
        try:
            async with asyncio.timeout(timeout_s), self._room:
                async with self._turn:
                    connection = await self._connected()
                    self._acknowledgements[ask_id] = acknowledged
                    await self._send(connection, _frame(message, wire.Kind.ASK, ask_id), sock.fileno())
                reply = await acknowledged
        except TimeoutError as error:
            if self._sock is None:
                raise PeerUnavailable(f"{self._peer} was not reachable for {timeout_s:g} s") from error
            raise AskTimeout(f"{self._peer} did not take a descriptor within {timeout_s:g} s") from error
        finally:
            self._acknowledgements.pop(ask_id, None)
        if isinstance(reply, Refused):
            raise RequestRefused(reply.error, reply.detail, retryable=reply.retryable)

    def close(self) -> None:
        """Break the connection; handovers under way fail."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(sock)
        loop.remove_writer(sock)
        sock.close()
        for waiting in self._acknowledgements.values():
            if not waiting.done():
                waiting.set_exception(PeerUnavailable(f"the handover connection to {self._peer} broke"))

    async def _connected(self) -> socket.socket:
        while self._sock is None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            sock.setblocking(False)
            try:
                sock.connect(str(self._path))
            except OSError:
                sock.close()
                await asyncio.sleep(_RETRY_DELAY_S)
                continue
            if not self._trusts(peer_credentials(sock)):
                sock.close()  # perhaps an actor of which the node is about to tell
                await asyncio.sleep(_RETRY_DELAY_S)
                continue
            asyncio.get_running_loop().add_reader(sock, self._read_acknowledgements, sock)
            self._sock = sock
        return self._sock

    async def _send(self, connection: socket.socket, frame: bytes, fd: int) -> None:
        while True:
            try:
                connection.sendmsg([frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
                return
            except (BlockingIOError, InterruptedError):
                await self._writable(connection)
            except OSError as error:
                self.close()
                raise PeerUnavailable(f"the handover connection to {self._peer} broke: {error}") from error
            if connection is not self._sock:
                raise PeerUnavailable(f"the handover connection to {self._peer} broke")

    async def _writable(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(connection, _set, ready)
        try:
            await ready
        finally:
            if connection.fileno() >= 0:
                loop.remove_writer(connection)

    def _read_acknowledgements(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(MAX_PACKET_BYTES)
            frame = wire.decode_one(data) if data else None
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, WireError) as error:
            self._log.warning("handover connection broke", peer=self._peer, error=str(error))
            frame = None
        if frame is None:
            self.close()
            return
        waiting = self._acknowledgements.get(frame.ask_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(frame.message)
