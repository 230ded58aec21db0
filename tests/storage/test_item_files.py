"""Items of Map states as files: from objects, listings, plain files and inventories."""

from __future__ import annotations

import gzip
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import FetchItems
from actorfaas.storage.item_files import ItemFiles, open_items
from actorfaas.storage.objects import ObjectStore
from actorfaas.storage.payload_files import PayloadFiles

Json = Any  # decoded JSON


@pytest.fixture
def items(tmp_path: Path) -> ItemFiles:
    (tmp_path / "objects" / "in").mkdir(parents=True)
    (tmp_path / "allowed").mkdir()
    files = PayloadFiles(tmp_path / "payloads", durable=True)
    files.open()
    return ItemFiles(ObjectStore(tmp_path / "objects"), files, (tmp_path / "allowed",))


def wanted(key: str = "k", *, source: str = "object", folder: str = "in", most: int = 100, **more: Json) -> FetchItems:
    given: dict[str, Json] = {
        "input_type": "JSON",
        "headers": (),
        "delimiter": ",",
        "pointer": "",
        "through": "",
        **more,
    }
    return FetchItems("f", source, folder, key, most=most, **given)


def put(folder: Path, key: str, body: bytes) -> None:
    (folder / "objects" / "in" / key).write_bytes(body)


def fetched(items: ItemFiles, request: FetchItems) -> list[Json]:
    found = items.fetch(request, Event())
    lines = open_items(Path(found.path), found.count, found.size_bytes)
    assert Path(found.path).name == found.file
    return list(lines)


def test_items_are_copied_as_lines(items: ItemFiles, tmp_path: Path) -> None:
    put(tmp_path, "k", b'[{"a":\n1}, "x"]')
    assert fetched(items, wanted()) == [{"a": 1}, "x"]
    assert fetched(items, wanted(most=1)) == [{"a": 1}]
    put(tmp_path, "k", b"a;b\n1;2\n")
    assert fetched(items, wanted(input_type="CSV", delimiter=";")) == [{"a": "1", "b": "2"}]
    put(tmp_path, "k", b"[]")
    assert fetched(items, wanted()) == []


def test_a_listing(items: ItemFiles, tmp_path: Path) -> None:
    for key in ("x1", "x2", "y"):
        put(tmp_path, key, b"text")
    found = fetched(items, wanted("x", source="list"))
    assert [(one["Key"], one["Size"], one["StorageClass"]) for one in found] == [
        *(("x1", 4, "STANDARD"), ("x2", 4, "STANDARD")),
    ]
    assert found[0]["Etag"] != found[1]["Etag"]
    assert len(fetched(items, wanted("", source="list", most=2))) == 2


def test_an_inventory_of_packed_and_plain_objects(items: ItemFiles, tmp_path: Path) -> None:
    manifest = {
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key",
        "destinationBucket": "arn:aws:s3:::in",
        "files": [{"key": "1.csv.gz"}, {"key": "2.csv"}],
    }
    put(tmp_path, "k", orjson.dumps(manifest))
    put(tmp_path, "1.csv.gz", gzip.compress(b'"b","one"\n'))
    put(tmp_path, "2.csv", b'"b","two"\n')
    inventory = wanted(input_type="CSV", through="S3_INVENTORY")
    found = fetched(items, inventory)
    assert found == [{"Bucket": "b", "Key": "one"}, {"Bucket": "b", "Key": "two"}]
    damaged = bytearray(gzip.compress(b"some text " * 1000))
    damaged[20:26] = b"\xff" * 6
    for body in (b"not packed", bytes(damaged), gzip.compress(b"cut")[:-9]):
        put(tmp_path, "1.csv.gz", body)
        with pytest.raises(RequestRefused, match="unpacked"):
            items.fetch(inventory, Event())


def test_the_data_of_an_athena_query(items: ItemFiles, tmp_path: Path) -> None:
    (tmp_path / "objects" / "other").mkdir()
    put(tmp_path, "k", b's3://in/1.gz\n"s3://other/2"\n')
    for bodies, config in (
        ((b'{"n":1}\n{"n":2}\n', b'{"n":3}\n'), {"input_type": "JSONL"}),
        ((b"1\n2\n", b"3\n"), {"input_type": "CSV", "headers": ("n",)}),
    ):
        put(tmp_path, "1.gz", gzip.compress(bodies[0]))
        (tmp_path / "objects" / "other" / "2").write_bytes(bodies[1])
        found = fetched(items, wanted(through="ATHENA_DATA", **config))
        assert [int(one["n"]) for one in found] == [1, 2, 3]
    put(tmp_path, "k", b"s3://in/gone\n")
    with pytest.raises(RequestRefused, match="no object in/gone"):
        items.fetch(wanted(through="ATHENA_DATA", input_type="JSONL"), Event())


