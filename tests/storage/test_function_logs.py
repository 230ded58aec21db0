"""Function log lines: numbering, filters, tails, retention, and the index each filter uses."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from actorfaas.messages import ReadLogs
from actorfaas.storage import function_logs
from actorfaas.storage.database import Database
from actorfaas.storage.schema import LOGS_APPLICATION_ID, LOGS_MIGRATIONS
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import line, read_logs, sqlite_store

LINES = (
    line("0", "f", "req_1"),
    line("1", "g", "req_2", "ex_1"),
    line("2", "f", "req_3", "ex_1"),
    line("3", "f"),
    line("4", "g", "req_1"),
)


async def texts(store: SqliteStore, request: ReadLogs) -> str:
    return "".join(found.text for found in (await store.read_logs(request)).lines)


async def test_lines_are_numbered_and_keep_everything(store: SqliteStore) -> None:
    await store.append_logs(LINES[:2])
    await store.append_logs(LINES[2:])
    found = await store.read_logs(read_logs())
    assert [one.seq for one in found.lines] == [1, 2, 3, 4, 5]
    first = found.lines[0]
    assert (first.at_ms, first.function, first.version, first.request_id, first.pid) == (5, "f", 1, "req_1", 77)
    assert (first.stream, first.level, first.text) == ("stdout", "", "0")
    assert found.after_seq == 5


async def test_filters_narrow_together(store: SqliteStore) -> None:
    await store.append_logs(LINES)
    for filters, expected in (
        (read_logs(), "01234"),
        (read_logs(function="f"), "023"),
        (read_logs(request_id="req_1"), "04"),
        (read_logs(execution_id="ex_1"), "12"),
        (read_logs(function="g", request_id="req_1"), "4"),
        (read_logs(function="f", execution_id="ex_1"), "2"),
        (read_logs(request_id="req_3", execution_id="ex_1", function="f"), "2"),
        (read_logs(request_id="req_1", execution_id="ex_1"), ""),
        (read_logs(after_seq=3), "34"),
        (read_logs(limit=2), "01"),
        (read_logs(limit=2, tail=True), "34"),
        (read_logs(function="f", limit=2, tail=True), "23"),
        (read_logs(function="f", limit=2, tail=True, after_seq=3), "3"),
    ):
        assert await texts(store, filters) == expected, filters


async def test_reading_on_misses_nothing_and_repeats_nothing(store: SqliteStore) -> None:
    await store.append_logs(tuple(line(str(number)) for number in range(10)))
    seen, after = "", 0
    while (page := await store.read_logs(read_logs(after_seq=after, limit=3))).lines:
        seen += "".join(found.text for found in page.lines)
        after = page.after_seq
    assert seen == "0123456789"


async def test_where_to_continue_when_nothing_matches(store: SqliteStore) -> None:
    await store.append_logs(LINES)
    assert (await store.read_logs(read_logs(function="none", after_seq=2))).after_seq == 2
    assert (await store.read_logs(read_logs(function="none", tail=True))).after_seq == 5


async def test_a_page_is_bounded_in_bytes(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_logs, "PAGE_BYTES", 100)
    await store.append_logs(tuple(line(f"{number}" * 40) for number in range(9)))
    page = await store.read_logs(read_logs())
    assert [found.text[0] for found in page.lines] == ["0", "1", "2"]
    assert page.after_seq == 3
    tail = await store.read_logs(read_logs(tail=True))
    assert [found.text[0] for found in tail.lines] == ["6", "7", "8"]


async def test_the_oldest_lines_are_pruned_and_numbers_go_on(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path, log_retention_lines=2)
    await store.open()
    await store.append_logs(LINES)
    assert (await store.prune()).log_lines == 3
    assert await texts(store, read_logs()) == "34"
    assert (await store.prune()).log_lines == 0
    await store.close()
    store = sqlite_store(tmp_path, log_retention_lines=0)
    await store.open()
    assert (await store.prune()).log_lines == 2
    await store.append_logs((line("5"),))
    assert [found.seq for found in (await store.read_logs(read_logs())).lines] == [6]
    await store.close()


@pytest.mark.parametrize(
    ("function", "request_id", "execution_id", "tail"),
    list(itertools.product(("", "f"), ("", "req_1"), ("", "ex_1"), (False, True))),
)
def test_a_read_uses_the_index_of_its_narrowest_filter(
    tmp_path: Path, function: str, request_id: str, execution_id: str, tail: bool
) -> None:
    database = Database(tmp_path / "logs.sqlite", LOGS_APPLICATION_ID, LOGS_MIGRATIONS, "normal")
    database.prepare()
    connection = database.writer()
    statement, values = function_logs.listing(read_logs(function, request_id, execution_id, 7, 10, tail))
    (row,) = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    connection.close()
    if execution_id:
        assert "log_line_by_execution (execution_id=? AND rowid>?)" in row[3]
    elif request_id:
        assert "log_line_by_request (request_id=? AND rowid>?)" in row[3]
    elif function:
        assert "log_line_by_function (function=? AND rowid>?)" in row[3]
    else:
        assert row[3] == "SEARCH log_line USING INTEGER PRIMARY KEY (rowid>?)"


@pytest.mark.parametrize(
    "filters",
    [read_logs(*given) for given in itertools.product(("", "f"), ("", "req_1", "req_2"), ("", "ex_1"))],
)
async def test_who_is_notified_is_who_would_find_it(store: SqliteStore, filters: ReadLogs) -> None:
    await store.append_logs(LINES)
    matching = "".join(one.text for one in LINES if function_logs.matches(filters, one))
    assert matching == await texts(store, filters)
