"""A worker's connection to the LocalQueue: wire frames over a blocking stream socket.

Owns the bytes and the pairing of asks with replies; what messages mean is the worker's business. There is no event
loop: the process sleeps in `recv`, and a large payload is received straight into a buffer of its announced size.
"""

from __future__ import annotations

import socket
import time
from collections import deque

from actorfaas.errors import AskTimeout, FrameTooLarge, PeerUnavailable, RequestRefused
from actorfaas.messages import Message, Refused
from actorfaas.wire import (
    FRAME_PREFIX_BYTES,
    MAX_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    Frame,
    Kind,
    decode_parts,
    encode,
    frame_lengths,
)

_BUFFER_BYTES = 16 * 1024


class Channel:
    """One connection, used by one thread."""

    __slots__ = ("_buffer", "_end", "_last_ask", "_set_aside", "_socket", "_start", "_view")

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(None)  # user code may have set a default timeout
        self._socket = connection
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0  # received and not yet decoded: _buffer[_start:_end]
        self._end = 0
        self._last_ask = 0
        self._set_aside: deque[Message] = deque()  # tells that came while a reply was awaited: a handful at most

    def receive(self) -> Message:
        """Wait for the next message that is not a reply. Raises PeerUnavailable, WireError, OSError."""
        if self._set_aside:
            return self._set_aside.popleft()
        while True:
            frame = self._frame()
            if frame.kind != Kind.REPLY:  # a reply here comes after its ask was given up
                return frame.message

    def receive_before(self, deadline_ns: int) -> Message:
        """`receive`, but AskTimeout at `deadline_ns`; the connection is closed then."""
        if self._set_aside:
            return self._set_aside.popleft()
        while (frame := self._frame_before(deadline_ns)).kind == Kind.REPLY:
            pass
        return frame.message

    def tell(self, message: Message) -> None:
        """Send a message; waits while the peer does not read. Raises OSError."""
        self._send(*encode(message))

    def ask(self, message: Message, deadline_ns: int) -> Message:
        """Send a message and wait for its reply.

        Raises RequestRefused, AskTimeout (at `deadline_ns`; the connection is closed then),
        PeerUnavailable, OSError.
        """
        self._last_ask += 1
        self._send(*encode(message, Kind.ASK, self._last_ask))
        while True:
            frame = self._frame_before(deadline_ns)
            if frame.kind != Kind.REPLY:
                self._set_aside.append(frame.message)
            elif frame.ask_id == self._last_ask:
                break
        reply = frame.message
        if isinstance(reply, Refused):
            raise RequestRefused(
                reply.error, reply.detail, retryable=reply.retryable, retry_after_s=reply.retry_after_s
            )
        return reply

    def close(self) -> None:
        """Close this process's descriptor of the connection."""
        self._socket.close()

    def _send(self, header: bytes, payload: bytes) -> None:
        if not payload:
            self._socket.sendall(header)
            return
        sent = self._socket.sendmsg((header, payload))
        if sent < len(header):
            self._socket.sendall(header[sent:])
            sent = len(header)
        if sent < len(header) + len(payload):
            self._socket.sendall(memoryview(payload)[sent - len(header) :])

    def _frame_before(self, deadline_ns: int) -> Frame:
        remaining_s = (deadline_ns - time.monotonic_ns()) / 1e9
        if remaining_s <= 0:
            raise AskTimeout("the deadline of the request has passed")
        self._socket.settimeout(remaining_s)
        try:
            frame = self._frame()
        except TimeoutError as error:
            self._socket.close()  # it may stand in the middle of a frame
            raise AskTimeout("no answer before the deadline of the request") from error
        self._socket.settimeout(None)
        return frame

    def _frame(self) -> Frame:
        self._need(FRAME_PREFIX_BYTES)
        header_bytes, payload_bytes = frame_lengths(self._buffer, self._start)
        if header_bytes > MAX_HEADER_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
            raise FrameTooLarge(f"a frame of {header_bytes} + {payload_bytes} bytes exceeds the limit")
        self._start += FRAME_PREFIX_BYTES
        header = self._take(header_bytes)
        return decode_parts(header, self._take(payload_bytes) if payload_bytes else b"")

    def _take(self, count: int) -> bytes | bytearray:
        """The next `count` bytes; `bytes` when they fit the buffer, else received in place."""
        if count <= _BUFFER_BYTES:
            self._need(count)
            start = self._start
            self._start = start + count
            return self._view[start : start + count].tobytes()
        whole = bytearray(count)
        view = memoryview(whole)
        filled = self._end - self._start
        if filled > count:
            filled = count
        view[:filled] = self._view[self._start : self._start + filled]
        self._start += filled
        while filled < count:
            received = self._socket.recv_into(view[filled:])
            if received == 0:
                raise PeerUnavailable("the LocalQueue closed the connection within a message")
            filled += received
        return whole

    def _need(self, count: int) -> None:
        """Receive until `count` bytes (at most the buffer's size) are there."""
        if self._end - self._start >= count:
            return
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start + count > _BUFFER_BYTES:
            rest = self._view[self._start : self._end].tobytes()
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        while self._end - self._start < count:
            received = self._socket.recv_into(self._view[self._end :])
            if received == 0:
                raise PeerUnavailable("the LocalQueue closed the connection")
            self._end += received
