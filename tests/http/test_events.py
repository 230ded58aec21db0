"""Server-sent events over a real socket: what may be watched, how it is told, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from actorfaas.http import events
from actorfaas.http.feed import MAX_VIEWERS
from actorfaas.messages import Executions, ExecutionSummary, GetExecution, ListExecutions, Refused
from tests.actors_kit import Kit
from tests.frontend_kit import Node, execution_state, frontend
from tests.patience import SLOWNESS

PAGE = Executions((ExecutionSummary("exe_1", "pipeline", 1, "workflow", "running", 1_700_000_000_000, 0),), "")
WATCH = "/v1/events?watch=executions"


@pytest.fixture
async def node(kit: Kit) -> AsyncIterator[Node]:
    async with frontend(kit) as made:
        made.data.answer(ListExecutions, PAGE)
        yield made


class Stream:
    """A response that is read as it comes."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()

    async def event(self) -> list[str]:
        """The lines of the next event."""
        found: list[str] = []
        async with asyncio.timeout(10):
            async for line in self._lines:
                if line.startswith(("event:", "data:")):
                    found.append(line)
                elif found:
                    return found
        raise AssertionError(f"the stream ended: {found}")

    async def end(self) -> None:
        """Read on until it ends."""
        async with asyncio.timeout(10):
            async for _ in self._lines:
                pass


async def test_events_come_as_they_happen_and_end_with_the_viewer(node: Node) -> None:
    async with node.client.stream("GET", WATCH) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-store"
        name, data = await Stream(stream).event()
        assert name == "event: executions"
        assert '"exe_1"' in data
        (watching,) = (task for task in asyncio.all_tasks() if task.get_name().endswith("watch executions"))
    await asyncio.wait((watching,), timeout=10)
    assert watching.cancelled()
    assert not node.frontend.feed.topics


async def test_two_things_at_once_on_one_connection(node: Node) -> None:
    node.data.answer(GetExecution, execution_state("exe_1"))
    async with node.client.stream("GET", WATCH + ",execution&execution=exe_1&name=pipeline") as stream:
        await Stream(stream).event()
        topics = {topic.name: topic.filters for topic in node.frontend.feed.topics}
        assert topics == {"executions": (("name", "pipeline"),), "execution": (("execution", "exe_1"),)}


async def test_what_does_not_exist_is_told_as_a_problem(node: Node) -> None:
    node.data.answer(GetExecution, Refused("not_found", "there is no execution exe_9"))
    async with node.client.stream("GET", "/v1/events?watch=execution&execution=exe_9") as stream:
        name, data = await Stream(stream).event()
    assert name == "event: problem"
    assert '"status":404' in data


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "watch must name"),
        ("?watch=", "watch must name"),
        ("?watch=node,weather", "'weather'"),
        ("?watch=execution", "the id of the execution"),
        ("?watch=executions&status=odd", "status must be one of"),
        ("?watch=flow&since=soon", "since must be a number"),
    ],
)
async def test_what_cannot_be_watched_is_refused(node: Node, query: str, says: str) -> None:
    response = await node.get(f"/v1/events{query}")
    assert response.status_code == 400
    assert says in response.json()["detail"]
    assert not node.frontend.feed.topics


async def test_a_page_of_another_site_may_not_take_a_place(node: Node) -> None:
    response = await node.get(WATCH, sec_fetch_site="cross-site")
    assert response.status_code == 403
    async with node.client.stream("GET", WATCH, headers={"sec-fetch-site": "same-origin"}) as stream:
        assert stream.status_code == 200


async def test_head_does_not_watch(node: Node) -> None:
    response = await node.client.head(WATCH)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert not node.frontend.feed.topics


async def test_too_many_viewers_are_refused_until_one_leaves(node: Node) -> None:
    viewers = [node.frontend.feed.join([]) for _ in range(MAX_VIEWERS)]
    response = await node.get(WATCH)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    node.frontend.feed.leave(viewers[0])
    async with node.client.stream("GET", WATCH) as stream:
        assert stream.status_code == 200


async def test_a_quiet_stream_shows_signs_of_life(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "QUIET_S", 0.01)
    async with node.client.stream("GET", WATCH) as stream, asyncio.timeout(10):
        async for line in stream.aiter_lines():
            if line == ":":
                return
    raise AssertionError("no comment came")


async def test_the_token_is_asked_for(kit: Kit) -> None:
    async with frontend(kit, api_token="secret") as node:
        node.data.answer(ListExecutions, PAGE)
        assert (await node.get(WATCH)).status_code == 401
        async with node.client.stream("GET", WATCH, headers={"authorization": "Bearer secret"}) as stream:
            assert stream.status_code == 200


async def test_a_node_that_stops_ends_its_streams(node: Node) -> None:
    async with node.client.stream("GET", WATCH) as response:
        stream = Stream(response)
        await stream.event()
        node.frontend.links.stop_waiting()
        await stream.end()
    assert not node.frontend.feed.topics


async def test_a_viewer_that_is_dropped_sees_the_end(node: Node) -> None:
    async with node.client.stream("GET", WATCH) as response:
        stream = Stream(response)
        await stream.event()
        (watched,) = node.frontend.feed._watched.values()  # no way in from outside makes a client this slow in time
        for viewer in watched.viewers:
            viewer.is_dropped = True
            viewer.changed.set()
        await stream.end()


async def test_a_viewer_that_never_reads_loses_its_place(kit: Kit) -> None:
    entries = tuple(replace(PAGE.executions[0], execution_id=f"exe_{number}") for number in range(200))
    async with frontend(kit, stall_timeout_s=1.0) as node:
        node.data.answer(ListExecutions, Executions(entries, ""))  # more than fits below, less than stalls a write
        with socket.socket() as viewer:
            viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            viewer.connect(("127.0.0.1", node.port))
            viewer.sendall(f"GET {WATCH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            async with asyncio.timeout(20 * SLOWNESS):
                await _told(node, 1)
                await _told(node, 0)


async def _told(node: Node, viewers: int) -> None:
    """Until so many have a place."""
    while len(node.frontend.feed._viewers) != viewers:  # noqa: ASYNC110  # it has no event; it runs in this very loop
        await asyncio.sleep(0.01)
