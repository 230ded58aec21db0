"""What can be watched live, and what is said about it: the node's figures, its workers, executions, logs, the flow.

Each source asks the other actors once for all its viewers. Figures, workers and the states of an execution are told as
rows of which only the changed ones are sent again; docs/http-api.md has the form.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from actorfaas.core.tally import billed
from actorfaas.http import figures, render
from actorfaas.http.feed import Source, Topic
from actorfaas.http.flow import FlowReader
from actorfaas.http.links import DATA_LAYER, EXECUTION_MANAGER, LOCAL_QUEUE, SWAPPER, Links
from actorfaas.http.metrics import Metrics
from actorfaas.http.problems import Problem
from actorfaas.http.visits import Visits
from actorfaas.messages import (
    DescribePool,
    DescribeQueue,
    Executions,
    ExecutionState,
    GetExecution,
    HistoryEvent,
    ListExecutions,
    Logs,
    MeasureMemory,
    MeasurePool,
    MeasureTopics,
    MemoryFigures,
    PoolDescription,
    PoolFigures,
    QueueDescription,
    ReadLogs,
    TopicFigures,
)

WATCHES: dict[str, tuple[str, ...]] = {
    "node": (),
    "workers": (),
    "executions": ("name", "status", "execution_name"),
    "execution": ("execution",),
    "logs": ("function", "request", "execution", "trace"),
    "flow": ("name", "since"),
}
"""Topics by name, with the parameters that say which part of it."""

PAGE = 50
"""Executions in a watched listing: its newest."""

FIRST_STEP, LONG_STEP = 400, 4000
"""Events of an execution that are asked for at once: few first, so that its beginning is seen soon."""

MAX_LINES = 500
"""Log lines told at once, and to a viewer that joins."""

Document = dict[str, Any]  # mixed JSON values
Rows = Mapping[str, Document]


def frame(event: str, document: object) -> bytes:
    """One server-sent event (WHATWG HTML, section 9.2): JSON has no line breaks, so the data is one line."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), orjson.dumps(document))


class Table:
    """Rows by key, and which of them differ from those before."""

    def __init__(self) -> None:
        self._rows: dict[str, bytes] = {}

    def update(self, rows: Rows) -> Document:
        """Take these as all there are; tell the changed ones and the keys of those that are gone."""
        gone = [key for key in self._rows if key not in rows]
        for key in gone:
            del self._rows[key]
        return {**self.add(rows), "gone": gone}

    def add(self, rows: Rows) -> Document:
        """Take these beside those that are there; tell the changed ones."""
        encoded = {key: orjson.dumps(row) for key, row in rows.items()}
        changed = {key: orjson.Fragment(row) for key, row in encoded.items() if self._rows.get(key) != row}
        self._rows |= encoded
        return {"changed": changed, "gone": []}

    def whole(self) -> Document:
        """All rows as changed."""
        return {"changed": {key: orjson.Fragment(row) for key, row in self._rows.items()}, "gone": []}


class _Watch:
    """What all sources have in common: how their frames are called."""

    name = ""
    period_s = 1.0

    def trouble(self, problem: Problem) -> bytes:
        """The problem, with the name of what could not be had."""
        document = {"watch": self.name, "code": problem.code, "status": problem.status, "detail": problem.detail}
        return frame("problem", document)


class _Tabular(_Watch):
    """A head that is told whenever anything is, and tables of which the changes are."""

    def __init__(self) -> None:
        self._head: Document = {}
        self._tables: dict[str, Table] = {}

    def _told(self, head: Document, tables: Mapping[str, Rows]) -> bytes:
        is_first = not self._tables
        changes = {name: self._tables.setdefault(name, Table()).update(rows) for name, rows in tables.items()}
        is_news = is_first or head != self._head or any(one["changed"] or one["gone"] for one in changes.values())
        self._head = head
        return frame(self.name, {"whole": is_first, **head, **changes}) if is_news else b""

    def whole(self) -> bytes:
        """All rows, once there are any."""
        if not self._tables:
            return b""
        tables = {name: table.whole() for name, table in self._tables.items()}
        return frame(self.name, {"whole": True, **self._head, **tables})


