"""Opening a database file: what is accepted, what is migrated, what is refused and how it is said."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from actorfaas.errors import StorageUnavailable, StorageUnusable
from actorfaas.storage.database import Database

FIRST = "CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB)"
SECOND = "ALTER TABLE item ADD COLUMN size INTEGER NOT NULL DEFAULT 0"


def database(folder: Path, *migrations: str) -> Database:
    return Database(folder / "test.sqlite", 1234, migrations, "full")


def test_a_new_file_has_the_schema_and_the_settings(tmp_path: Path) -> None:
    made = database(tmp_path, FIRST, SECOND)
    made.prepare()
    connection = made.writer()
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert connection.execute("SELECT size FROM item").fetchall() == []
    connection.close()


def test_an_older_file_is_migrated_and_keeps_its_rows(tmp_path: Path) -> None:
    old = database(tmp_path, FIRST)
    old.prepare()
    connection = old.writer()
    connection.execute("INSERT INTO item VALUES (1, 'x')")
    connection.close()
    new = database(tmp_path, FIRST, SECOND)
    new.prepare()
    new.prepare()
    connection = new.reader()
    assert connection.execute("SELECT id, size FROM item").fetchall() == [(1, 0)]
    connection.close()


def test_a_failed_migration_changes_nothing(tmp_path: Path) -> None:
    database(tmp_path, FIRST).prepare()
    with pytest.raises(StorageUnavailable, match="syntax error"):
        database(tmp_path, FIRST, f"{SECOND}; NONSENSE;").prepare()
    connection = database(tmp_path, FIRST).reader()
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        connection.execute("SELECT size FROM item")
    connection.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    database(tmp_path, FIRST, SECOND).prepare()
    with pytest.raises(StorageUnusable, match=r"schema version 2, but .* only up to 1"):
        database(tmp_path, FIRST).prepare()


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "test.sqlite")
    connection.execute("CREATE TABLE theirs (id)")
    connection.close()
    with pytest.raises(StorageUnusable, match="another program"):
        database(tmp_path, FIRST).prepare()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test.sqlite").write_bytes(b"these are not the pages you are looking for" * 100)
    with pytest.raises(StorageUnusable, match=r"is damaged .*restore a backup"):
        database(tmp_path, FIRST).prepare()


def test_a_damaged_page_is_found_at_the_start(tmp_path: Path) -> None:
    made = database(tmp_path, FIRST)
    made.prepare()
    connection = made.writer()
    connection.executemany("INSERT INTO item VALUES (?, ?)", [(i, b"x" * 500) for i in range(1000)])
    connection.close()
    with (tmp_path / "test.sqlite").open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(StorageUnusable, match="is damaged"):
        database(tmp_path, FIRST).prepare()


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="unable to open"):
        database(tmp_path / "missing", FIRST).prepare()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    made = database(tmp_path, FIRST)
    made.prepare()
    connection = made.reader()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("INSERT INTO item VALUES (1, 'x')")
    connection.close()
