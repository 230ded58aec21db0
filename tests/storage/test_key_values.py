"""The functions' data: compare-and-set, versions, counters, time to live, listing by prefix."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from actorfaas.batches import packed
from actorfaas.errors import RequestRefused
from actorfaas.messages import AppendHistory, KvCommit, KvCommitted, KvGet, KvList, KvNames, KvValue, KvWrite
from actorfaas.storage import key_values
from actorfaas.storage.database import Database
from actorfaas.storage.schema import STATE_APPLICATION_ID, STATE_MIGRATIONS
from actorfaas.storage.sqlite_store import SqliteStore
from actorfaas.writes import ADD, DELETE, MAX_WRITES, PUT
from tests.storage.samples import Wall, create, event, kv_add, kv_commit, kv_delete, kv_put, kv_write, sqlite_store

CONFLICT = KvCommitted((), conflict=0)


async def put(
    store: SqliteStore, key: str, value: bytes, expected: int = -1, namespace: str = "app", ttl_ms: int = 0
) -> int:
    (version,) = (await store.kv_commit(kv_put(namespace, key, expected, value, ttl_ms))).numbers
    return version


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
    await store.kv_commit(kv_delete("app", "lock", old))
    new = await put(store, "lock", b"theirs", expected=0)
    assert new > old
    assert await store.kv_commit(kv_delete("app", "lock", old)) == CONFLICT
    assert await get(store, "lock") == KvValue(new, b"theirs")


@pytest.mark.parametrize(
    ("exists", "expected", "passes"),
    [(False, -1, True), (False, 0, True), (False, 1, False), (True, -1, True), (True, 0, False), (True, 1, True)],
)
async def test_compare_and_set(store: SqliteStore, exists: bool, expected: int, passes: bool) -> None:
    if exists:
        await put(store, "k", b"old")
    for change in (kv_put("app", "k", expected, b"new"), kv_delete("app", "k", expected)):
        if not passes:
            assert await store.kv_commit(change) == CONFLICT
    assert (await get(store, "k")).payload == (b"old" if exists else b"")
    if passes:
        version = await put(store, "k", b"new", expected)
        assert await get(store, "k") == KvValue(version, b"new")


async def test_of_many_at_once_one_wins(store: SqliteStore) -> None:
    await put(store, "counter", b"0")
    outcomes = await asyncio.gather(*(store.kv_commit(kv_put("app", "counter", 1, str(i).encode())) for i in range(20)))
    won = [i for i, outcome in enumerate(outcomes) if outcome.numbers]
    assert len(won) == 1
    assert await get(store, "counter") == KvValue(2, str(won[0]).encode())


async def test_namespaces_do_not_see_each_other(store: SqliteStore) -> None:
    await put(store, "k", b"1", namespace="a")
    await put(store, "k", b"2", namespace="b")
    await store.kv_commit(kv_delete("a", "k", -1))
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
    statement, values = key_values.listing(KvList("app", prefix, after, 10), 1)
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    connection.close()
    assert len(rows) == 2
    assert "SEARCH key_value USING COVERING INDEX key_value_by_key (namespace=? AND key>" in rows[0][3]
    assert "SEARCH key_value_expiry USING INTEGER PRIMARY KEY" in rows[1][3]


async def test_a_counter_adds_up_whoever_adds(store: SqliteStore) -> None:
    sums = await asyncio.gather(*(store.kv_commit(kv_add("app/counter", "hits", 2)) for _ in range(20)))
    assert sorted(done.numbers[0] for done in sums) == list(range(2, 42, 2))
    assert (await store.kv_commit(kv_add("app/counter", "hits", -50))).numbers == (-10,)
    assert (await get(store, "hits", "app/counter")).payload == b"-10"


async def test_what_is_no_counter_or_would_exceed_it_is_invalid(store: SqliteStore) -> None:
    await put(store, "k", b'"text"')
    await store.kv_commit(kv_add("app", "n", 2**63 - 1))
    for key in ("k", "n"):
        with pytest.raises(RequestRefused, match="invalid"):
            await store.kv_commit(kv_add("app", key, 1))
    assert (await get(store, "n")).payload == b"%d" % (2**63 - 1)


async def test_changes_are_made_together_or_not_at_all(store: SqliteStore) -> None:
    old = await put(store, "a", b"1")
    changes = (kv_write(PUT, "a", old, b"2"), kv_write(PUT, "large", value=b"x" * 500), kv_write(DELETE, "b", 5))
    assert await store.kv_commit(kv_commit(*changes)) == KvCommitted((), conflict=2)
    assert (await get(store, "a"), await keys(store)) == (KvValue(old, b"1"), ["a"])
    done = await store.kv_commit(kv_commit(*changes[:2], kv_write(ADD, "n", amount=3)))
    assert done.numbers == (old + 1, old + 2, 3)
    assert await keys(store) == ["a", "large", "n"]


async def test_a_namespace_is_the_workers_own_or_the_tenants(store: SqliteStore) -> None:
    def change(namespace: str) -> KvCommit:
        return kv_commit(KvWrite(namespace, "k", PUT, -1, 0, 0, b"1"), app="shop")

    for namespace in ("", "/map/m", "@tenant", "@tenant/set/s"):
        await store.kv_commit(change(namespace))
    for namespace in ("bank", "bank/map/m", "@tenants"):
        with pytest.raises(RequestRefused, match="unauthorized"):
            await store.kv_commit(change(namespace))
    found = (await store.kv_names(KvNames("", "", 10))).keys
    assert found == ("@tenant", "@tenant/set/s", "shop", "shop/map/m")
    assert (await store.kv_names(KvNames("shop/map/", "", 10))).keys == ("shop/map/m",)
    assert (await store.kv_names(KvNames("", "@tenant", 1))).keys == ("@tenant/set/s",)


async def test_a_key_is_gone_when_its_time_is_over(store: SqliteStore, wall: Wall, tmp_path: Path) -> None:
    version = await put(store, "k", b"x" * 500, ttl_ms=1000)
    await put(store, "l", b"1")
    wall.ms += 999
    assert (await get(store, "k"), await keys(store)) == (KvValue(version, b"x" * 500), ["k", "l"])
    wall.ms += 1
    assert (await get(store, "k"), await keys(store)) == (KvValue(0, b""), ["l"])
    assert await store.kv_commit(kv_put("app", "k", version, b"2")) == CONFLICT
    pruned = await store.prune()
    assert (pruned.expired_data, (await store.prune()).expired_data) == (1, 0)
    await store.close()
    assert not [path for path in (tmp_path / "payloads").rglob("*") if path.is_file()]


async def test_a_map_whose_keys_have_all_had_their_time_is_not_listed(store: SqliteStore, wall: Wall) -> None:
    for name in ("a", "b", "c"):
        await put(store, "k", b"1", namespace=f"app/map/{name}", ttl_ms=1000)
    await put(store, "l", b"1", namespace="app/map/b")
    wall.ms += 1000
    assert (await store.kv_names(KvNames("app/map/", "", 10))).keys == ("app/map/b",)


async def test_a_key_that_is_put_again_lives_anew(store: SqliteStore, wall: Wall) -> None:
    await put(store, "k", b"1", ttl_ms=1000)
    await put(store, "k", b"2")
    await put(store, "l", b"1", ttl_ms=1000)
    wall.ms += 1000
    assert await put(store, "l", b"2", expected=0) == 4
    await store.prune()
    assert await keys(store) == ["k", "l"]


async def test_what_is_no_batch_of_changes_is_invalid(store: SqliteStore) -> None:
    many = b"".join(packed([kv_write(PUT, "k")]) for _ in range(2))
    for payload in (b"", b"garbage" * 10, many):
        with pytest.raises(RequestRefused, match="invalid"):
            await store.kv_commit(KvCommit("app", True, payload))
    with pytest.raises(RequestRefused, match="invalid"):
        packed(kv_write(PUT, str(number)) for number in range(MAX_WRITES + 1))
    long = replace(kv_write(PUT, "k"), namespace="/map/" + "m" * 600)
    for odd in (kv_write("swap", "k"), kv_write(PUT, "k", ttl_ms=-1), long):
        with pytest.raises(RequestRefused, match="invalid"):
            await store.kv_commit(kv_commit(odd))


async def test_changes_are_committed_with_the_journal_or_neither_is(store: SqliteStore) -> None:
    await store.create_execution(create("ex_1"))
    version = await put(store, "a", b"1")
    changes = packed([kv_write(PUT, "a", version, b"2"), kv_write(PUT, "large", value=b"x" * 500)])
    request = AppendHistory("ex_1", (event(1), event(2, b"y" * 500)), "app", changes)
    await store.append_history(request)
    await store.append_history(request)  # the answer was lost: asked again, it has been done
    assert await get(store, "a") == KvValue(version + 1, b"2")
    assert (await store.get_execution("ex_1")).events == request.events
    later = replace(request, events=(event(3), event(4)))
    with pytest.raises(RequestRefused, match=f"precondition_failed: the key 'a' has version {version + 1}"):
        await store.append_history(later)
    assert (await store.get_execution("ex_1")).events == request.events
    assert await get(store, "a") == KvValue(version + 1, b"2")


@pytest.mark.parametrize(
    "changes",
    [
        b"garbage",
        packed([replace(kv_write(PUT, "k"), namespace="bank")]),
        packed([kv_write(PUT, "k" * 2000)]),
        packed([kv_write(PUT, "fine"), kv_write(ADD, "text", amount=1)]),
    ],
)
async def test_changes_that_cannot_be_made_are_no_fault_of_the_journal(store: SqliteStore, changes: bytes) -> None:
    await store.create_execution(create("ex_1"))
    await put(store, "text", b'"text"')
    with pytest.raises(RequestRefused) as refused:
        await store.append_history(AppendHistory("ex_1", (event(1),), "app", changes))
    assert refused.value.code == "data_refused"
    assert (await store.get_execution("ex_1")).events == ()
    assert await keys(store) == ["text"]
    await store.append_history(AppendHistory("ex_1", (event(1),)))


async def test_a_file_of_changes_that_were_made_before_is_removed(store: SqliteStore, tmp_path: Path) -> None:
    await store.create_execution(create("ex_1"))
    request = AppendHistory("ex_1", (event(1),), "app", packed([kv_write(PUT, "k", value=b"x" * 500)]))
    await asyncio.gather(store.append_history(request), store.append_history(request))
    await store.close()
    assert len([path for path in (tmp_path / "payloads").rglob("*") if path.is_file()]) == 1
