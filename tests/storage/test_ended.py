"""What ended, in order, for whoever sends it on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from actorfaas.messages import CreateExecution, ReadEnded, RecordExecution
from actorfaas.storage import ended
from actorfaas.storage.ended import EndedExecutions
from actorfaas.storage.sqlite_store import SqliteStore
from tests.flow.kit import traced_call
from tests.storage.samples import Wall, create, event, finish, sqlite_store


def test_what_ended_comes_in_order_and_in_parts() -> None:
    kept = EndedExecutions(100)
    for name in "abc":
        kept.note(name)
    assert kept.last == 103
    assert kept.after(100, 2) == (101, ("a", "b"), 0)
    assert kept.after(102, 2) == (103, ("c",), 0)
    assert kept.after(103, 2) == (104, (), 0)


def test_what_could_not_be_kept_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "MOST_KEPT", 2)
    kept = EndedExecutions(0)
    for name in "abcde":
        kept.note(name)
    assert kept.after(1, 5) == (4, ("d", "e"), 2)


def test_what_was_counted_before_the_store_was_opened_is_not_taken_for_lost() -> None:
    kept = EndedExecutions(1000)
    kept.note("a")
    assert kept.after(7, 5) == (1001, ("a",), 0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = sqlite_store(tmp_path, otlp_endpoint="http://127.0.0.1:4318/v1/traces", trace_retention=2)
    await made.open()
    yield made
    await made.close()


def traced(execution_id: str, durability: str = "standard") -> CreateExecution:
    return replace(create(execution_id, durability=durability), traceparent=f"00-{'a' * 32}-{'b' * 16}-01")


async def test_calls_and_executions_come_once_as_they_end(store: SqliteStore) -> None:
    await store.record_calls((traced_call(request_id="before"),))
    start = await store.read_ended(ReadEnded(-1, -1))
    assert (start.calls, start.executions, start.missed) == ((), (), 0)
    await store.create_execution(traced("e1"))
    await store.create_execution(traced("e2"))
    await store.create_execution(replace(create("untraced"), traceparent=""))
    for execution_id in ("e2", "untraced"):
        await store.finish_execution(finish(execution_id, b"1", event(1)))
    await store.record_execution(RecordExecution(traced("e3", "express"), finish("e3", b"1", event(1))))
    await store.record_calls((traced_call(request_id="r1"), traced_call(request_id="r2")))
    found = await store.read_ended(ReadEnded(start.last_call, start.last_execution))
    assert [call.request_id for call in found.calls] == ["r1", "r2"]
    assert [(one.state.execution_id, one.state.status) for one in found.executions] == [
        ("e2", "succeeded"),
        ("e3", "succeeded"),
    ]
    assert found.missed == 0
    again = await store.read_ended(ReadEnded(found.last_call, found.last_execution))
    assert (again.calls, again.executions, again.missed) == ((), (), 0)
    assert (again.last_call, again.last_execution) == (found.last_call, found.last_execution)


async def test_an_answer_has_so_many_events(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorfaas.storage.traced_executions.PAGE_EVENTS", 3)
    found = await store.read_ended(ReadEnded(-1, -1))
    for name in ("e1", "e2", "e3"):
        await store.record_execution(RecordExecution(traced(name), finish(name, b"1", event(1), event(2))))
    seen = []
    for _ in range(4):
        found = await store.read_ended(ReadEnded(found.last_call, found.last_execution))
        seen.append([one.state.execution_id for one in found.executions])
    assert seen == [["e1"], ["e2"], ["e3"], []]


async def test_calls_that_were_removed_before_anybody_asked_are_counted(store: SqliteStore) -> None:
    start = await store.read_ended(ReadEnded(-1, -1))
    now_us = Wall().ms * 1000
    for number in range(5):
        await store.record_calls((traced_call(request_id=f"r{number}", began_at_us=now_us),))
    await store.prune()
    found = await store.read_ended(ReadEnded(start.last_call, start.last_execution))
    assert ([call.request_id for call in found.calls], found.missed) == (["r3", "r4"], 3)


async def test_calls_that_are_all_gone_are_counted_once(store: SqliteStore) -> None:
    start = await store.read_ended(ReadEnded(-1, -1))
    for _ in range(3):
        await store.record_calls((traced_call(began_at_us=1),))
    await store.prune()
    found = await store.read_ended(ReadEnded(start.last_call, start.last_execution))
    assert (found.calls, found.missed) == ((), 3)
    later = await store.read_ended(ReadEnded(found.last_call, found.last_execution))
    assert (later.calls, later.missed) == ((), 0)
    begun_anew = await store.read_ended(ReadEnded(-1, -1))
    await store.record_calls((traced_call(),))
    found = await store.read_ended(ReadEnded(begun_anew.last_call, begun_anew.last_execution))
    assert (len(found.calls), found.missed) == (1, 0)


async def test_without_a_collector_nothing_is_remembered(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "other")
    await store.open()
    start = await store.read_ended(ReadEnded(-1, -1))
    await store.record_execution(RecordExecution(traced("e1"), finish("e1", b"1", event(1))))
    found = await store.read_ended(ReadEnded(start.last_call, start.last_execution))
    await store.close()
    assert found.executions == ()
