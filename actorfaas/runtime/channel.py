"""One connection between two actors (or an actor and a worker): frames over a stream, asks with deadlines.

Owns the bytes of one channel: framing, pairing replies with asks, the bound on what waits to be written, and what
happens when the other side breaks the rules or goes away. What a message means is the owner's business (`Owner`).
The same class runs over a Unix socket (`attach`) and over memory (`actorfaas.runtime.memory`).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import NamedTuple, Protocol, TypeVar, cast

from actorfaas import wire
from actorfaas.errors import AskTimeout, MalformedFrame, PeerUnavailable, RequestRefused, WireError
from actorfaas.logs import Logger
from actorfaas.messages import Message, Refused

M = TypeVar("M", bound=Message)

SOCKET_BUFFER_BYTES = 1024 * 1024
"""Asked of the kernel in both directions, so that a large payload moves in few wake-ups."""

WRITE_HIGH_WATER_BYTES = 1024 * 1024
WRITE_LIMIT_BYTES = 256 * 1024 * 1024
"""A peer that leaves more than this unread is disconnected."""

_JOIN_BELOW_BYTES = 16 * 1024  # a small payload is cheaper to copy behind its header than to write by itself
_ASK, _REPLY = int(wire.Kind.ASK), int(wire.Kind.REPLY)
_UCRED = struct.Struct("3i")


class Credentials(NamedTuple):
    """Who is at the other end, as the kernel knows it (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


UNKNOWN = Credentials(0, -1, -1)
"""Before the connection has a transport."""


class Transport(Protocol):
    """What a connection needs of an asyncio transport; `memory` has one that is not a socket."""

    def write(self, data: bytes, /) -> None: ...
    def writelines(self, list_of_data: list[bytes], /) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def set_write_buffer_limits(self, high: int) -> None: ...


class Owner(Protocol):
    """Whom a connection reports to. None of these may raise."""

    def message_arrived(self, connection: Connection, message: Message, ask_id: int) -> None:
        """A tell (`ask_id` 0) or an ask; whoever takes an ask owes `connection.answer(ask_id, ...)`."""

    def burst_ended(self) -> None:
        """No more messages are at hand: a good moment to handle them."""

    def connection_closed(self, connection: Connection) -> None:
        """The last call about this connection."""


class Connection(asyncio.Protocol):
    """One end of a channel. Messages sent before the transport exists wait for it."""

    __slots__ = (
        "_asks", "_congested", "_decoder", "_early", "_log", "_next_ask", "_open_asks", "_owner", "_pauses",
        "_timeout_s", "_transport", "_write_limit", "actor", "close_reason", "credentials", "is_closed", "is_outgoing",
    )  # fmt: skip

    def __init__(
        self,
        actor: str,
        owner: Owner,
        log: Logger,
        *,
        ask_timeout_s: float,
        is_outgoing: bool = False,
        credentials: Credentials | None = None,
        write_limit_bytes: int = WRITE_LIMIT_BYTES,
        max_header_bytes: int = wire.MAX_HEADER_BYTES,
    ) -> None:
        self.actor = actor
        self.credentials = credentials or UNKNOWN
        self.is_outgoing = is_outgoing
        self.is_closed = False
        self.close_reason = ""
        self._owner = owner
        self._log = log
        self._timeout_s = ask_timeout_s
        self._write_limit = write_limit_bytes
        self._decoder = wire.Decoder(max_header_bytes=max_header_bytes)
        self._transport: Transport | None = None
        self._early: list[bytes] = []
        self._asks: dict[int, asyncio.Future[Message]] = {}
        self._next_ask = 0
        self._open_asks: set[int] = set()  # asked by the other side, not answered yet
        self._congested = False
        self._pauses: set[str] = set()

    # --- sending -----------------------------------------------------------------------------------------------

    def tell(self, message: Message) -> None:
        """Send without waiting for anything. Nothing happens when the connection is closed."""
        if not self.is_closed:
            self._write(*wire.encode(message))

    async def ask(self, message: Message, expect: type[M], timeout_s: float | None = None) -> M:
        """Send and wait for the answer. Raises PeerUnavailable, AskTimeout, RequestRefused.

        Answers overtake tells: one sent before the answer may still be in the inbox when the answer is here.
        """
        if self.is_closed:
            raise PeerUnavailable(f"{self.actor} is not connected: {self.close_reason}")
        loop = asyncio.get_running_loop()
        self._next_ask = ask_id = self._next_ask + 1
        answer: asyncio.Future[Message] = loop.create_future()
        self._asks[ask_id] = answer
        seconds = self._timeout_s if timeout_s is None else timeout_s
        timer = loop.call_later(seconds, self._timed_out, answer, type(message).__name__, seconds)
        try:
            self._write(*wire.encode(message, wire.Kind.ASK, ask_id))
            reply = await answer
        finally:
            timer.cancel()
            self._asks.pop(ask_id, None)
        if isinstance(reply, expect):
            return reply
        if isinstance(reply, Refused):
            raise RequestRefused(
                reply.error, reply.detail, retryable=reply.retryable, retry_after_s=reply.retry_after_s
            )
        raise RequestRefused("internal", f"{self.actor} answered {type(reply).__name__}, not {expect.__name__}")

    def answer(self, ask_id: int, message: Message) -> None:
        """Send the reply to an ask of the other side; the second one for the same ask is an error of the caller."""
        if self.is_closed:
            return
        if ask_id not in self._open_asks:
            raise RuntimeError(f"{type(message).__name__} would be a second reply to {self.actor}")
        self._open_asks.remove(ask_id)
        self._write(*wire.encode(message, wire.Kind.REPLY, ask_id))

    def is_answered(self, ask_id: int) -> bool:
        """Whether the ask has had its reply (or nobody waits for one any more)."""
        return ask_id not in self._open_asks

    def refuse_open_asks(self, refusal: Refused) -> int:
        """Answer everything the other side still waits for; how many that were."""
        waiting = list(self._open_asks)
        for ask_id in waiting:
            self.answer(ask_id, refusal)
        return len(waiting)

    @property
    def write_buffer_bytes(self) -> int:
        """What was sent but not yet taken by the kernel."""
        if self._transport is None:
            return sum(map(len, self._early))
        return self._transport.get_write_buffer_size()

    def _write(self, header: bytes, payload: bytes) -> None:
        transport = self._transport
        if transport is None:
            self._early += (header, payload)
            self._congested = True
        elif not payload:
            transport.write(header)
        elif len(payload) < _JOIN_BELOW_BYTES:
            transport.write(header + payload)
        else:
            transport.writelines([header, payload])
        if self._congested and self.write_buffer_bytes > self._write_limit:
            self._fail(f"it left more than {self._write_limit} bytes unread")

    # --- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Write out what waits, then close. Asks under way fail at once."""
        self._end("it was closed here")
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close without writing out what waits."""
        self._end("it was closed here")
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self, why: str = "actor") -> None:
        """Leave what the other side sends in the socket. Pauses with different reasons do not undo each other."""
        if not self._pauses and self._transport is not None and not self.is_closed:
            self._transport.pause_reading()
        self._pauses.add(why)

    def resume_reading(self, why: str = "actor") -> None:
        """Undo `pause_reading` for the same reason."""
        if why not in self._pauses:
            return
        self._pauses.remove(why)
        if not self._pauses and self._transport is not None and not self.is_closed:
            self._transport.resume_reading()

    def pass_to(self, actor: str, owner: Owner) -> None:
        """From now on the connection belongs to `owner`, and the other side is known as `actor`."""
        self.actor = actor
        self._owner = owner

    def _fail(self, reason: str) -> None:
        if not self.is_closed:
            self._log.warning("connection broken off", peer=self.actor, pid=self.credentials.pid, reason=reason)
            self._end(reason)
            if self._transport is not None:
                self._transport.abort()

    def _end(self, reason: str) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self.close_reason = reason
        self._early.clear()
        self._open_asks.clear()
        for answer in self._asks.values():
            if not answer.done():
                answer.set_exception(PeerUnavailable(f"{self.actor} was disconnected: {reason}"))

    def _timed_out(self, answer: asyncio.Future[Message], asked: str, seconds: float) -> None:
        if not answer.done():
            answer.set_exception(AskTimeout(f"{self.actor} did not answer {asked} within {seconds:g} s"))

    # --- called by the transport -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport | Transport) -> None:
        carrier = cast(Transport, transport)  # a stream's transport, or the one through memory
        self._transport = carrier
        if self.is_closed:
            carrier.abort()
            return
        carrier.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)
        self._congested = False
        if self._pauses:
            carrier.pause_reading()
        if self._early:
            carrier.writelines(self._early)
            self._early = []

    def data_received(self, data: bytes) -> None:
        if self.is_closed:
            return
        try:
            self._take(data)
        except WireError as error:
            self._fail(f"it broke the protocol: {error}")
        self._owner.burst_ended()

    def _take(self, data: bytes) -> None:
        for kind, ask_id, message in self._decoder.feed(data):
            if kind == _REPLY:
                answer = self._asks.get(ask_id)
                if answer is not None and not answer.done():  # else too late: the asker has given up
                    answer.set_result(message)
                continue
            if kind == _ASK:
                self._take_ask(ask_id)
            self._owner.message_arrived(self, message, ask_id if kind == _ASK else 0)
            if self.is_closed:
                return

    def _take_ask(self, ask_id: int) -> None:
        if ask_id == 0 or ask_id in self._open_asks:
            raise MalformedFrame(f"ask id {ask_id} is zero or in use")
        self._open_asks.add(ask_id)

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"the connection broke: {exc}" if exc else "the other side closed it")
        self._owner.connection_closed(self)


async def attach(connection: Connection, sock: socket.socket) -> None:
    """Put `connection` on a connected Unix stream socket, which it owns from now on. Raises OSError."""
    try:
        prepare(sock)
        connection.credentials = peer_credentials(sock)
    except OSError:
        sock.close()
        raise
    # Shielded: a cancelled attach would close the socket under a connection that already works. It ends like any
    # other, by `close`, also when that comes before its transport.
    await asyncio.shield(asyncio.get_running_loop().connect_accepted_socket(lambda: connection, sock))


def prepare(sock: socket.socket) -> None:
    """Non-blocking, with large kernel buffers (the kernel may grant less)."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)


def peer_credentials(sock: socket.socket) -> Credentials:
    """Process, user and group at the other end (unix(7), SO_PEERCRED: as they were at connect or socketpair)."""
    return Credentials(*_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))
