"""A function that poses as an actor on the sockets of the node that runs it."""

from __future__ import annotations

import os
import socket
from typing import Any

from actorfaas import function, wire
from actorfaas.messages import AttachWorker, DescribeActor, DropTopic, Hello

Json = Any  # a decoded JSON document


@function(timeout_s=20)
def impostor(event: Json) -> str:
    """Say that this is the ExecutionManager and ask something; what came back, in hexadecimal."""
    hello = Hello(actor="execution_manager", pid=os.getpid(), protocol=wire.PROTOCOL_VERSION)
    words = [*wire.encode(hello), *wire.encode(DropTopic("alive@1", "no_topic"))]
    words += wire.encode(DescribeActor(), wire.Kind.ASK, 1)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(10)
        caller.connect(event["socket"])
        caller.sendall(b"".join(words))
        return _heard(caller)


@function(timeout_s=20)
def hands_over(event: Json) -> str:
    """Offer a connection of one's own as that of a worker; what came back, in hexadecimal."""
    attach = AttachWorker("alive@1_1", "alive@1", "steady", 1, "fork")
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as caller:
        caller.settimeout(10)
        caller.connect(event["socket"])
        try:
            socket.send_fds(caller, [b"".join(wire.encode(attach, wire.Kind.ASK, 1))], [theirs.fileno()])
        except BrokenPipeError:
            return ""
        return _heard(caller)


def _heard(caller: socket.socket) -> str:
    try:
        return caller.recv(1000).hex()
    except ConnectionError:
        return ""
