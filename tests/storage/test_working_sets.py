"""Records of working sets: the newest of each function, and not too many."""

from __future__ import annotations

import asyncio

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import SaveWorkingSet, WorkingSetRecord
from actorfaas.storage import working_sets
from actorfaas.storage.sqlite_store import SqliteStore


async def test_the_newest_record_counts(store: SqliteStore) -> None:
    await store.save_working_set(SaveWorkingSet("f@1", b"old"))
    await store.save_working_set(SaveWorkingSet("f@2", b"other"))
    await store.save_working_set(SaveWorkingSet("f@1", b"new"))
    assert await store.get_working_set("f@1") == WorkingSetRecord("f@1", b"new")
    assert await store.get_working_set("f@2") == WorkingSetRecord("f@2", b"other")


async def test_without_a_record_there_is_none(store: SqliteStore) -> None:
    with pytest.raises(RequestRefused, match="not_found"):
        await store.get_working_set("f@1")


@pytest.mark.parametrize(("topic", "record"), [("f@1", b""), ("", b"x"), ("f@1", bytes(working_sets.MOST_BYTES + 1))])
async def test_what_cannot_be_a_record_is_refused(store: SqliteStore, topic: str, record: bytes) -> None:
    with pytest.raises(RequestRefused, match="invalid"):
        await store.save_working_set(SaveWorkingSet(topic, record))


async def test_the_longest_unchanged_go_first(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working_sets, "MOST_RECORDS", 3)
    for topic in ("a@1", "b@1", "c@1", "a@1", "d@1"):
        await store.save_working_set(SaveWorkingSet(topic, topic.encode()))
    found = await asyncio.gather(*(store.get_working_set(f"{name}@1") for name in "abcd"), return_exceptions=True)
    assert [isinstance(one, WorkingSetRecord) for one in found] == [True, False, True, True]
