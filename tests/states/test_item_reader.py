"""From an object's bytes to items."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import orjson
import pytest

from actorfaas.states.errors import StatesError
from actorfaas.states.item_reader import Inventory, ReaderConfig, athena_objects, inventory_of, item_lines, read_items

MIXED = (1, 'a]"', {"x": [1, 2]}, -12500.0, None, "é")
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
        (b" \n[ ]\n", ReaderConfig(), []),
        (b' [1, "a]\\"", {"x": [1, 2]}\n,-12.5e3, null, "\xc3\xa9" ] ', ReaderConfig(), [*MIXED]),
    ],
)
def test_formats(body: bytes, config: ReaderConfig, items: list[object]) -> None:
    assert read_items(body, config, 0) == items
    for size in (1, 2, 3):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        assert [orjson.loads(line) for line in item_lines(pieces, config)] == items


def test_every_item_is_one_line() -> None:
    body = b'[{"a":\n 1},\n"x\\ny"]'
    assert list(item_lines([body], ReaderConfig())) == [b'{"a":1}', b'"x\\ny"']


def test_an_object_is_not_read_further_than_its_items_are_wanted() -> None:
    def pieces() -> Iterator[bytes]:
        for number in range(10):
            read.append(number)
            yield b"%d\n%d\n" % (number, number)

    for config, begin in ((ReaderConfig("JSONL"), b""), (ReaderConfig("CSV"), b"h\n")):
        read: list[int] = []
        lines = item_lines(chain([begin], pieces()), config)
        assert len([next(lines) for _ in range(3)]) == 3
        assert read[-1] < 4


def test_an_inventory() -> None:
    manifest = {
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size",
        "destinationBucket": "arn:aws:s3:::there",
        "files": [{"key": "a.csv.gz"}, {"key": "b.csv.gz"}],
    }
    found = inventory_of(orjson.dumps(manifest))
    assert found == Inventory("there", ("a.csv.gz", "b.csv.gz"), ("Bucket", "Key", "Size"))
    wrongs: list[object] = [
        {**manifest, "fileFormat": "ORC"},
        {},
        [],
        {**manifest, "files": 1},
        {**manifest, "files": [{"key": 1}]},
    ]
    for wrong in wrongs:
        with pytest.raises(StatesError) as raised:
            inventory_of(orjson.dumps(wrong))
        assert raised.value.error == "States.ItemReaderFailed"


def test_the_manifest_of_an_athena_query() -> None:
    body = b's3://b/x/1.gz\r\n\n"s3://other/a,b"\n'
    assert list(athena_objects([body[:5], body[5:]])) == [("b", "x/1.gz"), ("other", "a,b")]
    for wrong in (b"x/1.gz\n", b"s3://bucket\n", b"s3://bucket/\n", b"\xff\n"):
        with pytest.raises(StatesError, match="no s3://BUCKET/KEY") as raised:
            list(athena_objects([wrong]))
        assert raised.value.error == "States.ItemReaderFailed"


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
        (b"[1] 2", ReaderConfig(), 0, "something follows"),
        (b"[1, 2", ReaderConfig(), 0, "the array does not end"),
        (b"[1,]", ReaderConfig(), 0, "parse the items as JSON"),
        (b"[1 2]", ReaderConfig(), 0, "parse the items as JSON"),
        (b"[NaN]", ReaderConfig(), 0, "parse the items as JSON"),
        (b"[\xff]", ReaderConfig(), 0, "parse the items as JSON"),
        (b"[" * 100_000, ReaderConfig(), 0, "nested too deeply"),
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", ReaderConfig(), 0, "cannot be written as JSON"),
        (b"[" + b"9" * 5000 + b"]", ReaderConfig(), 0, "parse the items as JSON"),
        (b"", ReaderConfig(), 0, "parse the items as JSON"),
    ],
)
def test_what_cannot_be_read(body: bytes, config: ReaderConfig, most: float, says: str) -> None:
    with pytest.raises(StatesError, match=says) as raised:
        read_items(body, config, most)
    assert raised.value.error == "States.ItemReaderFailed"
