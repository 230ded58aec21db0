"""Listings of executions: filters, pages, given names, and that each is a short walk along one index."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import ClaimExecutionName, ListExecutions
from actorfaas.storage import listing
from actorfaas.storage.database import Database
from actorfaas.storage.schema import STATE_APPLICATION_ID, STATE_MIGRATIONS
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import Wall, create, finish


async def test_listings_are_filtered_and_paged_newest_first(store: SqliteStore, wall: Wall) -> None:
    for number in range(20):
        await store.create_execution(create(f"ex_{number}", name=f"n{number % 2}"))
        wall.ms += number % 3  # some begin in the same millisecond
    await asyncio.gather(*(store.finish_execution(finish(f"ex_{number}")) for number in range(0, 20, 5)))

    async def listed(name: str, status: str, limit: int = 3) -> list[int]:
        found: list[int] = []
        cursor = ""
        while True:
            page = await store.list_executions(ListExecutions(name, status, limit, cursor))
            assert len(page.executions) <= limit
            found += [int(one.execution_id.removeprefix("ex_")) for one in page.executions]
            cursor = page.next_cursor
            if not cursor:
                return found

    assert await listed("", "") == list(range(19, -1, -1))
    assert await listed("n1", "") == list(range(19, 0, -2))
    assert await listed("", "succeeded") == [15, 10, 5, 0]
    assert await listed("n0", "succeeded", limit=1) == [10, 0]
    assert await listed("n2", "") == []


async def test_a_page_is_stable_while_executions_start(store: SqliteStore) -> None:
    for number in range(4):
        await store.create_execution(create(f"ex_{number}"))
    first = await store.list_executions(ListExecutions("", "", 2, ""))
    await store.create_execution(create("ex_new"))
    second = await store.list_executions(ListExecutions("", "", 2, first.next_cursor))
    assert [one.execution_id for one in second.executions] == ["ex_1", "ex_0"]


@pytest.mark.parametrize("cursor", ["x", "-1", "1; DROP TABLE execution", "9" * 30])
async def test_a_made_up_cursor_or_status_is_invalid(store: SqliteStore, cursor: str) -> None:
    with pytest.raises(RequestRefused, match="cursor"):
        await store.list_executions(ListExecutions("", "", 2, cursor))
    with pytest.raises(RequestRefused, match="not a status"):
        await store.list_executions(ListExecutions("", cursor, 2, ""))


async def listed(store: SqliteStore, limit: int = 3, **wanted: str | int) -> list[str]:
    """All pages of a listing."""
    found: list[str] = []
    cursor = ""
    while True:
        request = ListExecutions("", "", limit, cursor, **wanted)  # type: ignore[arg-type]  # the test's own keywords
        page = await store.list_executions(request)
        assert len(page.executions) <= limit
        found += [one.execution_id for one in page.executions]
        cursor = page.next_cursor
        if not cursor:
            return found


async def test_executions_of_a_time(store: SqliteStore, wall: Wall) -> None:
    began_ms = wall.ms
    for number in range(10):
        await store.create_execution(create(f"ex_{number}"))
        wall.ms += 10
    assert await listed(store, started_from_ms=began_ms + 70) == ["ex_9", "ex_8", "ex_7"]
    assert await listed(store, started_before_ms=began_ms + 20) == ["ex_1", "ex_0"]
    between = await listed(store, limit=2, started_from_ms=began_ms + 20, started_before_ms=began_ms + 70)
    assert between == ["ex_6", "ex_5", "ex_4", "ex_3", "ex_2"]


async def name(store: SqliteStore, execution_id: str, given: str, workflow: str = "flow") -> None:
    await store.claim_execution_name(ClaimExecutionName(workflow, given, "same", execution_id))
    await store.create_execution(create(execution_id, name=workflow))


@pytest.mark.parametrize("rare", [0, 1, 2, 5, 100])
@pytest.mark.parametrize("through", [1, 3, 7, 1000])
async def test_names_are_found_by_their_beginning(
    store: SqliteStore, wall: Wall, monkeypatch: pytest.MonkeyPatch, rare: int, through: int
) -> None:
    monkeypatch.setattr(listing, "RARE", rare)
    monkeypatch.setattr(listing, "LOOKED_THROUGH", through)
    for number in range(12):
        await store.create_execution(create(f"plain_{number}"))
        wall.ms += number % 2
        await name(store, f"named_{number}", f"{'ab'[number % 2]}-{number}")
    assert await listed(store, execution_name="a-") == [f"named_{number}" for number in range(10, -1, -2)]
    assert await listed(store, execution_name="b-1") == ["named_11", "named_1"]
    assert await listed(store, execution_name="c") == []
    assert (await store.get_execution("named_3")).execution_name == "b-3"
    assert (await store.get_execution("plain_3")).execution_name == ""


async def test_names_are_told_in_listings(store: SqliteStore) -> None:
    await name(store, "ex_1", "Zoë")
    await store.finish_execution(finish("ex_1"))
    (found,) = (await store.list_executions(ListExecutions("flow", "succeeded", 9, "", "Zo"))).executions
    assert found.execution_name == "Zoë"
    assert await listed(store, execution_name="Zoë") == ["ex_1"]


# --- how SQLite carries the queries out --------------------------------------------------------------------------


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    database = Database(tmp_path / "state.sqlite", STATE_APPLICATION_ID, STATE_MIGRATIONS, "normal")
    database.prepare()
    return database.writer()


def plan(connection: sqlite3.Connection, statement: str, values: tuple[int | str, ...]) -> str:
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return "; ".join(row[3] for row in rows)


FORMS = [
    ListExecutions(name_, status, 50, cursor, "", since, before)
    for name_ in ("", "flow")
    for status in ("", "running")
    for cursor in ("", "77.5")
    for since in (0, 5)
    for before in (0, 9)
]


@pytest.mark.parametrize("form", FORMS)
def test_a_listing_walks_one_index_and_sorts_nothing(connection: sqlite3.Connection, form: ListExecutions) -> None:
    statement, values = listing.listing(form)
    found = plan(connection, statement, (*values, 50))
    assert "TEMP B-TREE" not in found
    wanted = {
        ("", ""): "execution_by_start",
        ("flow", ""): "execution_by_name",
        ("", "running"): "execution_by_status",
        ("flow", "running"): "execution_by_name_and_status",
    }[form.name, form.status]
    assert f"USING INDEX {wanted}" in found.replace("COVERING ", "")
    if form != ListExecutions("", "", 50, ""):
        assert "SCAN" not in found


def test_rare_names_are_looked_up_in_their_index(connection: sqlite3.Connection) -> None:
    form = ListExecutions("flow", "running", 50, "77.5", "order-")
    assert "INDEX execution_by_given_name (given_name>" in plan(connection, *_with(listing.looking_up(form), 50))
    assert "INDEX execution_by_given_name (given_name>" in plan(connection, *_with(listing.counting(form), 50))


def _with(query: listing.Query, limit: int) -> tuple[str, tuple[int | str, ...]]:
    return query.statement, (*query.values, limit)
