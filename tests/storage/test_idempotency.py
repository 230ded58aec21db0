"""Idempotency keys: the first one does the work."""

from __future__ import annotations

import asyncio

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import ClaimIdempotencyKey, IdempotencyClaim
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import Wall

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
