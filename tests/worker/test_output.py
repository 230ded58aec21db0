"""What user code writes, as records: lines, requests, the limit, logging, warnings."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest

from actorfaas.worker.output import Output


class Pipes:
    """An `Output` that writes records into two pipes, and what came out of them."""

    def __init__(self, limit_bytes: int = 1 << 20) -> None:
        pairs = [os.pipe(), os.pipe()]
        self.readers = [reader for reader, _ in pairs]
        self.writers = [writer for _, writer in pairs]
        for reader in self.readers:
            os.set_blocking(reader, False)
        self.output = Output(limit_bytes, (self.writers[0], self.writers[1]))
        self.out, self.err = self.output.streams

    def raw(self, which: int) -> bytes:
        try:
            return os.read(self.readers[which], 1 << 20)
        except BlockingIOError:
            return b""

    def records(self, which: int = 0) -> list[dict[str, object]]:
        lines = self.raw(which).splitlines()
        assert all(line[:1] == b"\x1e" for line in lines)
        return [orjson.loads(line[1:]) for line in lines]

    def texts(self, which: int = 0) -> list[object]:
        return [record["t"] for record in self.records(which)]

    def close(self) -> None:
        for descriptor in (*self.readers, *self.writers):
            os.close(descriptor)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    made.output.records = True
    yield made
    made.close()


@contextmanager
def installation() -> Iterator[Pipes]:
    """With the process's own streams, logging and warnings in its hands; inside a test, or pytest's are in the way."""
    made = Pipes()
    root = logging.getLogger()
    before = (sys.stdout, sys.stderr, root.handlers[:], root.level, warnings.showwarning)
    root.handlers[:] = []
    made.output.install()
    try:
        yield made
    finally:
        logging.captureWarnings(False)
        sys.stdout, sys.stderr, root.handlers[:], _, warnings.showwarning = before
        root.setLevel(before[3])
        made.close()


def test_one_record_a_line_with_its_request(pipes: Pipes) -> None:
    pipes.output.begin("req_1", "exec_1")
    print("first\nsecond", file=pipes.out)
    print("wrong", file=pipes.err)
    records = pipes.records()
    assert [(r["r"], r["e"], r["s"], r["l"], r["t"]) for r in records] == [
        ("req_1", "exec_1", "stdout", "", "first"),
        ("req_1", "exec_1", "stdout", "", "second"),
    ]
    assert all(isinstance(record["at"], int) for record in records)
    assert [(r["s"], r["t"]) for r in pipes.records(1)] == [("stderr", "wrong")]


def test_a_begun_line_is_written_when_the_request_ends(pipes: Pipes) -> None:
    pipes.output.begin("req_1", "")
    pipes.out.write("no newline")
    assert pipes.raw(0) == b""
    pipes.output.end()
    assert [(r["r"], r["t"]) for r in pipes.records()] == [("req_1", "no newline")]
    pipes.output.begin("req_2", "")
    pipes.output.end()
    assert pipes.raw(0) == b""


def test_between_requests_output_belongs_to_none(pipes: Pipes) -> None:
    pipes.output.begin("req_1", "")
    pipes.output.end()
    print("late", file=pipes.out)
    assert [(r["r"], r["t"]) for r in pipes.records()] == [("", "late")]


def test_output_beyond_the_limit_is_one_notice(pipes: Pipes) -> None:
    pipes.output.limit_bytes = 100
    pipes.output.begin("req_1", "")
    for _ in range(50):
        print("x" * 29, file=pipes.out)
    records = pipes.records()
    assert [record["t"] for record in records[:3]] == ["x" * 29] * 3
    assert [(r["s"], r["l"], r["t"]) for r in records[3:]] == [
        ("log", "WARNING", "output of this request is cut here: it exceeds 100 bytes")
    ]
    pipes.output.end()
    pipes.output.begin("req_2", "")
    print("again", file=pipes.out)
    assert pipes.texts() == ["again"]


def test_a_very_long_line_is_divided(pipes: Pipes) -> None:
    pipes.out.write("a" * 20_000 + "\n")
    pieces = pipes.texts()
    assert all(isinstance(piece, str) and len(piece) <= 8192 for piece in pieces)
    assert "".join(map(str, pieces)) == "a" * 20_000


@pytest.mark.parametrize("text", ["ünï😀", "\ud800", "\x1e{}", "\x00", "tab\there", ""])
def test_any_text_is_a_record(pipes: Pipes, text: str) -> None:
    print(text, file=pipes.out)
    assert pipes.texts() == [text.encode("utf-8", "backslashreplace").decode()]


def test_threads_do_not_tear_lines(pipes: Pipes) -> None:
    def write(name: str) -> None:
        for number in range(20):
            pipes.out.write(f"{name}{number}\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, pipes.texts())) == sorted(f"{name}{number}" for name in "abcd" for number in range(20))


def test_the_streams_look_like_the_standard_ones(pipes: Pipes) -> None:
    assert pipes.out.fileno() == pipes.writers[0]
    assert (pipes.out.encoding, pipes.out.isatty(), pipes.out.writable()) == ("utf-8", False, True)
    pipes.out.close()
    print("still open", file=pipes.out)
    assert pipes.texts() == ["still open"]
    pipes.out.write("begun")
    with pipes.out.buffer as raw:
        raw.write(b"raw bytes\n")
    assert pipes.raw(0).splitlines()[1] == b"raw bytes"
    with pytest.raises(TypeError, match="must be str"):
        pipes.out.write(b"x")  # type: ignore[arg-type]  # what is tested


def test_a_closed_descriptor_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    output = Output(1 << 20, (writer, writer))
    output.records = True
    print("nobody reads", file=output.streams[0])
    os.close(writer)
    print("nowhere to write", file=output.streams[0])


def test_in_a_template_text_passes_plainly() -> None:
    with installation() as installed:
        print("imported")
        print("warned", file=sys.stderr)
        sys.stdout.write("begun")
        installed.output.flush()
        assert installed.raw(0) == b"imported\nbegun\n"
        assert installed.raw(1) == b"warned\n"


def test_logging_and_warnings_become_records() -> None:
    with installation() as installed:
        installed.output.start_records()
        installed.output.begin("req_1", "")
        logger = logging.getLogger("tests.output")
        logger.warning("count: %d", 3)
        try:
            raise KeyError("x")
        except KeyError:
            logger.exception("failed")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)  # catch_warnings brought its own way of showing them
            warnings.warn("be careful", stacklevel=1)
        records = installed.records(1)
        assert all((record["s"], record["r"]) == ("log", "req_1") for record in records)
        assert (records[0]["l"], records[0]["t"]) == ("WARNING", "count: 3")
        errors = [record["t"] for record in records if record["l"] == "ERROR"]
        assert errors[0] == "failed"
        assert errors[-1] == "KeyError: 'x'"
        assert any("UserWarning: be careful" in str(record["t"]) for record in records)


def test_a_handler_made_by_basic_config_at_import_keeps_its_format() -> None:
    with installation() as installed:
        logging.basicConfig(level=logging.DEBUG, format="%(name)s|%(message)s")
        installed.output.start_records()
        logging.getLogger("mine").debug("detail")
        assert [(r["s"], r["l"], r["t"]) for r in installed.records(1)] == [("log", "DEBUG", "mine|detail")]


def test_a_log_call_with_wrong_arguments_does_not_raise() -> None:
    with installation() as installed:
        installed.output.start_records()
        logging.getLogger("mine").warning("%d", "not a number")
        assert any("Logging error" in str(record["t"]) for record in installed.records(1))