class NodeWatch(_Tabular):
    """Sums: calls and tasks by function and start kind, workers by state, memory, queues."""

    name = "node"

    def __init__(self, links: Links, metrics: Metrics, in_flight: Callable[[], int]) -> None:
        super().__init__()
        self._links = links
        self._metrics = metrics
        self._in_flight = in_flight

    async def news(self) -> bytes:
        """Figures since the node's start; rates are differences of two of them."""
        pool, memory, queues = await asyncio.gather(
            self._links.ask(EXECUTION_MANAGER, MeasurePool(), PoolFigures),
            self._links.ask(SWAPPER, MeasureMemory(), MemoryFigures),
            self._links.ask(LOCAL_QUEUE, MeasureTopics(), TopicFigures),
        )
        head = {
            "at_ms": time.time_ns() // 1_000_000,
            "bounds_ms": figures.BOUNDS_MS,
            "in_flight": self._in_flight(),
            "running_executions": pool.running_executions,
            "workers": figures.workers(pool),
            "memory": figures.memory(memory),
        }
        tables = {
            "calls": figures.calls(self._metrics.figures()),
            "tasks": figures.calls(pool.tasks),
            "topics": figures.topics(queues.topics),
            "functions": figures.functions(memory.functions),
        }
        return self._told(head, tables)


class WorkersWatch(_Tabular):
    """Every worker: its function, state and memory."""

    name = "workers"

    def __init__(self, links: Links) -> None:
        super().__init__()
        self._links = links

    async def news(self) -> bytes:
        """What `GET /v1/workers` tells, less what changes all the time by itself."""
        pool, queue = await asyncio.gather(
            self._links.ask(EXECUTION_MANAGER, DescribePool(), PoolDescription),
            self._links.ask(LOCAL_QUEUE, DescribeQueue(), QueueDescription),
        )
        document = render.workers(pool, queue)
        rows = {
            str(worker["worker"]): {name: value for name, value in worker.items() if name not in ("age_ms", "idle_ms")}
            for worker in document.pop("workers")
        }
        del document["topics"]
        return self._told(document, {"workers": rows})


class ExecutionWatch(_Watch):
    """One execution and its states, until it has ended. Of its history only what is new is asked for, a part at a time:
    a long one is told from its beginning on, without holding others up."""

    name = "execution"

    def __init__(self, links: Links, execution_id: str) -> None:
        self._links = links
        self._execution_id = execution_id
        self._visits = Visits()
        self._table = Table()
        self._after_seq = 0
        self._billed_ms = self._billed_mb_ms = 0
        self._head: Document = {}
        self._is_behind = False

    @property
    def period_s(self) -> float:  # type: ignore[override]  # it changes
        """Nothing happens to one that has ended, unless it is started again: then its viewers join anew."""
        if self._is_behind:
            return 0.0
        return 0.5 if self._head.get("status", "running") == "running" else 3600.0

    async def news(self) -> bytes:
        """Its status, and the states that changed; without payloads but its own output."""
        limit = LONG_STEP if self._after_seq else FIRST_STEP
        question = GetExecution(self._execution_id, event_payloads=False, after_seq=self._after_seq, limit=limit)
        state = await self._links.ask(DATA_LAYER, question, ExecutionState)
        is_first = not self._head
        touched = self._take(state.events)
        self._is_behind = len(state.events) == limit
        shown = render.billed_sum(self._billed_ms, self._billed_mb_ms)
        head = render.execution(state if not self._is_behind else replace(state, payload=b"null"), [], shown)
        del head["states"]
        if is_first or head["status"] != self._head["status"]:
            touched |= set(self._visits.open())
        changed = self._table.add(
            {str(number): render.settled(self._visits.all[number], state) for number in sorted(touched)}
        )
        is_news = is_first or bool(changed["changed"]) or head != self._head
        self._head = head
        return frame(self.name, {"whole": is_first, **head, "states": changed}) if is_news else b""

    def whole(self) -> bytes:
        """All its states, once the first are known."""
        if not self._head:
            return b""
        return frame(self.name, {"whole": True, **self._head, "states": self._table.whole()})

    def _take(self, events: Sequence[HistoryEvent]) -> set[int]:
        """Add new events; the visits that they are about."""
        touched = set()
        whole_ms, mb_ms = billed((event.run_ns, event.memory_mb) for event in events)
        self._billed_ms += whole_ms
        self._billed_mb_ms += mb_ms
        for event in events:
            touched.add(self._visits.add(event))
            self._after_seq = event.seq
        return {number for number in touched if number is not None}


