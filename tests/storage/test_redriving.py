"""Redrive in the store: the journal of one execution, and making it run again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import HistoryEvent, ReopenExecution
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import Wall, append, create, event, finish

LARGE = b"x" * 500


def reopening(count: int = 1, seq: int = 3) -> ReopenExecution:
    redriven = HistoryEvent(seq, 50_000, "ExecutionRedriven", "", count, "", "", 0, 0, 0, 0, "", "", b"")
    return ReopenExecution("ex_1", redriven, count, 60_000)


async def failed(store: SqliteStore, status: str = "failed") -> None:
    await store.create_execution(create("ex_1", LARGE))
    await store.append_history(append("ex_1", event(1, LARGE)))
    await store.finish_execution(finish("ex_1", b"", event(2), status=status, error="KeyError"))


async def test_a_journal_has_what_a_new_engine_needs(store: SqliteStore, wall: Wall) -> None:
    await failed(store)
    journal = await store.get_journal("ex_1")
    assert (journal.status, journal.durability, journal.redrive_count) == ("failed", "standard", 0)
    assert journal.limited_since_ms == wall.ms
    one = journal.execution
    assert (one.name, one.app, one.version, one.deadline_at_ms, one.input) == ("flow", "app", 3, 99, LARGE)
    assert one.events == (event(1, LARGE), event(2))


@pytest.mark.parametrize("status", ["failed", "timed_out", "cancelled"])
async def test_an_execution_runs_again_and_ends_again(store: SqliteStore, status: str) -> None:
    await failed(store, status)
    await store.reopen_execution(reopening())
    running = await store.get_execution("ex_1")
    assert (running.status, running.error_type, running.ended_at_ms) == ("running", "", 0)
    assert (running.redrive_count, running.redriven_at_ms) == (1, 50_000)
    assert running.events[-1] == reopening().event
    (unfinished,) = (await store.list_unfinished("")).executions
    assert (unfinished.deadline_at_ms, len(unfinished.events)) == (60_000, 3)
    await store.finish_execution(finish("ex_1", b"out", event(4)))
    ended = await store.get_execution("ex_1")
    assert (ended.status, ended.payload, len(ended.events)) == ("succeeded", b"out", 4)


async def test_a_repeat_changes_nothing_and_anything_else_is_a_conflict(store: SqliteStore) -> None:
    await failed(store)
    await store.reopen_execution(reopening())
    await store.reopen_execution(reopening())
    assert len((await store.get_execution("ex_1")).events) == 3
    with pytest.raises(RequestRefused, match="conflict"):
        await store.reopen_execution(reopening(count=2))
    await store.finish_execution(finish("ex_1", b"", event(4), status="failed"))
    with pytest.raises(RequestRefused, match="conflict"):
        await store.reopen_execution(reopening())
    await store.reopen_execution(reopening(count=2, seq=5))
    assert (await store.get_journal("ex_1")).limited_since_ms == max(1_700_000_000_000, 50_000)


async def test_what_has_succeeded_stays_so(store: SqliteStore) -> None:
    await failed(store, "succeeded")
    with pytest.raises(RequestRefused, match="conflict"):
        await store.reopen_execution(reopening())
    assert (await store.get_execution("ex_1")).status == "succeeded"


async def test_journals_that_are_not_there(store: SqliteStore) -> None:
    with pytest.raises(RequestRefused, match="not_found"):
        await store.get_journal("ex_9")
    await store.create_execution(replace(create("ex_2"), durability="express"))
    with pytest.raises(RequestRefused, match="express"):
        await store.get_journal("ex_2")
