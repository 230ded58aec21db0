"""Activities in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import ActivityRecord, ActivityRecords
from actorfaas.storage import activities
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import Wall, sqlite_store


async def test_activities_are_listed_by_name_and_made_once(store: SqliteStore, wall: Wall) -> None:
    began_ms = wall.ms
    for name in ("purl", "knit"):
        assert await store.create_activity(name) == ActivityRecords((ActivityRecord(name, began_ms),))
    wall.ms += 1_000
    assert await store.create_activity("knit") == ActivityRecords((ActivityRecord("knit", began_ms),))
    found = await store.list_activities()
    assert found == ActivityRecords((ActivityRecord("knit", began_ms), ActivityRecord("purl", began_ms)))


async def test_what_is_removed_is_gone(store: SqliteStore) -> None:
    await store.create_activity("knit")
    await store.delete_activity("knit")
    assert await store.list_activities() == ActivityRecords(())
    with pytest.raises(RequestRefused, match="not_found"):
        await store.delete_activity("knit")


async def test_there_are_not_too_many(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activities, "MAX_ACTIVITIES", 1)
    await store.create_activity("knit")
    await store.create_activity("knit")
    with pytest.raises(RequestRefused, match="conflict"):
        await store.create_activity("purl")


async def test_they_are_there_after_a_restart(tmp_path: Path, wall: Wall) -> None:
    before = sqlite_store(tmp_path, wall)
    await before.open()
    await before.create_activity("knit")
    await before.close()
    after = sqlite_store(tmp_path, wall)
    await after.open()
    assert [one.activity for one in (await after.list_activities()).activities] == ["knit"]
    await after.close()
