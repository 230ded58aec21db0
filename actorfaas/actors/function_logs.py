"""The supervisor's way of functions' output to the DataLayer: gathered for a moment, sent in batches, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorfaas.messages import AppendLogs
from actorfaas.runtime.actor import Connection
from actorfaas.runtime.clock import Clock
from actorfaas.templates.output import LogBuffer, Origin, parse_line

_GATHER_S = 0.05
_BATCH_LINES = 500
_RETRY_S = 0.25
_CONGESTED_BYTES = 8 * 1024 * 1024
"""A DataLayer that leaves this much unread gets no more for now; the buffer then drops its oldest lines."""


class FunctionLogs:
    """Takes lines from pipes, one `AppendLogs` for many."""

    def __init__(self, clock: Clock, data_layer: Callable[[], Connection | None]) -> None:
        self._clock = clock
        self._data_layer = data_layer
        self._buffer = LogBuffer()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, topic: str, pid: int, stream: str, line: bytes) -> None:
        """One line of a worker of `topic` ("": of a bundle's template), as it was on the pipe."""
        function, _, version = topic.rpartition("@")
        origin = Origin(function, int(version or 0), pid, stream)
        self._buffer.append(parse_line(line, origin, self._clock.wall_ms()))
        if len(self._buffer) == _BATCH_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER_S, self.flush)

    def flush(self) -> None:
        """Send what has been gathered, as far as the DataLayer takes it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while len(self._buffer):
            connection = self._data_layer()
            if connection is None or connection.write_buffer_bytes > _CONGESTED_BYTES:
                self._timer = asyncio.get_running_loop().call_later(_RETRY_S, self.flush)
                return
            connection.tell(AppendLogs(self._buffer.take(_BATCH_LINES, self._clock.wall_ms())))

    def close(self) -> None:
        """Send what is left, and keep no timer."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
