"""Idempotency keys: the first one does the work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import ClaimIdempotencyKey, IdempotencyClaim, ListExecutions
from actorfaas.storage import executions
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import Wall, create, finish, sqlite_store

DAY_MS = 24 * 3_600_000


async def test_of_many_at_once_one_is_first(store: SqliteStore) -> None:
    claims = await asyncio.gather(
        *(store.claim_idempotency_key(ClaimIdempotencyKey("k", "same", f"ex_{i}")) for i in range(10))
    )
    assert [claim.first for claim in claims].count(True) == 1
    assert {claim.execution_id for claim in claims} == {claims[[c.first for c in claims].index(True)].execution_id}


async def test_another_request_under_the_same_key_is_a_conflict(store: SqliteStore) -> None:
    await store.claim_idempotency_key(ClaimIdempotencyKey("k", "one", "ex_1"))
    with pytest.raises(RequestRefused, match="conflict"):
        await store.claim_idempotency_key(ClaimIdempotencyKey("k", "two", "ex_2"))


async def test_a_key_is_forgotten_after_its_time(store: SqliteStore, wall: Wall) -> None:
    await store.claim_idempotency_key(ClaimIdempotencyKey("k", "one", "ex_1"))
    wall.ms += DAY_MS - 1
    assert (await store.claim_idempotency_key(ClaimIdempotencyKey("k", "one", "ex_2"))).execution_id == "ex_1"
    assert (await store.prune()).idempotency_keys == 0
    wall.ms += 1
    claim = await store.claim_idempotency_key(ClaimIdempotencyKey("k", "two", "ex_3"))
    assert claim == IdempotencyClaim(True, "ex_3")
    wall.ms += DAY_MS
    assert (await store.prune()).idempotency_keys == 1


async def test_an_execution_is_kept_as_long_as_its_key(tmp_path: Path, wall: Wall) -> None:
    """Pruned before, a repeat of the request would run the work again, or find nothing."""
    store = sqlite_store(tmp_path, wall, execution_retention=1)
    await store.open()
    try:
        await store.claim_idempotency_key(ClaimIdempotencyKey("k", "one", "ex_keyed"))
        for execution_id in ("ex_keyed", "ex_1", "ex_2", "ex_3"):
            await store.create_execution(create(execution_id))
            await store.finish_execution(finish(execution_id, b"out"))
        assert (await store.prune()).executions == 2
        assert (await store.get_execution("ex_keyed")).payload == b"out"
        with pytest.raises(RequestRefused, match="not_found"):
            await store.get_execution("ex_2")
        wall.ms += DAY_MS
        pruned = await store.prune()
        assert (pruned.idempotency_keys, pruned.executions) == (1, 1)
        with pytest.raises(RequestRefused, match="not_found"):
            await store.get_execution("ex_keyed")
        assert (await store.get_execution("ex_3")).payload == b"out"
    finally:
        await store.close()


async def test_retention_looks_past_what_keys_keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "PRUNE_LOOK_AT", 3)
    store = sqlite_store(tmp_path, execution_retention=1)
    await store.open()
    try:
        for number in range(12):
            if number < 7:
                await store.claim_idempotency_key(ClaimIdempotencyKey(f"k{number}", "one", f"ex_{number}"))
            await store.create_execution(create(f"ex_{number}"))
            await store.finish_execution(finish(f"ex_{number}"))
        steps = [await store.prune()]
        while steps[-1].more:
            steps.append(await store.prune())
        assert [step.executions for step in steps] == [0, 0, 2, 2]
        page = await store.list_executions(ListExecutions("", "", 100, ""))
        assert [one.execution_id for one in page.executions] == ["ex_11", *(f"ex_{n}" for n in range(6, -1, -1))]
    finally:
        await store.close()


async def test_a_key_lives_until_its_work_has_ended(store: SqliteStore, wall: Wall) -> None:
    await store.claim_idempotency_key(ClaimIdempotencyKey("k", "one", "ex_1"))
    await store.create_execution(create("ex_1"))
    wall.ms += 2 * DAY_MS
    assert (await store.prune()).idempotency_keys == 0
    claim = await store.claim_idempotency_key(ClaimIdempotencyKey("k", "one", "ex_2"))
    assert claim == IdempotencyClaim(False, "ex_1")
    await store.finish_execution(finish("ex_1"))
    assert (await store.prune()).idempotency_keys == 1
