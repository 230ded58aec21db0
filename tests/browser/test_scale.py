"""The page with ten thousand executions, an execution with ten thousand states, and two thousand workers: it shows what
fits, and gets to the rest."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from actorfaas import logs
from actorfaas.config import Settings
from actorfaas.messages import CreateExecution, FinishExecution, HistoryEvent, RecordExecution
from actorfaas.storage.sqlite_store import SqliteStore
from actorfaas.testing import running_node
from tests.browser.conftest import Visits
from tests.browser.pool import pool
from tests.system.kit import Node, eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

EXECUTIONS = 10_000
LONG = "exe_long"
VISITS = 10_000
WORKERS = 2_000


def event(seq: int, kind: str, state: str = "", **changes: Any) -> HistoryEvent:  # Any: of an event's members
    worker = (
        {"worker_topic": "pack@1_7", "start_kind": "resident", "run_ns": 900_000} if kind == "TaskSucceeded" else {}
    )
    values = {
        "attempt": 1,
        "worker_topic": "",
        "start_kind": "",
        "queue_ns": 0,
        "start_ns": 0,
        "run_ns": 0,
        "gap_ns": 0,
    }
    values |= {"error_type": "", "error_message": "", "payload": b"", **worker, **changes}
    return HistoryEvent(seq=seq, at_ms=1_700_000_000_000 + seq, type=kind, state=state, **values)  # type: ignore[arg-type]


def record(execution_id: str, name: str, status: str, events: tuple[HistoryEvent, ...]) -> RecordExecution:
    create = CreateExecution(execution_id, name, "shop", 1, "workflow", "standard", 0, "", b'{"number": 1}')
    return RecordExecution(create, FinishExecution(execution_id, status, "", "", events, b"{}"))


def short(number: int) -> RecordExecution:
    events = (event(1, "ExecutionStarted"), event(2, "ExecutionSucceeded"))
    return record(f"exe_{number:05}", f"flow{number % 10}", "failed" if number % 100 == 0 else "succeeded", events)


def long() -> RecordExecution:
    events = [event(1, "ExecutionStarted"), event(2, "MapStateEntered", "each")]
    for item in range(VISITS - 1):
        branch = {"branch": item + 1, "index": item}
        events.append(event(3 + 2 * item, "TaskStateEntered", "pack", **branch))
        events.append(event(4 + 2 * item, "TaskSucceeded", "pack", payload=b"%d" % item, **branch))
    return record(LONG, "shop", "succeeded", tuple(events))


async def fill(folder: Path) -> None:
    """Store the executions as a node would have."""
    store = SqliteStore(
        Settings(data_dir=folder, sqlite_synchronous="off"), logs.get("test"), lambda: 1_700_000_100_000
    )
    await store.open()
    await asyncio.gather(*(store.record_execution(short(number)) for number in range(EXECUTIONS)))
    await store.record_execution(long())
    await store.close()


@pytest.fixture(scope="module")
def full(chromium: Browser) -> Iterator[Node]:
    """A node that has executed a lot."""
    with tempfile.TemporaryDirectory(prefix="afaas-") as name:
        with ThreadPoolExecutor(1) as aside:  # the browser's interface has an event loop running in this thread
            aside.submit(lambda: asyncio.run(fill(Path(name)))).result()
        with running_node(Path(name)) as running:
            node = Node(running)
            yield node
            node.http.close()


def test_ten_thousand_executions_are_paged_through(visits: Visits, full: Node) -> None:
    page = visits(full.url).open("executions")
    page.get_by_role("link", name=LONG).wait_for()
    rows = page.locator("tbody tr")
    assert rows.count() == 50
    for first in (9950, 9900):
        page.get_by_role("button", name="Older").click()
        page.get_by_role("link", name=f"exe_{first:05}").wait_for()
        assert rows.count() == 50
    page.get_by_role("button", name="Newer").click()
    page.get_by_role("link", name="exe_09999").wait_for(state="detached")
    page.get_by_role("link", name="exe_09950").wait_for()
    page.get_by_label("Status").select_option("failed")
    page.get_by_role("link", name="exe_09900").wait_for()
    assert set(page.locator("tbody .badge").all_inner_texts()) == {"✕ failed"}


def test_an_execution_of_ten_thousand_states_is_paged_through(visits: Visits, full: Node) -> None:
    visit = visits(full.url)
    visit.expected = ("404",)  # nothing is deployed here, so there is no diagram
    page = visit.open(f"executions/{LONG}")
    page.get_by_text(f"1 to 100 of {VISITS:,}").wait_for()
    assert page.locator(".waterfall tbody tr:not(.more)").count() == 100
    page.get_by_role("button", name="Later").click()
    page.get_by_text(f"101 to 200 of {VISITS:,}").wait_for()
    page.locator(".waterfall button").nth(50).click()  # the visit with number 150, of item 149
    page.locator("tr.more pre", has_text="149").wait_for()
    page.get_by_label("Only those that did not succeed").check()
    page.get_by_text("None yet.").wait_for()


def test_two_thousand_workers_are_squares_that_change(visits: Visits) -> None:
    with pool(WORKERS, functions=20) as url:
        visit = visits(url)
        page = visit.open("workers")
        page.get_by_text(f"{WORKERS:,} workers of 20 functions").wait_for()
        squares = page.locator(".pool .worker")
        assert squares.count() == WORKERS
        changing = squares.nth(9)  # the worker with number 180
        for _ in range(2):
            before = changing.get_attribute("class")
            eventually(lambda was=before: changing.get_attribute("class") != was, "another state")  # type: ignore[misc]
        page.locator("summary").first.click()
        page.locator("details tbody tr").first.wait_for()
        assert page.locator("details tbody tr").count() == 50
        page.get_by_role("button", name="Next").click()
        page.locator("details tbody th", has_text=str(20 * 50 + 20)).first.wait_for()
        visit.close()  # before its node ends
