"""Executions through the store: journal, result, and that every query is served by an index."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import ListExecutions, RecordExecution
from actorfaas.storage import executions
from actorfaas.storage.database import Database
from actorfaas.storage.schema import STATE_APPLICATION_ID, STATE_MIGRATIONS
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import Wall, append, create, event, finish, sqlite_store


async def test_an_execution_from_start_to_end(store: SqliteStore, wall: Wall) -> None:
    await store.create_execution(create("ex_1", b"in"))
    started_ms = wall.ms
    wall.ms += 5
    running = await store.get_execution("ex_1")
    assert (running.status, running.started_at_ms, running.ended_at_ms) == ("running", started_ms, 0)
    await store.append_history(append("ex_1", event(1, b"a"), event(2)))
    await store.finish_execution(finish("ex_1", b"out", event(3, b"c")))
    ended = await store.get_execution("ex_1")
    assert ended.events == (event(1, b"a"), event(2), event(3, b"c"))
    assert ended == replace(running, status="succeeded", ended_at_ms=wall.ms, events=ended.events, payload=b"out")
    assert (ended.name, ended.app, ended.version, ended.kind, ended.durability) == (
        *("flow", "app", 3, "workflow", "standard"),
    )


@pytest.mark.parametrize("durability", ["standard", "express"])
@pytest.mark.parametrize("payload", [b"in", b"in a file" * 100])
async def test_what_an_execution_was_started_with_is_kept(store: SqliteStore, durability: str, payload: bytes) -> None:
    await store.create_execution(create("ex_1", payload, durability=durability))
    assert (await store.get_input("ex_1")).payload == payload
    await store.finish_execution(finish("ex_1", b"out"))
    await store.list_executions(ListExecutions("", "", 10, ""))  # until then an express one may be in memory still
    assert (await store.get_input("ex_1")).payload == payload


async def test_an_id_is_used_once(store: SqliteStore) -> None:
    await store.create_execution(create("ex_1", b"first"))
    with pytest.raises(RequestRefused, match="conflict"):
        await store.create_execution(create("ex_1", b"second"))
    assert (await store.list_unfinished("")).executions[0].input == b"first"


async def test_history_is_idempotent_by_number(store: SqliteStore) -> None:
    await store.create_execution(create("ex_1"))
    await store.append_history(append("ex_1", event(2, b"first"), event(1)))
    await store.append_history(append("ex_1", event(2, b"second"), event(3)))
    assert (await store.get_execution("ex_1")).events == (event(1), event(2, b"first"), event(3))


async def test_the_branch_of_an_event_is_kept(store: SqliteStore) -> None:
    await store.create_execution(create("ex_1"))
    await store.append_history(append("ex_1", event(1), replace(event(2, b"x"), branch=7, index=3)))
    for events in (await store.get_execution("ex_1")).events, (await store.get_execution("ex_1", False)).events:
        assert [(one.branch, one.index) for one in events] == [(0, -1), (7, 3)]


async def test_what_an_event_tells_of_a_page_in_is_kept(store: SqliteStore) -> None:
    read = replace(event(1), page_in_ns=6, page_in_lead_ns=7, page_in_bytes=8)
    await store.create_execution(create("ex_1"))
    await store.append_history(append("ex_1", read))
    assert (await store.get_execution("ex_1")).events == (read,)


async def test_events_of_a_version_without_branches_are_those_of_the_only_one(tmp_path: Path) -> None:
    old = Database(tmp_path / "state.sqlite", STATE_APPLICATION_ID, STATE_MIGRATIONS[:3], "normal")
    old.prepare()
    connection = old.writer()
    connection.execute(
        "INSERT INTO execution VALUES (1, 'ex_1', 'flow', 'app', 3, 'workflow', 'standard', 0, 0, 5, 0, '', '', '')"
    )
    connection.execute("INSERT INTO execution_input VALUES (1, 'in', NULL)")
    row = (1 << 20 | 1, 1001, "TaskSucceeded", "s", 1, "f@1_22", "fork", 1, 2, 3, 4, "", "", b"a", None)
    connection.execute(f"INSERT INTO event VALUES ({', '.join('?' * len(row))})", row)
    connection.close()
    store = sqlite_store(tmp_path)
    await store.open()
    (found,) = (await store.list_unfinished("")).executions
    await store.close()
    assert found.events == (event(1, b"a"),)
    assert (found.events[0].branch, found.events[0].index) == (0, -1)


async def test_the_first_result_wins(store: SqliteStore) -> None:
    await store.create_execution(create("ex_1"))
    await store.finish_execution(finish("ex_1", b"", event(1), status="failed", error="States.Timeout"))
    await store.finish_execution(finish("ex_1", b"late", event(2)))
    state = await store.get_execution("ex_1")
    assert (state.status, state.error_type, state.error_message) == (
        *("failed", "States.Timeout", "States.Timeout happened"),
    )
    assert (state.payload, state.events) == (b"", (event(1),))


async def test_what_is_not_there_or_makes_no_sense_is_refused(store: SqliteStore) -> None:
    await store.create_execution(create("ex_1"))
    for future, code in (
        (store.append_history(append("ex_9", event(1))), "not_found"),
        (store.finish_execution(finish("ex_9")), "not_found"),
        (store.get_execution("ex_9"), "not_found"),
        (store.get_input("ex_9"), "not_found"),
        (store.finish_execution(finish("ex_1", status="done")), "invalid"),
        (store.append_history(append("ex_1", event(0))), "invalid"),
        (store.append_history(append("ex_1", event(1), event(1 << 20))), "invalid"),
    ):
        with pytest.raises(RequestRefused, match=code):
            await future
    state = await store.get_execution("ex_1")
    assert (state.status, state.events) == ("running", ())


async def test_events_of_neighbours_do_not_mix(store: SqliteStore) -> None:
    for number in (1, 2, 3):
        await store.create_execution(create(f"ex_{number}"))
    await store.append_history(append("ex_1", event((1 << 20) - 1)))
    await store.append_history(append("ex_3", event(1)))
    assert [len((await store.get_execution(f"ex_{number}")).events) for number in (1, 2, 3)] == [1, 0, 1]


async def test_an_execution_is_recorded_whole(store: SqliteStore) -> None:
    whole = RecordExecution(create("ex_1", b"in"), finish("ex_1", b"out", event(1, b"a")))
    await store.record_execution(whole)
    state = await store.get_execution("ex_1")
    assert (state.status, state.payload, state.events) == ("succeeded", b"out", (event(1, b"a"),))
    assert state.started_at_ms == event(1).at_ms
    assert (await store.list_unfinished("")).executions == ()


async def test_recording_again_changes_nothing(store: SqliteStore) -> None:
    await store.record_execution(RecordExecution(create("ex_1", b"in"), finish("ex_1", b"out")))
    await store.record_execution(RecordExecution(create("ex_1", b"in"), finish("ex_1", b"other", status="failed")))
    state = await store.get_execution("ex_1")
    assert (state.status, state.payload) == ("succeeded", b"out")


async def test_recording_ends_an_execution_that_was_created_before(store: SqliteStore) -> None:
    await store.create_execution(create("ex_1", b"in"))
    await store.record_execution(RecordExecution(create("ex_1", b"x" * 600), finish("ex_1", b"out")))
    assert (await store.get_execution("ex_1")).payload == b"out"


async def test_an_express_execution_is_recorded_in_memory_first(store: SqliteStore) -> None:
    await store.record_execution(RecordExecution(create("ex_1", b"in", "express"), finish("ex_1", b"out")))
    assert (await store.get_execution("ex_1")).payload == b"out"
    with pytest.raises(RequestRefused, match="conflict"):
        await store.create_execution(create("ex_1", b"in"))


async def test_unfinished_executions_can_be_continued(store: SqliteStore) -> None:
    for number in range(4):
        await store.create_execution(create(f"ex_{number}", str(number).encode()))
    await store.append_history(append("ex_2", event(1, b"a")))
    await store.finish_execution(finish("ex_1"))
    found = await store.list_unfinished("")
    assert [one.execution_id for one in found.executions] == ["ex_0", "ex_2", "ex_3"]
    one = found.executions[1]
    assert (one.name, one.app, one.version, one.kind) == ("flow", "app", 3, "workflow")
    assert (one.deadline_at_ms, one.traceparent, one.input, one.events) == (99, "00-trace", b"2", (event(1, b"a"),))
    assert found.next_cursor == ""


async def test_unfinished_executions_come_in_pages_of_bounded_size(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorfaas.storage.execution_store.REPLY_BYTES", 1000)
    for number in range(10):
        payload = b"x" * (90 if number % 2 else 600)  # below and above what goes to a file
        await store.create_execution(create(f"ex_{number}", payload))
    seen, cursor, pages = [], "", 0
    while True:
        page = await store.list_unfinished(cursor)
        seen += [one.execution_id for one in page.executions]
        assert sum(len(one.input) for one in page.executions) <= 1000 + 600
        pages += 1
        cursor = page.next_cursor
        if not cursor:
            break
    assert seen == [f"ex_{number}" for number in range(10)]
    assert pages >= 3


# --- how SQLite carries the queries out --------------------------------------------------------------------------


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    database = Database(tmp_path / "state.sqlite", STATE_APPLICATION_ID, STATE_MIGRATIONS, "normal")
    database.prepare()
    return database.writer()


def plan(connection: sqlite3.Connection, statement: str, values: tuple[int | str, ...]) -> str:
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    connection.close()
    return "; ".join(row[3] for row in rows)


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (executions._FIND, ("ex_1",)),
        (executions._STATE, ("ex_1",)),
        (executions._EVENTS, (0, 9)),
        (executions._OUTPUT, (1,)),
    ],
)
def test_a_look_up_scans_nothing(connection: sqlite3.Connection, statement: str, values: tuple[int | str, ...]) -> None:
    found = plan(connection, statement, values)
    assert "SCAN" not in found
    assert "TEMP B-TREE" not in found


def test_what_is_unfinished_is_found_by_its_status(connection: sqlite3.Connection) -> None:
    found = plan(connection, executions._UNFINISHED, (0, 100))
    assert "SCAN" not in found
    assert "USING INDEX execution_by_status (status=?" in found
