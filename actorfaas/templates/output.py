"""What workers write, from bytes on a pipe to `LogLine`s: pure, bytes in and lines out.

Owns the form of records on the pipe (docs/architecture.md) and the bound on lines that wait to be sent. Reading
pipes is in `actorfaas.templates.pipes`, sending in the supervisor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from actorfaas.messages import LogLine

MAX_LINE_BYTES = 64 * 1024
"""A longer line is cut into pieces of this size."""

_RECORD_MARK = 0x1E
_MAX_WAITING_LINES = 20_000
_MAX_WAITING_BYTES = 16 * 1024 * 1024
_LINE_COST_BYTES = 256  # of a line beside its text


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes into a pipe. `stream`: stdout or stderr, for lines that are not records."""

    function: str
    version: int
    pid: int
    stream: str


class LineSplitter:
    """Cuts a stream of bytes into lines without their ends; one per pipe."""

    __slots__ = ("_partial",)

    def __init__(self) -> None:
        self._partial = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Every line that `data` completes."""
        *complete, rest = data.split(b"\n")
        for line in complete:
            if self._partial:
                self._partial += line
                line = bytes(self._partial)
                self._partial.clear()
            yield from _pieces(line)
        self._partial += rest
        while len(self._partial) >= MAX_LINE_BYTES:
            yield bytes(self._partial[:MAX_LINE_BYTES])
            del self._partial[:MAX_LINE_BYTES]

    def finish(self) -> bytes:
        """The last line, if it had no end."""
        line = bytes(self._partial)
        self._partial.clear()
        return line


def _pieces(line: bytes) -> Iterator[bytes]:
    if len(line) <= MAX_LINE_BYTES:
        yield line
        return
    for start in range(0, len(line), MAX_LINE_BYTES):
        yield line[start : start + MAX_LINE_BYTES]


def parse_line(line: bytes, origin: Origin, now_ms: int) -> LogLine:
    """One line as a `LogLine`: a record with its request, or any other line as it is, without one."""
    if line and line[0] == _RECORD_MARK:
        try:
            record = orjson.loads(memoryview(line)[1:])
        except orjson.JSONDecodeError:
            record = None
        if isinstance(record, dict):
            return _from_record(record, origin, now_ms)
    text = line.removesuffix(b"\r").decode("utf-8", "backslashreplace")
    return LogLine(0, now_ms, origin.function, origin.version, "", "", origin.pid, origin.stream, "", text)


def _from_record(record: dict[str, object], origin: Origin, now_ms: int) -> LogLine:
    """User code can write such a line itself, so no field may be trusted to be there or of its type."""

    def text_of(key: str) -> str:
        value = record.get(key, "")
        return value if isinstance(value, str) else str(value)

    at_ms = record.get("at")
    stream = text_of("s")
    return LogLine(
        seq=0,
        at_ms=at_ms if isinstance(at_ms, int) and 0 <= at_ms < 1 << 62 else now_ms,
        function=origin.function,
        version=origin.version,
        request_id=text_of("r"),
        execution_id=text_of("e"),
        pid=origin.pid,
        stream=stream if stream in ("stdout", "stderr", "log") else origin.stream,
        level=text_of("l"),
        text=text_of("t"),
        trace_id=text_of("c"),
    )


class LogBuffer:
    """Lines that wait for the DataLayer. Bounded: the oldest give way, and one line says how many were lost."""

    def __init__(self, max_lines: int = _MAX_WAITING_LINES, max_bytes: int = _MAX_WAITING_BYTES) -> None:
        self._lines: deque[LogLine] = deque()
        self._bytes = 0
        self._dropped = 0
        self._max_lines = max_lines
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._lines)

    def append(self, line: LogLine) -> None:
        """Add a line; drops the oldest ones when the bound is reached."""
        self._lines.append(line)
        self._bytes += len(line.text) + _LINE_COST_BYTES
        while len(self._lines) > self._max_lines or (self._bytes > self._max_bytes and len(self._lines) > 1):
            self._remove_oldest()
            self._dropped += 1

    def take(self, count: int, now_ms: int) -> tuple[LogLine, ...]:
        """Up to `count` lines in order, after a line that says how many were dropped before them."""
        taken = []
        if self._dropped:
            text = f"… {self._dropped} lines dropped: functions wrote faster than their output could be stored"
            taken.append(LogLine(0, now_ms, "", 0, "", "", 0, "log", "WARNING", text))
            self._dropped = 0
        while self._lines and len(taken) < count:
            taken.append(self._remove_oldest())
        return tuple(taken)

    def _remove_oldest(self) -> LogLine:
        line = self._lines.popleft()
        self._bytes -= len(line.text) + _LINE_COST_BYTES
        return line
