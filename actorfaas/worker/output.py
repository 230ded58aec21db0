"""What user code writes: print, logging and warnings as records with their request, in the form of architecture.md.

One record is one line, `\\x1e` and a JSON object. Owns `sys.stdout`, `sys.stderr` and the platform's log handler of a
worker; raw writes to descriptors 1 and 2 are not touched. Nothing is done per request unless something was written.

In a template the same streams pass text through plainly, so whatever user code keeps of them at import (a log
handler with `sys.stderr`) writes records once it runs in a worker.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import time
from threading import RLock

LIMIT_VARIABLE = "ACTORFAAS_LOG_LIMIT_BYTES"
DEFAULT_LIMIT_BYTES = 1024 * 1024
_TEXT_CHARACTERS = 8 * 1024  # of one record: a line stays far below what readers of lines accept
_MARK = b"\x1e"


class Output:
    """The output of the present request, counted and cut at the limit."""

    __slots__ = (
        "_captures_logging",
        "_lock",
        "_written_bytes",
        "execution_id",
        "limit_bytes",
        "records",
        "request_id",
        "streams",
        "trace_id",
        "used",
    )

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES, descriptors: tuple[int, int] = (1, 2)) -> None:
        self.limit_bytes = limit_bytes
        self.request_id = ""
        self.execution_id = ""
        self.trace_id = ""
        self.used = False
        self.records = False
        self.streams = (Stream(self, descriptors[0], "stdout"), Stream(self, descriptors[1], "stderr"))
        self._written_bytes = 0
        self._captures_logging = False
        self._lock = RLock()

    def install(self) -> None:
        """Take the place of `sys.stdout` and `sys.stderr`."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not isinstance(stream, Stream):
                stream.flush()
        sys.stdout, sys.stderr = self.streams

    def start_records(self) -> None:
        """From now on write records (in a worker), with log records and warnings among them."""
        self.records = True
        sys.stdout, sys.stderr = self.streams
        self.capture_logging()

    def capture_logging(self) -> None:
        """Send log records and warnings here; once user code is loaded, so that its own set-up is respected."""
        if not self._captures_logging:
            self._captures_logging = True
            _capture_logging(self)

    def begin(self, request_id: str, execution_id: str, trace_id: str = "") -> None:
        """What is written from now on belongs to this request."""
        self.request_id = request_id
        self.execution_id = execution_id
        self.trace_id = trace_id

    def end(self) -> None:
        """The request is over: write what is left of its last lines."""
        if self.used:
            with self._lock:
                for stream in self.streams:
                    stream.finish_line()
                self.used = False
                self._written_bytes = 0
        self.request_id = self.execution_id = self.trace_id = ""

    def flush(self) -> None:
        """Write lines that are not complete, before the process is copied or ends."""
        with self._lock:
            for stream in self.streams:
                stream.finish_line()

    def after_fork(self) -> None:
        """In a process forked by user code: another thread may have held the lock."""
        self._lock = RLock()
        for stream in self.streams:
            stream.forget_line()

    def locked(self) -> RLock:
        """What one writer at a time holds."""
        return self._lock

    def write(self, descriptor: int, source: str, level: str, lines: list[str]) -> None:
        """Write complete lines, as records in a worker; beyond the limit one notice instead."""
        if not self.records:
            _write_all(descriptor, "".join(line + "\n" for line in lines).encode("utf-8", "backslashreplace"))
            return
        from actorfaas.worker.encoding import dumps

        self.used = True
        at_ms = time.time_ns() // 1_000_000
        data = bytearray()
        for text in _in_pieces(lines):
            if self._written_bytes > self.limit_bytes:
                break
            text = _encodable(text)
            self._written_bytes += len(text.encode()) + 1
            if self._written_bytes > self.limit_bytes:
                source, level = "log", "WARNING"
                text = f"output of this request is cut here: it exceeds {self.limit_bytes} bytes"
            record = {
                "r": self.request_id,
                "e": self.execution_id,
                "c": self.trace_id,
                "s": source,
                "l": level,
                "t": text,
                "at": at_ms,
            }
            data += _MARK + dumps(record) + b"\n"
        if data:
            _write_all(descriptor, data)


class Stream(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`; hands complete lines on."""

    def __init__(self, output: Output, descriptor: int, source: str) -> None:
        self._output = output
        self._descriptor = descriptor
        self._source = source
        self._partial = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute in the stub
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]  # a plain attribute in the stub
        return "backslashreplace"

    @property
    def name(self) -> str:
        """As the standard streams call themselves."""
        return f"<{self._source}>"

    @property
    def buffer(self) -> io.FileIO:
        """The raw descriptor, for code that writes bytes; they are not records."""
        self.finish_line()
        return io.FileIO(self._descriptor, "wb", closefd=False)

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        with self._output.locked():
            whole = self._partial + text
            *lines, self._partial = whole.split("\n")
            self._output.used = True
            if len(self._partial) > _TEXT_CHARACTERS:
                lines.append(self._partial)
                self._partial = ""
            if lines:
                self._output.write(self._descriptor, self._source, "", lines)
        return len(text)

    def finish_line(self) -> None:
        """Write the begun line as if it were complete."""
        with self._output.locked():
            if self._partial:
                line, self._partial = self._partial, ""
                self._output.write(self._descriptor, self._source, "", [line])

    def forget_line(self) -> None:
        """Drop the begun line: it is the parent's."""
        self._partial = ""

    def close(self) -> None:
        """Nothing: a handler that closes standard output must not silence the next one."""


class LogHandler(logging.Handler):
    """Log records, with their level, as the platform's records."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record).rstrip("\n")
        except Exception:  # noqa: BLE001  # logging's rule: a log call never fails because of its arguments
            self.handleError(record)
            return
        with self._output.locked():
            self._output.write(self._output.streams[1].fileno(), "log", record.levelname, text.split("\n"))


def limit_from_environment() -> int:
    """The limit that the supervisor put into this process's environment."""
    return int(os.environ.get(LIMIT_VARIABLE, DEFAULT_LIMIT_BYTES))


def _capture_logging(output: Output) -> None:
    """Send the root logger's records and warnings to `output`.

    Handlers that user code put on the root logger for the standard streams are replaced, keeping their level and
    format: otherwise every record would be written twice.
    """
    handler = LogHandler(output)
    root = logging.getLogger()
    for theirs in root.handlers[:]:
        if type(theirs) is logging.StreamHandler and isinstance(theirs.stream, Stream):
            handler.setLevel(theirs.level)
            handler.setFormatter(theirs.formatter)
            root.removeHandler(theirs)
    root.addHandler(handler)
    logging.captureWarnings(True)


def _in_pieces(lines: list[str]) -> list[str]:
    if all(len(line) <= _TEXT_CHARACTERS for line in lines):
        return lines
    size = _TEXT_CHARACTERS
    return [line[i : i + size] for line in lines for i in range(0, max(len(line), 1), size)]


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _write_all(descriptor: int, data: bytes | bytearray) -> None:
    """Write everything, waiting while the reader is slow; output nobody can receive is dropped."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        return  # closed by user code, or the supervisor is gone
