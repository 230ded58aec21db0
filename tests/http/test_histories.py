"""Long executions a page at a time: what a page shows, how it is completed, and how far map runs are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from actorfaas.messages import (
    DescribeMapRuns,
    GetExecution,
    HistoryEvent,
    HistorySummary,
    MapRunProgress,
    MapRuns,
    OpenVisit,
    Refused,
    SummariseHistory,
)
from tests.actors_kit import Kit
from tests.frontend_kit import Node, execution_state, frontend, task_event
from tests.http.shapes import check

Json = Any  # a decoded JSON document

ARN = "app:flow:1/each:run"
EVENTS = (
    task_event(1, "", "ExecutionStarted", run_ns=0, payload=b""),
    task_event(2, "each", "MapStateEntered", run_ns=0),
    task_event(3, "each", "MapRunStarted", run_ns=0, payload=orjson.dumps({"MapRunArn": ARN})),
    *(task_event(4 + n, "one", "TaskStateEntered", branch=1 + n, index=n, run_ns=0) for n in range(3)),
    *(task_event(7 + n, "one", branch=1 + n, index=n) for n in range(3)),
    task_event(10, "each", "MapStateExited", run_ns=0, payload=b'"all"'),
)
SUMMARY = HistorySummary(9, 4500, (EVENTS[2],), (EVENTS[7], EVENTS[8], EVENTS[9]))


@pytest.fixture
async def node(kit: Kit) -> AsyncIterator[Node]:
    """A Frontend beside a DataLayer that has the one execution."""

    def page(question: GetExecution) -> Any:  # an ExecutionState
        found = tuple(event for event in EVENTS if event.seq > question.after_seq)
        return execution_state("exe_1", events=found[: question.limit] if question.limit else found)

    async with frontend(kit) as made:
        made.data.answer(GetExecution, page)
        yield made


def brief(found: Json) -> list[tuple[str, int | None, str]]:
    return [(one["name"], one["index"], one["status"]) for one in found["states"]]


async def test_a_short_execution_is_one_page(node: Node) -> None:
    found = (await node.get("/v1/executions/exe_1")).json()
    check(found, "Execution")
    assert found["next_cursor"] is None
    assert len(found["states"]) == 4
    assert found["billed_ms"] == 9
    assert not node.data.received(SummariseHistory)


async def test_what_a_page_leaves_open_is_completed_by_later_events(node: Node) -> None:
    asked: list[SummariseHistory] = []
    node.data.answer(SummariseHistory, lambda question: asked.append(question) or SUMMARY)  # type: ignore[func-returns-value]
    found = (await node.get("/v1/executions/exe_1?limit=7")).json()
    check(found, "Execution")
    assert asked == [SummariseHistory("exe_1", 7, (OpenVisit(0, "each"), OpenVisit(2, "one"), OpenVisit(3, "one")))]
    assert brief(found) == [("each", None, "succeeded"), *(("one", n, "succeeded") for n in range(3))]
    assert found["states"][0]["output"] == '"all"'
    assert (found["next_cursor"], found["billed_ms"], found["billed_gb_s"]) == ("7", 9, 0.004395)


async def test_the_next_page_does_not_repeat_what_began_before(node: Node) -> None:
    node.data.answer(SummariseHistory, replace(SUMMARY, closing=()))
    found = (await node.get("/v1/executions/exe_1?cursor=5&limit=100")).json()
    assert brief(found) == [("one", 2, "succeeded")]
    assert found["next_cursor"] is None


async def test_histories_come_in_pages(node: Node) -> None:
    seen: list[int] = []
    cursor = ""
    while True:
        page = (await node.get(f"/v1/executions/exe_1/history?limit=4&cursor={cursor}")).json()
        check(page, "History")
        seen += [event["seq"] for event in page["events"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == list(range(1, 11))


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "cursor=x", "cursor=-1", "cursor=99999999999"])
async def test_senseless_pages_are_refused(node: Node, query: str) -> None:
    for path in ("/v1/executions/exe_1", "/v1/executions/exe_1/history"):
        assert (await node.get(f"{path}?{query}")).status_code == 400


def with_run(node: Node, status: str, *more: HistoryEvent) -> None:
    state = execution_state("exe_1", status, events=(*EVENTS[:3], *more))
    node.data.answer(GetExecution, state)


async def map_run(node: Node) -> Json:
    found = (await node.get("/v1/executions/exe_1")).json()
    check(found, "Execution")
    (one,) = found["map_runs"]
    return one


async def test_how_far_a_map_run_is(node: Node) -> None:
    with_run(node, "running")
    progress = MapRunProgress(0, "each", ARN, 10, 4, 3, 2, 1)
    node.manager.answer(DescribeMapRuns, MapRuns((progress,)))
    counts = {"total": 10, "pending": 4, "running": 3, "succeeded": 2, "failed": 1, "aborted": 0}
    assert await map_run(node) == {"arn": ARN, "state": "each", "branch": 0, "status": "running", **counts}


@pytest.mark.parametrize(("kind", "status"), [("MapRunSucceeded", "succeeded"), ("MapRunFailed", "failed")])
async def test_what_became_of_a_map_run(node: Node, kind: str, status: str) -> None:
    counts = {"total": 3, "pending": 0, "aborted": 1, "succeeded": 1, "failed": 1}
    payload = orjson.dumps({"MapRunArn": ARN, "ItemCounts": counts})
    with_run(node, "failed", task_event(4, "each", kind, payload=payload))
    found = await map_run(node)
    assert found == {"arn": ARN, "state": "each", "branch": 0, "status": status, "running": 0, **counts}


async def test_a_map_run_that_was_given_up_with_its_execution(node: Node) -> None:
    with_run(node, "cancelled")
    found = await map_run(node)
    assert (found["status"], found["total"]) == ("aborted", None)
    assert not node.manager.received(DescribeMapRuns)


async def test_counts_that_cannot_be_had_now_are_unknown(node: Node) -> None:
    with_run(node, "running")
    node.manager.answer(DescribeMapRuns, Refused("stopping", "the node is stopping"))
    found = await map_run(node)
    assert (found["status"], found["running"]) == ("running", None)
