"""Calls of traces: found by trace and by function, bounded by count and by age."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from actorfaas.messages import ReadTraces, TracedCall
from actorfaas.storage import traced_calls
from actorfaas.storage.database import Database
from actorfaas.storage.schema import LOGS_APPLICATION_ID, LOGS_MIGRATIONS
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import Wall, sqlite_store

CALL = TracedCall(
    *("a" * 32, "b" * 16, "c" * 16, "d" * 16, "req_1", "f", 3, "f@3_7", "fork", 2, 500, "KeyError"),
    *(1_700_000_000_000_000, 1, 2, 3, 4, 5, 6),
)


def call(trace: str, function: str = "f", age_s: float = 0.0) -> TracedCall:
    began_at_us = CALL.began_at_us - int(age_s * 1e6)
    return replace(CALL, trace_id=trace * 32, function=function, began_at_us=began_at_us)


async def test_a_trace_is_read_as_it_was_recorded(store: SqliteStore) -> None:
    await store.record_calls((call("1"), CALL))
    assert (await store.get_trace("a" * 32)).calls == (CALL,)
    assert (await store.get_trace("f" * 32)).calls == ()


async def test_who_asks_at_once_sees_what_was_recorded(store: SqliteStore) -> None:
    recorded = store.record_calls((CALL,))
    assert (await store.get_trace("a" * 32)).calls == (CALL,)
    await recorded


async def test_the_calls_of_a_trace_are_in_the_order_in_which_they_began(store: SqliteStore) -> None:
    inner, outer = call("1", "g", age_s=1), call("1", "f", age_s=2)
    await store.record_calls((inner, outer))  # the inner one ended first
    assert (await store.get_trace("1" * 32)).calls == (outer, inner)


async def test_the_newest_calls(store: SqliteStore) -> None:
    calls = tuple(call(str(number), "fg"[number % 2], age_s=10 - number) for number in range(6))
    await store.record_calls(calls)
    since_at_ms = CALL.began_at_us // 1000 - 8_000
    assert (await store.read_traces(ReadTraces("", 0, 100))).calls == calls
    assert (await store.read_traces(ReadTraces("", 0, 2))).calls == calls[-2:]
    assert (await store.read_traces(ReadTraces("f", 0, 100))).calls == calls[::2]
    assert (await store.read_traces(ReadTraces("", since_at_ms, 100))).calls == calls[2:]


async def test_the_oldest_go_when_there_are_too_many(tmp_path: Path, wall: Wall) -> None:
    store = sqlite_store(tmp_path, wall, trace_retention=3)
    await store.open()
    await store.record_calls(tuple(call(str(number)) for number in range(5)))
    assert (await store.prune()).traced_calls == 2
    left = (await store.read_traces(ReadTraces("", 0, 100))).calls
    assert [one.trace_id[0] for one in left] == ["2", "3", "4"]
    await store.close()


async def test_the_oldest_go_when_they_are_too_old(tmp_path: Path, wall: Wall) -> None:
    store = sqlite_store(tmp_path, wall, trace_hours=1.0)
    await store.open()
    await store.record_calls((call("1", age_s=3601), call("2", age_s=3599)))
    assert (await store.prune()).traced_calls == 1
    wall.ms += 10_000
    assert (await store.prune()).traced_calls == 1
    assert (await store.prune()).traced_calls == 0
    await store.close()


@pytest.mark.parametrize(
    ("function", "index"), [("f", "traced_call_by_function"), ("", "traced_call")], ids=["function", "all"]
)
def test_no_listing_sorts(tmp_path: Path, function: str, index: str) -> None:
    database = Database(tmp_path / "logs.sqlite", LOGS_APPLICATION_ID, LOGS_MIGRATIONS, "normal")
    database.prepare()
    connection = database.writer()
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    traced_calls.newest(connection, function, 0, 10)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statements[0]}").fetchall()
    connection.close()
    assert index in plan[0][3]
    assert not [step for step in plan if "TEMP B-TREE" in step[3]]
