"""Queries in threads: one consistent state each, errors with the file's name."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorfaas.errors import StorageUnavailable
from actorfaas.storage.database import Database
from actorfaas.storage.reader import Reader


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "test.sqlite", 1234, ("CREATE TABLE item (id INTEGER PRIMARY KEY)",), "normal")
    made.prepare()
    return made


@pytest.fixture
async def reader(database: Database) -> AsyncIterator[Reader]:
    made = Reader(database.path, database.reader)
    yield made
    await made.close()


async def test_a_query_sees_one_state_whatever_is_committed_meanwhile(reader: Reader, database: Database) -> None:
    writer = database.writer()

    def twice(connection: sqlite3.Connection) -> tuple[int, int]:
        count = "SELECT count(*) FROM item"
        first: int = connection.execute(count).fetchone()[0]
        writer.execute("INSERT INTO item VALUES (NULL)")
        second: int = connection.execute(count).fetchone()[0]
        return first, second

    assert await reader.run(twice) == (0, 0)
    assert await reader.run(twice) == (1, 1)
    writer.close()


async def test_an_error_names_the_file_and_the_next_query_works(reader: Reader, database: Database) -> None:
    with pytest.raises(StorageUnavailable, match=str(database.path)):
        await reader.run(lambda connection: connection.execute("SELECT nothing FROM nowhere"))
    assert await reader.run(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
