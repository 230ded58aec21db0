"""Executions and their histories a page at a time: what to ask for, and what a long one is shown with.

Owns how a page is completed: visits that it leaves open end with later events, and what the whole is billed and its map
runs come from all events. Documents are `http.render`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from actorfaas.http import render
from actorfaas.http.links import DATA_LAYER, EXECUTION_MANAGER, Links
from actorfaas.http.problems import Problem
from actorfaas.http.visits import Visits
from actorfaas.messages import (
    DescribeMapRuns,
    ExecutionState,
    GetExecution,
    HistoryEvent,
    HistorySummary,
    MapRunProgress,
    MapRuns,
    OpenVisit,
    SummariseHistory,
)

Document = dict[str, Any]  # mixed JSON values

PAGE = 1_000
"""Events that a page has where nobody says how many."""
MAX_PAGE = 10_000

_ENDS = {"MapRunSucceeded": "succeeded", "MapRunFailed": "failed"}


@dataclass(frozen=True, slots=True)
class Page:
    """Some of an execution's events, and the cursor of those that follow ("": none)."""

    state: ExecutionState
    cursor: str


async def page_of(links: Links, execution_id: str, after_seq: int, limit: int) -> Page:
    """Ask for a page. Raises Problem."""
    question = GetExecution(execution_id, after_seq=after_seq, limit=limit + 1)
    state = await links.ask(DATA_LAYER, question, ExecutionState)
    if len(state.events) <= limit:
        return Page(state, "")
    events = state.events[:limit]
    return Page(replace(state, events=events), str(events[-1].seq))


async def execution(links: Links, execution_id: str, after_seq: int, limit: int) -> Document:
    """One execution with the states of a page. Raises Problem."""
    page = await page_of(links, execution_id, after_seq, limit)
    is_whole = not after_seq and not page.cursor
    visits = Visits.of(page.state.events, is_first=not after_seq)
    billed, map_runs = render.billed(page.state.events), page.state.events
    if not is_whole:
        summary = await _summary(links, page, visits.all)
        visits.close(summary.closing)
        billed, map_runs = render.billed_sum(summary.billed_ms, summary.billed_mb_ms), summary.map_runs
    shown = _map_runs(map_runs, page.state.status)
    if any(one["status"] == "running" for one in shown.values()):
        await _look(links, execution_id, shown)
    return {
        **render.execution(page.state, visits.all, billed),
        "map_runs": list(shown.values()),
        "next_cursor": page.cursor or None,
    }


async def history(links: Links, execution_id: str, after_seq: int, limit: int) -> Document:
    """One page of the events. Raises Problem."""
    page = await page_of(links, execution_id, after_seq, limit)
    return {**render.history(page.state), "next_cursor": page.cursor or None}


async def _summary(links: Links, page: Page, visits: Iterable[Document]) -> HistorySummary:
    open_visits = tuple(OpenVisit(one["branch"], one["name"]) for one in visits if one["status"] == "running")
    last_seq = page.state.events[-1].seq if page.state.events else 0
    question = SummariseHistory(page.state.execution_id, last_seq, open_visits)
    return await links.ask(DATA_LAYER, question, HistorySummary)


async def _look(links: Links, execution_id: str, shown: dict[str, Document]) -> None:
    """Ask how far the running ones are; what cannot be said now stays unknown."""
    try:
        live = await links.ask(EXECUTION_MANAGER, DescribeMapRuns(execution_id), MapRuns)
    except Problem:
        return
    for one in live.map_runs:
        if one.arn in shown:
            shown[one.arn] |= _progress(one)


def _map_runs(events: Iterable[HistoryEvent], status: str) -> dict[str, Document]:
    """Every map run with what became of its items, as far as events tell it: of one that runs, or was given up with its
    execution, only that."""
    found: dict[str, Document] = {}
    for event in events:
        if not event.type.startswith("MapRun") or not event.payload:
            continue
        details = orjson.loads(event.payload)
        arn = details["MapRunArn"]
        one = found.setdefault(arn, {"arn": arn, "state": event.state, "branch": event.branch, **_unknown(status)})
        if event.type in _ENDS:
            one.update({"status": _ENDS[event.type], "running": 0, **details["ItemCounts"]})
        elif event.type == "MapRunRedriven":
            one.update(_unknown(status))
    return found


def _unknown(status: str) -> Document:
    counts = dict.fromkeys(("total", "pending", "running", "succeeded", "failed", "aborted"))
    return {"status": "running" if status == "running" else "aborted", **counts}


def _progress(one: MapRunProgress) -> Document:
    return {
        "total": one.total,
        "pending": one.pending,
        "running": one.running,
        "succeeded": one.succeeded,
        "failed": one.failed,
        "aborted": 0,
    }
