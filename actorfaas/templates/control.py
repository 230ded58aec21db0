"""A template's control socket as the supervisor sees it: messages out (with descriptors) and in, never blocking.

One wire frame is one packet of a SOCK_SEQPACKET pair; descriptors travel beside it (SCM_RIGHTS, unix(7)).
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import mmap
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence

from actorfaas import wire
from actorfaas.errors import MailboxFull, PeerUnavailable, WireError
from actorfaas.messages import Message

MAX_PACKET_BYTES = 4 * 1024 * 1024
"""Asked of the kernel as the socket's buffers: declarations of a large bundle must fit one packet."""

_MAX_QUEUED_PACKETS = 1024  # forks under way are bounded below this; a template that stops reading is broken
_PACKETS_PER_TURN = 32
_SO_SNDBUFFORCE = 32  # socket(7): beyond net.core.wmem_max, for root only

_receive_buffer = mmap.mmap(-1, MAX_PACKET_BYTES)
"""One for all: a packet is decoded before the next is received. Mapped, so that it costs only what was ever used."""


class ControlChannel:
    """The supervisor's end of one pair. `received` gets every message, `closed` is called once, last."""

    def __init__(self, sock: socket.socket, received: Callable[[Message], None], closed: Callable[[], None]) -> None:
        self._sock = sock
        self._received = received
        self._closed = closed
        self._waiting: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._loop = asyncio.get_running_loop()
        self.can_send = True
        self.is_closed = False
        sock.setblocking(False)
        self._loop.add_reader(sock, self._read)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send a message now, or when the template reads again. The descriptors are closed here, sent or not.

        Raises PeerUnavailable when the channel is closed, MailboxFull when too much is waiting.
        """
        fds = tuple(descriptors)
        if not self.can_send or len(self._waiting) >= _MAX_QUEUED_PACKETS:
            _close_all(fds)
            if not self.can_send:
                raise PeerUnavailable("the template has ended")
            raise MailboxFull(f"{len(self._waiting)} messages wait for a template that does not read")
        self._waiting.append((b"".join(wire.encode(message)), fds))
        if len(self._waiting) == 1:
            self._write()

    def finish_sending(self) -> None:
        """Let the template see the end of file, upon which it exits; what it still says is received."""
        if self.can_send:
            self._stop_sending()
            with contextlib.suppress(OSError):  # the other end is gone already
                self._sock.shutdown(socket.SHUT_WR)

    def drain_and_close(self) -> None:
        """The template's process has ended: receive its last words, then close. `closed` is not called."""
        self._closed = _nothing
        while not self.is_closed and self._read():
            pass
        self.close()

    def close(self) -> None:
        """End the conversation. `closed` is not called."""
        if self.is_closed:
            return
        self._stop_sending()
        self.is_closed = True
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _stop_sending(self) -> None:
        if self.can_send:
            self.can_send = False
            self._loop.remove_writer(self._sock)
            for _, fds in self._waiting:
                _close_all(fds)
            self._waiting.clear()

    def _write(self) -> None:
        while self._waiting:
            frame, fds = self._waiting[0]
            beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            try:
                self._sock.sendmsg([frame], beside)
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._sock, self._write)
                return
            except OSError:
                self._end()
                return
            self._waiting.popleft()
            _close_all(fds)
        self._loop.remove_writer(self._sock)

    def _read(self) -> bool:
        """Receive a bounded number of packets; whether there may be more."""
        for _ in range(_PACKETS_PER_TURN):
            if self.is_closed:
                return False
            try:
                size = self._sock.recv_into(_receive_buffer)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                size = 0
            if size == 0:
                self._end()
                return False
            try:
                message = wire.decode_one(_receive_buffer[:size]).message
            except WireError:
                self._end()  # its process is then ended by its owner: what it says cannot be trusted
                return False
            self._received(message)
        return True

    def _end(self) -> None:
        if not self.is_closed:
            self.close()
            self._closed()


def control_pair() -> tuple[socket.socket, socket.socket]:
    """A connected SOCK_SEQPACKET pair with large buffers: the supervisor's end and the template's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sock in (ours, theirs):
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, MAX_PACKET_BYTES)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_PACKET_BYTES)
    return ours, theirs


def _nothing() -> None:
    pass


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
