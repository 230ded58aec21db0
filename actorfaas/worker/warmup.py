"""A few tasks served inside a template before it is frozen, so that every worker forked from it starts warm.

Codecs of messages are built on first use and the interpreter specialises code as it runs: done here once, the
workers find it done, and write to fewer of the pages they share.
"""

from __future__ import annotations

import socket

from actorfaas.context import Context
from actorfaas.declarations import Function
from actorfaas.messages import Retire, Task
from actorfaas.wire import encode
from actorfaas.worker.channel import Channel
from actorfaas.worker.encoding import Json
from actorfaas.worker.output import Output
from actorfaas.worker.process import MemoryLimit
from actorfaas.worker.worker import Worker

_ROUNDS = 32  # CPython specialises code that ran a handful of times; the frames must fit the socket's buffer


def warm_up(output: Output) -> None:
    """Serve `_ROUNDS` tasks that do nothing, over a socket pair in this process."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        nothing = Function(
            _nothing,
            name="warm_up",
            timeout_s=None,
            memory_mb=1,
            concurrency=1,
            queue_limit=1,
            warm=0,
            idle_timeout_s=0.0,
            retries=0,
            retry_delay_s=0.0,
            init=None,
            env=None,
            strategy="auto",
        )
        task = Task("", "", "", 1, 0, "", 0, "", b"{}")
        theirs.sendall(b"".join(encode(task)) * _ROUNDS + b"".join(encode(Retire())))
        Worker(nothing, Channel(ours), output, MemoryLimit(0), "").serve()


def _nothing(event: Json, context: Context) -> Json:
    return event
