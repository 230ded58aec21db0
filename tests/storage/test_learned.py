"""Records of what was learned: the newest of each version and kind, and not too many."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import GetLearned, LearnedRecord, SaveLearned
from actorfaas.storage import learned
from actorfaas.storage.database import Database
from actorfaas.storage.schema import STATE_APPLICATION_ID, STATE_MIGRATIONS
from actorfaas.storage.sqlite_store import SqliteStore


async def test_the_newest_record_of_a_kind_counts(store: SqliteStore) -> None:
    await store.save_learned(SaveLearned("f@1", "costs", b"old"))
    await store.save_learned(SaveLearned("f@2", "costs", b"other version"))
    await store.save_learned(SaveLearned("f@1", "working_set", b"other kind"))
    await store.save_learned(SaveLearned("f@1", "costs", b"new"))
    assert await store.get_learned(GetLearned("f@1", "costs")) == LearnedRecord(b"new")
    assert await store.get_learned(GetLearned("f@2", "costs")) == LearnedRecord(b"other version")
    assert await store.get_learned(GetLearned("f@1", "working_set")) == LearnedRecord(b"other kind")


async def test_without_a_record_there_is_none(store: SqliteStore) -> None:
    with pytest.raises(RequestRefused, match="not_found"):
        await store.get_learned(GetLearned("f@1", "costs"))


async def test_an_empty_record_forgets_the_one_before(store: SqliteStore) -> None:
    await store.save_learned(SaveLearned("f@1", "costs", b"old"))
    await store.save_learned(SaveLearned("f@1", "working_set", b"kept"))
    await store.save_learned(SaveLearned("f@1", "costs", b""))
    with pytest.raises(RequestRefused, match="not_found"):
        await store.get_learned(GetLearned("f@1", "costs"))
    assert await store.get_learned(GetLearned("f@1", "working_set")) == LearnedRecord(b"kept")


@pytest.mark.parametrize(
    ("topic", "kind", "record"),
    [("f@1", "", b"x"), ("", "costs", b"x"), ("f@1", "costs", bytes(learned.MOST_BYTES + 1))],
)
async def test_what_cannot_be_a_record_is_refused(store: SqliteStore, topic: str, kind: str, record: bytes) -> None:
    with pytest.raises(RequestRefused, match="invalid"):
        await store.save_learned(SaveLearned(topic, kind, record))


async def test_the_longest_unchanged_of_a_kind_go_first(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "MOST_RECORDS", 3)
    await store.save_learned(SaveLearned("b@1", "habits", b"of another kind"))
    for topic in ("a@1", "b@1", "c@1", "a@1", "d@1"):
        await store.save_learned(SaveLearned(topic, "costs", topic.encode()))
    asked = [GetLearned("b@1", "habits"), *(GetLearned(f"{name}@1", "costs") for name in "abcd")]
    found = await asyncio.gather(*map(store.get_learned, asked), return_exceptions=True)
    assert [isinstance(one, LearnedRecord) for one in found] == [True, True, False, True, True]


def test_working_sets_of_an_older_database_are_kept(tmp_path: Path) -> None:
    before = next(at for at, migration in enumerate(STATE_MIGRATIONS) if "DROP TABLE working_set" in migration)
    path = tmp_path / "state.sqlite"
    Database(path, STATE_APPLICATION_ID, STATE_MIGRATIONS[:before], "normal").prepare()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO working_set (function_topic, record) VALUES ('f@1', x'01')")
    new = Database(path, STATE_APPLICATION_ID, STATE_MIGRATIONS, "normal")
    new.prepare()
    connection = new.reader()
    assert learned.get(connection, GetLearned("f@1", "working_set")) == LearnedRecord(b"\x01")
    connection.close()
