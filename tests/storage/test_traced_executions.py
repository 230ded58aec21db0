"""Executions found by the trace that they were started in."""

from __future__ import annotations

from dataclasses import replace
from sqlite3 import Connection
from types import SimpleNamespace

import pytest

from actorfaas.messages import CreateExecution, HistoryEvent, ReadTraces, RecordExecution
from actorfaas.storage import executions, traced_executions
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import create, event, finish

TRACE = "a" * 32


def traced(execution_id: str, trace: str = TRACE, **changes: object) -> CreateExecution:
    made = replace(create(execution_id), traceparent=f"00-{trace}-{'b' * 16}-01 vendor=value")
    return replace(made, **changes)  # type: ignore[arg-type]  # names are checked by replace


async def test_executions_of_a_trace_come_with_their_events_but_not_with_what_these_carry(store: SqliteStore) -> None:
    await store.create_execution(traced("e1"))
    await store.create_execution(traced("e2", "c" * 32))
    await store.finish_execution(finish("e1", b"output", replace(event(1, b"big"), span_id="d" * 16, memory_mb=256)))
    (found,) = (await store.get_trace(TRACE)).executions
    assert found.traceparent == f"00-{TRACE}-{'b' * 16}-01 vendor=value"
    state = found.state
    assert (state.execution_id, state.name, state.status, state.payload) == ("e1", "flow", "succeeded", b"")
    assert [(one.span_id, one.memory_mb, one.payload) for one in state.events] == [("d" * 16, 256, b"")]


async def test_an_express_execution_that_has_just_ended_is_there(store: SqliteStore) -> None:
    await store.record_execution(RecordExecution(traced("e1", durability="express"), finish("e1", b"1", event(1))))
    (found,) = (await store.get_trace(TRACE)).executions
    assert found.state.durability == "express"


async def test_the_newest_executions_of_traces(store: SqliteStore) -> None:
    for number in range(4):
        await store.create_execution(traced(f"e{number}", name="fg"[number % 2]))
    await store.create_execution(replace(create("outside"), traceparent=""))

    async def ids(name: str = "", since_at_ms: int = 0, limit: int = 100) -> list[str]:
        found = await store.read_traces(ReadTraces(name, since_at_ms, limit))
        return [one.state.execution_id for one in found.executions]

    assert await ids() == ["e0", "e1", "e2", "e3"]
    assert await ids(limit=2) == ["e2", "e3"]
    assert await ids("g") == ["e1", "e3"]
    assert await ids(since_at_ms=1_700_000_000_001) == []


async def test_long_histories_are_not_read_beyond_what_is_told(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def events_alone(connection: Connection, id_: int, limit: int) -> tuple[HistoryEvent, ...]:
        found = executions.events_alone(connection, id_, limit)
        read.append(len(found))
        return found

    monkeypatch.setattr(traced_executions, "PAGE_EVENTS", 3)
    monkeypatch.setattr(traced_executions, "executions", SimpleNamespace(events_alone=events_alone))
    for number in range(2):
        await store.create_execution(traced(f"e{number}"))
        await store.finish_execution(finish(f"e{number}", b"", *(event(seq) for seq in range(1, 9))))
    (found,) = (await store.get_trace(TRACE)).executions
    assert [one.seq for one in found.state.events] == [1, 2, 3]
    assert read == [4, 1]
