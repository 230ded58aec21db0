"""A template's control socket: one wire frame a packet, descriptors beside it (unix(7), SCM_RIGHTS)."""

from __future__ import annotations

import array
import os
import socket

from actorfaas.errors import MalformedFrame
from actorfaas.messages import Message
from actorfaas.wire import decode_one, encode

_PACKET_BYTES = 256 * 1024  # above what a socket buffer accepts by default, so no packet is cut
_MAX_DESCRIPTORS = 8
_DESCRIPTOR_BYTES = array.array("i").itemsize


class Control:
    """One end of the SOCK_SEQPACKET pair between the supervisor and a template."""

    __slots__ = ("_socket",)

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.settimeout(None)
        self._socket.set_inheritable(False)

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    def receive(self) -> tuple[Message, list[int]] | None:
        """The next message with its descriptors; None when the supervisor closed its end. Raises WireError."""
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(
                _PACKET_BYTES, socket.CMSG_SPACE(_MAX_DESCRIPTORS * _DESCRIPTOR_BYTES), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return None
        descriptors = _descriptors(ancillary)
        if not data:
            close_all(descriptors)
            return None
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            close_all(descriptors)
            raise MalformedFrame("a control packet was cut")
        return decode_one(data).message, descriptors

    def tell(self, message: Message) -> None:
        """Send one message. Raises OSError when the supervisor is gone."""
        header, payload = encode(message)
        self._socket.sendmsg((header, payload) if payload else (header,))

    def close(self) -> None:
        """Close this process's end."""
        self._socket.close()


def close_all(descriptors: list[int]) -> None:
    """Close descriptors that were received."""
    for descriptor in descriptors:
        os.close(descriptor)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % _DESCRIPTOR_BYTES])
    return found.tolist()
