"""Rows of real Parquet files as items: every type, a group at a time, and what cannot be read.

`types.parquet` and `int96.parquet` were written by PyArrow, as other programs write them; DuckDB writes the rest.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from actorfaas.states.errors import StatesError
from actorfaas.storage import parquet_items
from actorfaas.storage.parquet_items import is_installed, parquet_lines

Json = Any  # decoded JSON

HERE = Path(__file__).parent


def write(path: Path, query: str, **options: Json) -> Path:
    more = "".join(f", {name} {value}" for name, value in options.items())
    duckdb.connect(":memory:", config={"threads": 1}).execute(f"COPY ({query}) TO '{path}' (FORMAT parquet{more})")
    return path


def lines(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return list(parquet_lines(file))


def test_every_type_has_its_json() -> None:
    first, second, third = (orjson.loads(line) for line in lines(HERE / "types.parquet"))
    assert first == {
        "whole": 1,
        "unsigned": 2**64 - 1,
        "float": 1.5,
        "flag": True,
        "decimal": 12.5,
        "local": "2026-01-02T03:04:05",
        "instant": "2026-01-02T03:04:05Z",
        "nanos": "1970-01-01T00:00:00",
        "date": "2026-01-02",
        "time": "01:02:03",
        "binary": "/wA=",
        "list": [1, 2],
        "object": {"x": 1, "y": ["a"]},
        "map": {"k": 1},
        "numbers": {"7": "v"},
        "dictionary": "a",
        "uuid": "00000000-0000-0000-0000-000000000005",
        "é": "a",
    }
    assert (second["whole"], second["float"], second["decimal"]) == (None, None, -0.01)
    assert (second["local"], second["nanos"]) == ("2026-01-02T03:04:05.678000", "2001-09-09T01:46:40.123456")
    assert (second["time"], second["list"], second["object"], second["map"]) == ("01:02:03.000004", [], None, {})
    assert (third["whole"], third["float"], third["date"]) == (2**63 - 1, None, "0001-01-01")
    assert third["instant"] == "1960-01-02T03:04:05.000001Z"


def test_timestamps_as_older_programs_write_them() -> None:
    assert [orjson.loads(line)["nanos"] for line in lines(HERE / "int96.parquet")][:2] == [
        *("1970-01-01T00:00:00", "2001-09-09T01:46:40.123456"),
    ]


def test_a_decimal_has_all_its_digits(tmp_path: Path) -> None:
    path = write(tmp_path / "f", "SELECT 12345678901234567890.12345678::DECIMAL(38,8) AS a, 100::DECIMAL(5,0) AS b")
    assert lines(path) == [b'{"a":12345678901234567890.12345678,"b":100}']


def test_rows_come_in_their_order_and_none_make_none(tmp_path: Path) -> None:
    path = write(tmp_path / "f", "SELECT range AS n FROM range(5000)", ROW_GROUP_SIZE=2048)
    assert [orjson.loads(line)["n"] for line in lines(path)] == list(range(5000))
    assert lines(write(tmp_path / "f", "SELECT 1 AS n WHERE false")) == []


def test_a_file_is_read_no_further_than_its_rows_are_wanted(tmp_path: Path) -> None:
    """The second half is damaged, which nobody who wants ten rows notices."""
    query = "SELECT range AS n, md5(range::VARCHAR) AS s FROM range(300000)"
    path = write(tmp_path / "f", query, ROW_GROUP_SIZE=2048, COMPRESSION="'zstd'")
    body = bytearray(path.read_bytes())
    middle = len(body) // 2
    body[middle : middle + 100_000] = bytes(100_000)
    path.write_bytes(body)
    with path.open("rb") as file:
        assert [orjson.loads(line)["n"] for line in islice(parquet_lines(file), 10)] == list(range(10))
    with pytest.raises(StatesError, match="read as Parquet"):
        lines(path)


@pytest.mark.parametrize("body", [b"", b"a,b\n1,2\n" * 10, b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_is_said(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "f").write_bytes(body)
    with pytest.raises(StatesError) as raised:
        lines(tmp_path / "f")
    assert raised.value.error == "States.ItemReaderFailed"
    assert raised.value.cause.startswith("The object cannot be read as Parquet: ")
    assert "\n" not in raised.value.cause


def test_a_row_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_items, "MAX_ITEM_BYTES", 100)
    assert len(lines(write(tmp_path / "f", "SELECT repeat('x', 92) AS s"))[0]) == 100
    with pytest.raises(StatesError, match="more than 100 bytes"):
        lines(write(tmp_path / "f", "SELECT repeat('x', 93) AS s"))


def test_without_the_extra_it_is_said_which(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_installed()
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert not is_installed()
    with pytest.raises(StatesError, match=r"actorfaas\[parquet\]"):
        lines(HERE / "types.parquet")
