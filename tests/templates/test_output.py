"""Bytes on a pipe become log lines, whatever user code writes; what waits is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorfaas.messages import LogLine
from actorfaas.templates.output import MAX_LINE_BYTES, LineSplitter, LogBuffer, Origin, parse_line

ORIGIN = Origin("resize", 3, 4711, "stdout")
NOW_MS = 1_700_000_000_000


def line_of(text: str) -> LogLine:
    return parse_line(text.encode(), ORIGIN, NOW_MS)


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.data())
def test_lines_do_not_depend_on_how_the_stream_was_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter()
    found: list[bytes] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += splitter.feed(stream[:size])
        stream = stream[size:]
    assert found == lines
    assert splitter.finish() == b""


def test_a_line_without_end_comes_last() -> None:
    splitter = LineSplitter()
    assert list(splitter.feed(b"one\ntw")) == [b"one"]
    assert splitter.finish() == b"tw"
    assert splitter.finish() == b""


@pytest.mark.parametrize("piece_bytes", [1000, MAX_LINE_BYTES, 3 * MAX_LINE_BYTES + 5])
def test_a_line_without_bound_is_cut_and_nothing_of_it_is_lost(piece_bytes: int) -> None:
    splitter = LineSplitter()
    found: list[bytes] = []
    total = 0
    while total < 4 * MAX_LINE_BYTES:
        found += splitter.feed(b"x" * piece_bytes)
        total += piece_bytes
    found += splitter.feed(b"\n")
    assert max(map(len, found)) <= MAX_LINE_BYTES
    assert sum(map(len, found)) == total


def test_a_record_carries_its_request() -> None:
    line = line_of('\x1e{"r":"req_1","e":"exe_1","s":"log","l":"INFO","t":"hello","at":5}')
    assert line == LogLine(0, 5, "resize", 3, "req_1", "exe_1", 4711, "log", "INFO", "hello")


def test_any_other_line_is_taken_as_it_is() -> None:
    assert line_of("plain\r") == LogLine(0, NOW_MS, "resize", 3, "", "", 4711, "stdout", "", "plain")


def test_bytes_that_are_not_text_are_kept_readable() -> None:
    assert parse_line(b"\xff\x00ok", ORIGIN, NOW_MS).text == "\\xff\x00ok"


@pytest.mark.parametrize("text", ["\x1e", "\x1enot json", "\x1e[1]", "\x1e{", "\x1e3"])
def test_what_only_looks_like_a_record_is_a_plain_line(text: str) -> None:
    assert line_of(text).text == text


@pytest.mark.parametrize(
    "record", ["{}", '{"at":"soon"}', '{"at":-1}', '{"at":1e99}', '{"r":1,"e":null,"s":"socket","l":[],"t":{}}']
)
def test_a_record_with_wrong_fields_still_becomes_a_line(record: str) -> None:
    line = line_of("\x1e" + record)
    assert (line.stream, line.at_ms, line.function) == ("stdout", NOW_MS, "resize")
    assert all(isinstance(value, str) for value in (line.request_id, line.execution_id, line.level, line.text))


def test_a_buffer_gives_lines_back_in_order_and_in_batches() -> None:
    buffer = LogBuffer()
    for number in range(5):
        buffer.append(line_of(str(number)))
    assert [line.text for line in buffer.take(3, NOW_MS)] == ["0", "1", "2"]
    assert [line.text for line in buffer.take(3, NOW_MS)] == ["3", "4"]
    assert buffer.take(3, NOW_MS) == ()


def test_a_full_buffer_drops_the_oldest_lines_and_says_how_many() -> None:
    buffer = LogBuffer(max_lines=3)
    for number in range(10):
        buffer.append(line_of(str(number)))
    first, *others = buffer.take(10, NOW_MS)
    assert "7 lines dropped" in first.text
    assert [line.text for line in others] == ["7", "8", "9"]
    buffer.append(line_of("next"))
    assert [line.text for line in buffer.take(10, NOW_MS)] == ["next"]


def test_a_buffer_is_bounded_in_bytes_too() -> None:
    buffer = LogBuffer(max_bytes=10_000)
    for _ in range(100):
        buffer.append(line_of("x" * 1000))
    assert len(buffer) < 10
    buffer.append(line_of("y" * 50_000))
    assert [line.text[0] for line in buffer.take(10, NOW_MS)] == ["…", "y"]
