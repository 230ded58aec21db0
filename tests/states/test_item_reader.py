"""From an object's bytes to items."""

from __future__ import annotations

import pytest

from actorfaas.states.errors import StatesError
from actorfaas.states.item_reader import ReaderConfig, read_items

ROWS = b"a,b\n1,2\n3\n,,,\n\n"


@pytest.mark.parametrize(
    ("body", "config", "items"),
    [
        (b'[1,"x",{"y":2}]', ReaderConfig(), [1, "x", {"y": 2}]),
        (b'{"k":1}', ReaderConfig(), [{"Key": "k", "Value": 1}]),
        (b'{"data":{"a/b":[1,[2,3]]}}', ReaderConfig(pointer="/data/a~1b/1"), [2, 3]),
        (b'{"a":1}\n\n{"a":2}', ReaderConfig("JSONL"), [{"a": 1}, {"a": 2}]),
        (
            ROWS,
            ReaderConfig("CSV"),
            [{"a": "1", "b": "2"}, {"a": "3", "b": ""}, {"a": "", "b": ""}, {"a": "", "b": ""}],
        ),
        (b"1;2\r\n3;4\r\n", ReaderConfig("CSV", ("x", "y"), ";"), [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]),
        (b'a\n"x\ny"\n', ReaderConfig("CSV"), [{"a": "x\ny"}]),
        (b"\xef\xbb\xbfa\n1\n", ReaderConfig("CSV"), [{"a": "1"}]),
        (b"", ReaderConfig("CSV"), []),
        (b"[]", ReaderConfig(), []),
    ],
)
def test_formats(body: bytes, config: ReaderConfig, items: list[object]) -> None:
    assert read_items(body, config, 0) == items


@pytest.mark.parametrize(("most", "count"), [(0, 3), (2, 2), (3, 3), (1e9, 3)])
@pytest.mark.parametrize(
    ("body", "input_type"), [(b"[1,2,3]", "JSON"), (b"1\n2\n3\n", "JSONL"), (b"h\n1\n2\n3\n", "CSV")]
)
def test_at_most_so_many_are_taken(body: bytes, input_type: str, most: float, count: int) -> None:
    assert len(read_items(body, ReaderConfig(input_type), most)) == count


@pytest.mark.parametrize(
    ("body", "config", "most", "says"),
    [
        (b"[1]", ReaderConfig(), -1, "field MaxItems must be positive"),
        (b"{", ReaderConfig(), 0, "parse the items as JSON"),
        (b"1\n{", ReaderConfig("JSONL"), 0, "parse the items as JSON"),
        (b"5", ReaderConfig(), 0, "non-iterable"),
        (b'{"a":1}', ReaderConfig(pointer="/b"), 0, "finds nothing"),
        (b"[1]", ReaderConfig(pointer="/1"), 0, "finds nothing"),
        (b"\xff", ReaderConfig("CSV"), 0, "read as CSV"),
        (b"a\n" + b"x" * 200_000, ReaderConfig("CSV"), 0, "read as CSV"),
    ],
)
def test_what_cannot_be_read(body: bytes, config: ReaderConfig, most: float, says: str) -> None:
    with pytest.raises(StatesError, match=says) as raised:
        read_items(body, config, most)
    assert raised.value.error == "States.ItemReaderFailed"