class ExecutionsWatch(_Watch):
    """The newest executions, of one name or status or all."""

    name = "executions"

    def __init__(self, links: Links, topic: Topic) -> None:
        self._links = links
        self._question = ListExecutions(
            name=topic.filter("name"),
            status=topic.filter("status"),
            execution_name=topic.filter("execution_name"),
            limit=PAGE,
            cursor="",
        )
        self._last = b""

    async def news(self) -> bytes:
        """The page, if it is another one."""
        page = frame(self.name, render.executions(await self._links.ask(DATA_LAYER, self._question, Executions)))
        if page == self._last:
            return b""
        self._last = page
        return page

    def whole(self) -> bytes:
        """The page as it was last."""
        return self._last


class LogsWatch(_Watch):
    """What functions write."""

    name = "logs"
    period_s = 0.5

    def __init__(self, links: Links, topic: Topic) -> None:
        self._links = links
        self._topic = topic
        self._after_seq = -1
        self._recent: deque[Document] = deque(maxlen=MAX_LINES)

    async def news(self) -> bytes:
        """New lines; when there are more than can be told at once, the newest of them."""
        question = ReadLogs(
            function=self._topic.filter("function"),
            request_id=self._topic.filter("request"),
            execution_id=self._topic.filter("execution"),
            trace_id=self._topic.filter("trace"),
            after_seq=max(self._after_seq, 0),
            limit=MAX_LINES,
            tail=True,
            wait_until_ns=0,
        )
        is_first = self._after_seq < 0
        answer = render.logs(await self._links.ask(DATA_LAYER, question, Logs))
        self._after_seq = int(answer["after"])
        self._recent.extend(answer["lines"])
        return frame(self.name, {"whole": is_first, "lines": answer["lines"]}) if is_first or answer["lines"] else b""

    def whole(self) -> bytes:
        """The last lines, once the first question was answered."""
        return b"" if self._after_seq < 0 else frame(self.name, {"whole": True, "lines": list(self._recent)})


class FlowWatch(_Watch):
    """What calls what, drawn; worked out anew every few seconds."""

    name = "flow"
    period_s = 10.0

    def __init__(self, flow: FlowReader, topic: Topic) -> None:
        self._flow = flow
        self._topic = topic
        self._last = b""

    async def news(self) -> bytes:
        """The flow, if it is another one."""
        since_s = float(self._topic.filter("since") or 0)
        found = await self._flow.read(self._topic.filter("name"), since_s, is_drawn=True)
        before, self._last = self._last, frame(self.name, orjson.Fragment(found))
        return b"" if self._last == before else self._last

    def whole(self) -> bytes:
        """The flow as it was last."""
        return self._last


class Live:
    """Makes the source of a topic."""

    def __init__(self, links: Links, metrics: Metrics, in_flight: Callable[[], int], flow: FlowReader) -> None:
        self._flow = flow
        self._links = links
        self._metrics = metrics
        self._in_flight = in_flight

    def source(self, topic: Topic) -> Source:
        """What tells the news of a topic, which is one of `WATCHES`."""
        match topic.name:
            case "node":
                return NodeWatch(self._links, self._metrics, self._in_flight)
            case "workers":
                return WorkersWatch(self._links)
            case "executions":
                return ExecutionsWatch(self._links, topic)
            case "execution":
                return ExecutionWatch(self._links, topic.filter("execution"))
            case "flow":
                return FlowWatch(self._flow, topic)
            case _:
                return LogsWatch(self._links, topic)
