"""Pages of histories, and what of the rest is told with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import HistoryEvent, HistorySummary, OpenVisit, SummariseHistory
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import append, create, event, finish


def named(seq: int, type_: str, state: str, branch: int = 0, payload: bytes = b"") -> HistoryEvent:
    return replace(event(seq, payload), type=type_, state=state, branch=branch, run_ns=0)


EVENTS = (
    named(1, "MapStateEntered", "each"),
    named(2, "MapRunStarted", "each", payload=b"{}"),
    named(3, "TaskStateEntered", "s", 1),
    named(4, "TaskStateEntered", "s", 2),
    replace(event(5), branch=1, run_ns=1_500_000, memory_mb=512),
    replace(event(6), branch=2, run_ns=1, memory_mb=100, error_message="x"),
    named(7, "TaskStateExited", "s", 2),
    named(8, "TaskStateEntered", "s", 2),
    named(9, "MapIterationSucceeded", "each"),
    named(10, "MapRunSucceeded", "each", payload=b"{}"),
    named(11, "MapStateExited", "each", payload=b"[1]"),
)


@pytest.fixture(params=["standard", "express"])
async def kept(request: pytest.FixtureRequest, store: SqliteStore) -> SqliteStore:
    await store.create_execution(create("ex_1", durability=request.param))
    await store.append_history(append("ex_1", *EVENTS))
    return store


async def test_events_after_one_and_so_many(kept: SqliteStore) -> None:
    async def seqs(after_seq: int, limit: int) -> list[int]:
        found = await kept.get_execution("ex_1", True, after_seq, limit)
        return [one.seq for one in found.events]

    assert await seqs(0, 0) == list(range(1, 12))
    assert await seqs(0, 3) == [1, 2, 3]
    assert await seqs(3, 3) == [4, 5, 6]
    assert await seqs(10, 3) == [11]
    assert await seqs(11, 3) == []


async def test_the_rest_of_a_history(kept: SqliteStore) -> None:
    open_visits = (OpenVisit(0, "each"), OpenVisit(1, "s"), OpenVisit(2, "s"))
    found = await kept.summarise_history(SummariseHistory("ex_1", 4, open_visits))
    assert found == HistorySummary(
        billed_ms=3,
        billed_mb_ms=2 * 512 + 100,
        map_runs=(EVENTS[1], EVENTS[9]),
        closing=tuple(EVENTS[seq - 1] for seq in (5, 6, 7, 10, 11)),
    )
    nothing = await kept.summarise_history(SummariseHistory("ex_1", 4, ()))
    assert nothing.closing == ()


async def test_a_visit_that_began_later_is_another_one(kept: SqliteStore) -> None:
    found = await kept.summarise_history(SummariseHistory("ex_1", 7, (OpenVisit(2, "s"),)))
    assert found.closing == ()


async def test_an_unknown_execution(store: SqliteStore) -> None:
    with pytest.raises(RequestRefused) as raised:
        await store.summarise_history(SummariseHistory("ex_9", 0, ()))
    assert raised.value.code == "not_found"
    await store.create_execution(create("ex_1"))
    await store.finish_execution(finish("ex_1"))
    assert (await store.summarise_history(SummariseHistory("ex_1", 0, ()))).billed_ms == 0
