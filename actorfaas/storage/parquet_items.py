"""The rows of a Parquet file as items: one JSON object a line. DuckDB reads it, which the extra `parquet` brings.

DuckDB is loaded when the first such file is read: it takes 60 MB, which nodes without one do without. A file is read a
group of rows at a time. Values that JSON does not have are written so:

    DECIMAL                  a number with all its digits
    TIMESTAMP, in UTC        "2026-01-02T03:04:05.678000Z"; one without a zone has no Z
    DATE, TIME               "2026-01-02", "03:04:05"
    binary                   text in base64
    NaN, infinities          null
    MAP                      an object
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from actorfaas.states.errors import STATES_ITEM_READER, StatedFailure
from actorfaas.states.item_reader import MAX_ITEM_BYTES

if TYPE_CHECKING:
    import duckdb

Value = Any  # what DuckDB makes of a value in a file

ROWS = 256
"""So many rows are decoded at once."""

MEMORY_LIMIT = "512MB"
"""The most that decoding takes, in DuckDB's words."""

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


def is_installed() -> bool:
    """Whether the node can read Parquet."""
    return find_spec("duckdb") is not None


def parquet_lines(file: BinaryIO) -> Iterator[bytes]:
    """Each row as JSON in one line. Raises StatesError (States.ItemReaderFailed)."""
    try:
        import duckdb
    except ImportError as error:
        cause = "Parquet cannot be read: install actorfaas[parquet] where the node runs"
        raise StatedFailure(STATES_ITEM_READER, cause) from error
    path = f"/proc/self/fd/{file.fileno()}"
    try:
        with closing(_database()) as database:
            rows = database.execute("SELECT * FROM read_parquet(?, hive_partitioning = false)", [path])
            names = [column[0] for column in rows.description or ()]
            while found := rows.fetchmany(ROWS):
                yield from (_line(names, row) for row in found)
    except duckdb.Error as error:
        first_line = str(error).partition("\n")[0].replace(path, "the object")
        raise StatedFailure(STATES_ITEM_READER, f"The object cannot be read as Parquet: {first_line}") from error


def _database() -> duckdb.DuckDBPyConnection:
    """One that fetches nothing from anywhere and knows no zone but UTC."""
    import duckdb

    database = duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "memory_limit": MEMORY_LIMIT,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        },
    )
    database.execute("SET TimeZone = 'UTC'")
    return database


def _line(names: list[str], row: tuple[Value, ...]) -> bytes:
    try:
        line = orjson.dumps(dict(zip(names, row, strict=True)), default=_as_json, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        raise StatedFailure(STATES_ITEM_READER, f"An item cannot be written as JSON: {error}") from error
    if len(line) > MAX_ITEM_BYTES:
        raise StatedFailure(STATES_ITEM_READER, f"A row of the object has more than {MAX_ITEM_BYTES} bytes")
    return line


def _as_json(value: Value) -> Value:
    """What stands for a value that JSON does not have."""
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"no JSON is known for a {type(value).__name__}")
