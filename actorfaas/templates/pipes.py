"""Reading the pipes that workers and templates write to, a bounded piece at a time, to the very last byte."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from actorfaas.templates.output import LineSplitter

_READ_BYTES = 64 * 1024
_DRAIN_LIMIT_BYTES = 4 * 1024 * 1024  # what is left in a pipe is less, unless somebody still writes


class PipeReader:
    """Calls `take_line` for every line written to one pipe. Owns the descriptor.

    One read per turn of the loop: a function that floods its output waits in its own pipe, and delays nobody else.
    """

    def __init__(self, fd: int, take_line: Callable[[bytes], None]) -> None:
        self._fd = fd
        self._take_line = take_line
        self._splitter = LineSplitter()
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    def finish(self) -> None:
        """The writer has ended: read what is left, and close. Who inherited the other end writes into nothing."""
        left_bytes = _DRAIN_LIMIT_BYTES
        while self._fd >= 0 and left_bytes > 0:
            size = self._read()
            if size == 0:
                break
            left_bytes -= size
        self._close()

    def _read(self) -> int:
        """Read once; how many bytes there were (0 at the end, or when there is nothing now)."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            data = b""
        for line in self._splitter.feed(data):
            self._take_line(line)
        if not data:
            self._close()
        return len(data)

    def _close(self) -> None:
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1
        last = self._splitter.finish()
        if last:
            self._take_line(last)


class OutputTail:
    """The last lines a template wrote, to explain its end."""

    def __init__(self, limit_bytes: int = 8192) -> None:
        self._limit_bytes = limit_bytes
        self._tail = bytearray()

    def add(self, line: bytes) -> None:
        """Keep a line, forgetting the oldest bytes."""
        self._tail += line + b"\n"
        del self._tail[: -self._limit_bytes]

    @property
    def text(self) -> str:
        """What is kept."""
        return self._tail.decode("utf-8", "replace").strip()
