"""Key-value data: compare-and-set, versions, listing by prefix."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import KvDelete, KvGet, KvList, KvPut, KvValue
from actorfaas.storage import key_values
from actorfaas.storage.database import Database
from actorfaas.storage.schema import STATE_APPLICATION_ID, STATE_MIGRATIONS
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import sqlite_store


async def put(store: SqliteStore, key: str, value: bytes, expected: int = -1, namespace: str = "app") -> int:
    stored = await store.kv_put(KvPut(namespace, key, expected, value))
    assert stored.payload == b""
    return stored.version


async def get(store: SqliteStore, key: str, namespace: str = "app") -> KvValue:
    return await store.kv_get(KvGet(namespace, key))


async def keys(
    store: SqliteStore, prefix: str = "", after: str = "", limit: int = 1000, namespace: str = "app"
) -> list[str]:
    return list((await store.kv_list(KvList(namespace, prefix, after, limit))).keys)


async def test_versions_count_up_and_a_missing_key_has_none(store: SqliteStore) -> None:
    assert await get(store, "a") == KvValue(0, b"")
    assert await put(store, "a", b"1") == 1
    assert await put(store, "a", b"2") == 2
    assert await get(store, "a") == KvValue(2, b"2")


async def test_a_version_is_never_used_twice(store: SqliteStore) -> None:
    old = await put(store, "lock", b"mine", expected=0)
    await store.kv_delete(KvDelete("app", "lock", old))
    new = await put(store, "lock", b"theirs", expected=0)
    assert new > old
    with pytest.raises(RequestRefused, match="precondition_failed"):
        await store.kv_delete(KvDelete("app", "lock", old))
    assert await get(store, "lock") == KvValue(new, b"theirs")


@pytest.mark.parametrize(
    ("exists", "expected", "passes"),
    [(False, -1, True), (False, 0, True), (False, 1, False), (True, -1, True), (True, 0, False), (True, 1, True)],
)
async def test_compare_and_set(store: SqliteStore, exists: bool, expected: int, passes: bool) -> None:
    if exists:
        await put(store, "k", b"old")
    for change in (KvPut("app", "k", expected, b"new"), KvDelete("app", "k", expected)):
        if not passes:
            with pytest.raises(RequestRefused, match="precondition_failed"):
                await (store.kv_put(change) if isinstance(change, KvPut) else store.kv_delete(change))
    assert (await get(store, "k")).payload == (b"old" if exists else b"")
    if passes:
        version = await put(store, "k", b"new", expected)
        assert await get(store, "k") == KvValue(version, b"new")


async def test_of_many_at_once_one_wins(store: SqliteStore) -> None:
    await put(store, "counter", b"0")
    outcomes = await asyncio.gather(
        *(store.kv_put(KvPut("app", "counter", 1, str(i).encode())) for i in range(20)), return_exceptions=True
    )
    won = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, KvValue)]
    assert len(won) == 1
    assert await get(store, "counter") == KvValue(2, str(won[0]).encode())


async def test_namespaces_do_not_see_each_other(store: SqliteStore) -> None:
    await put(store, "k", b"1", namespace="a")
    await put(store, "k", b"2", namespace="b")
    await store.kv_delete(KvDelete("a", "k", -1))
    assert await get(store, "k", "b") == KvValue(1, b"2")
    assert await keys(store, namespace="a") == []


async def test_keys_are_listed_by_prefix_in_code_point_order(store: SqliteStore) -> None:
    last = "\U0010ffff"
    names = ["a", "a/", "a/1", "a/10", "a/2", "a0", "b", "é", "\ud7ff", "\ue000", "\uffff", "😀", last, last + "x"]
    await asyncio.gather(*(put(store, name, b"1") for name in reversed(names)))
    assert await keys(store) == names
    assert await keys(store, "a/") == ["a/", "a/1", "a/10", "a/2"]
    assert await keys(store, "a/", after="a/1") == ["a/10", "a/2"]
    assert await keys(store, "a/", after="a") == ["a/", "a/1", "a/10", "a/2"]
    assert await keys(store, "a/", limit=2) == ["a/", "a/1"]
    assert await keys(store, "\ud7ff") == ["\ud7ff"]
    assert await keys(store, last) == [last, last + "x"]
    assert await keys(store, "b", after="c") == []
    assert await keys(store, "_") == []


async def test_a_key_or_value_out_of_bounds_is_invalid(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path, max_body_bytes=1000)
    await store.open()
    for key, value in (("", b""), ("k" * 1025, b""), ("é" * 513, b""), ("k", b"x" * 1001)):
        with pytest.raises(RequestRefused, match="invalid"):
            await put(store, key, value)
    await put(store, "k" * 1024, b"x" * 1000)
    await store.close()


@pytest.mark.parametrize("prefix", ["", "a/"])
@pytest.mark.parametrize("after", ["", "a/5"])
def test_a_listing_reads_one_range_of_the_index(tmp_path: Path, prefix: str, after: str) -> None:
    database = Database(tmp_path / "state.sqlite", STATE_APPLICATION_ID, STATE_MIGRATIONS, "normal")
    database.prepare()
    connection: sqlite3.Connection = database.writer()
    statement, values = key_values.listing(KvList("app", prefix, after, 10))
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    connection.close()
    assert len(rows) == 1
    assert "SEARCH key_value USING COVERING INDEX key_value_by_key (namespace=? AND key>" in rows[0][3]