def test_parquet_alone_and_of_an_athena_query(items: ItemFiles, tmp_path: Path) -> None:
    rows = Path(__file__).with_name("types.parquet").read_bytes()
    put(tmp_path, "rows.gz", rows)  # so Athena calls them, which are not packed
    put(tmp_path, "k", b"s3://in/rows.gz\ns3://in/rows.gz\n")
    found = fetched(items, wanted(through="ATHENA_DATA", input_type="PARQUET"))
    assert [one["dictionary"] for one in found] == ["a", "b", "a"] * 2
    assert len(fetched(items, wanted("rows.gz", input_type="PARQUET", most=2))) == 2


def test_the_items_of_all_objects_of_a_listing(items: ItemFiles, tmp_path: Path) -> None:
    put(tmp_path, "x1", b"a\n1\n2\n")
    put(tmp_path, "x2", b"a\n3\n")
    put(tmp_path, "y", b"a\n4\n")
    every = wanted("x", source="list", input_type="CSV", through="LOAD_AND_FLATTEN")
    assert fetched(items, every) == [{"a": "1"}, {"a": "2"}, {"a": "3"}]


def test_plain_files_of_the_bundle_and_of_allowed_folders(items: ItemFiles, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "own.json").write_text("[1]")
    (tmp_path / "allowed" / "more.json").write_text("[2]")
    (tmp_path / "allowed" / "link.json").symlink_to(tmp_path / "secret.json")
    (tmp_path / "secret.json").write_text("[3]")
    plain: dict[str, Json] = {"source": "file", "folder": str(bundle)}
    assert fetched(items, wanted("own.json", **plain)) == [1]
    assert fetched(items, wanted(str(tmp_path / "allowed" / "more.json"), **plain)) == [2]
    for path in ("../secret.json", str(tmp_path / "secret.json"), str(tmp_path / "allowed" / "link.json")):
        with pytest.raises(RequestRefused, match="item_dirs"):
            items.fetch(wanted(path, **plain), Event())
    with pytest.raises(RequestRefused, match="no path"):
        items.fetch(wanted("own.json\0", **plain), Event())


@pytest.mark.parametrize(("body", "says"), [(b"{", "parse the items"), (b"5", "non-iterable")])
def test_nothing_is_left_of_what_cannot_be_read(items: ItemFiles, tmp_path: Path, body: bytes, says: str) -> None:
    put(tmp_path, "k", body)
    with pytest.raises(RequestRefused, match=says):
        items.fetch(wanted(), Event())
    with pytest.raises(RequestRefused, match="no object"):
        items.fetch(wanted("none"), Event())
    assert [path for path in (tmp_path / "payloads").rglob("*") if path.is_file()] == []


def test_what_may_not_be_read_is_not_tried_for_ever(items: ItemFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("actorfaas.storage.objects.os.scandir", denied)
    with pytest.raises(RequestRefused, match="Permission denied") as raised:
        items.fetch(wanted("", source="list"), Event())
    assert (raised.value.code, raised.value.retryable) == ("invalid", False)


def test_reading_stops_when_nobody_wants_the_items(items: ItemFiles, tmp_path: Path) -> None:
    put(tmp_path, "k", b"1\n" * 10)
    unwanted = Event()
    unwanted.set()
    with pytest.raises(RequestRefused) as raised:
        items.fetch(wanted(input_type="JSONL"), unwanted)
    assert raised.value.code == "cancelled"
    assert [path for path in (tmp_path / "payloads").rglob("*") if path.is_file()] == []


def test_a_file_that_is_not_as_it_was_is_not_read(items: ItemFiles, tmp_path: Path) -> None:
    put(tmp_path, "k", b"[1,2]")
    found = items.fetch(wanted(), Event())
    with Path(found.path).open("ab") as file:
        file.write(b"3\n")
    with pytest.raises(OSError, match="bytes, not"):
        open_items(Path(found.path), found.count, found.size_bytes)
