"""What is told about the node, its workers, executions and logs; and what of it is told again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from actorfaas.core.lifecycle import TRANSITIONS
from actorfaas.http.feed import Source, Topic
from actorfaas.http.flow import FlowReader
from actorfaas.http.live import FIRST_STEP, LONG_STEP, MAX_LINES, PAGE, Live, Table
from actorfaas.http.metrics import Metrics
from actorfaas.http.problems import Problem
from actorfaas.messages import (
    CallFigures,
    Deployments,
    DescribePool,
    DescribeQueue,
    Executions,
    ExecutionSummary,
    FunctionMemory,
    GetExecution,
    ListDeployments,
    ListExecutions,
    LogLine,
    Logs,
    MeasureMemory,
    MeasurePool,
    MeasureTopics,
    MemoryFigures,
    PoolDescription,
    PoolFigures,
    QueueDescription,
    ReadLogs,
    ReadTraces,
    StateCount,
    TopicFigures,
    TopicState,
    Trace,
    WorkerState,
)
from tests.actors_kit import FakePeer, Kit
from tests.flow.kit import History
from tests.frontend_kit import Node, execution_state, task_event

Json = Any  # a decoded JSON document

TASK = CallFigures("hello", "resident", 3, 1, 6_000_000, (0,) * 16, 3, 1536)
WORKER = WorkerState("hello@1_7", "hello", 1, 7, "resident", "fork", "hello@1", 1, 2, 10, 0, 4, -1)
LINE = LogLine(5, 1_700_000_000_000, "hello", 1, "r1", "exe_1", 7, "log", "INFO", "one\nline")


def source(node: Node, name: str, *filters: tuple[str, str]) -> Source:
    frontend_ = node.frontend
    flow = FlowReader(frontend_, frontend_.links, frontend_.tracer)
    return Live(frontend_.links, frontend_.metrics, lambda: 2, flow).source(Topic(name, filters))


def read(frame: bytes, event: str) -> Json:
    """The document of a frame that must be one event of this name."""
    assert frame.startswith(b"event: %b\ndata: " % event.encode())
    assert frame.endswith(b"\n\n")
    assert frame.count(b"\n") == 3, "a line break would end the data"
    return orjson.loads(frame.split(b"data: ", 1)[1])


def test_a_table_tells_only_what_changed() -> None:
    table = Table()
    first = table.update({"a": {"n": 1}, "b": {"n": 2}})
    assert orjson.loads(orjson.dumps(first)) == {"changed": {"a": {"n": 1}, "b": {"n": 2}}, "gone": []}
    second = table.update({"a": {"n": 1}, "c": {"n": 3}})
    assert orjson.loads(orjson.dumps(second)) == {"changed": {"c": {"n": 3}}, "gone": ["b"]}
    assert orjson.loads(orjson.dumps(table.whole())) == {"changed": {"a": {"n": 1}, "c": {"n": 3}}, "gone": []}


async def figures(node: Node, kit: Kit) -> FakePeer:
    swapper = await kit.fake("swapper")
    node.manager.answer(MeasurePool, PoolFigures((StateCount("resident", 2),), 4, 0, 0, 0, (TASK,)))
    node.queue.answer(MeasureTopics, TopicFigures((TopicState("hello@1", 4, 1000, 2, 1),)))
    swapper.answer(MeasureMemory, MemoryFigures(7, 20, 40, 3, 1, 2, 100, 50, (FunctionMemory("hello@1", 5, -1),)))
    await node.frontend.wait_for_peer("swapper")
    return swapper


async def test_figures_of_the_node(node: Node, kit: Kit) -> None:
    await figures(node, kit)
    node.frontend.metrics.count("hello", 200, "fork", 1_000_000)
    watch = source(node, "node")
    assert watch.whole() == b""
    told = read(await watch.news(), "node")
    assert told["whole"]
    assert told["calls"]["changed"]["hello fork"]["calls"] == 1
    assert told["tasks"]["changed"]["hello resident"]["failed"] == 1
    assert len(told["tasks"]["changed"]["hello resident"]["buckets"]) == len(told["bounds_ms"]) + 1
    assert told["topics"]["changed"] == {"hello@1": {"waiting": 4, "queue_limit": 1000, "members": 2, "busy": 1}}
    assert told["functions"]["changed"] == {"hello@1": {"usage_bytes": 5, "swap_bytes": None}}
    assert told["workers"] == dict.fromkeys(TRANSITIONS, 0) | {"resident": 2}
    assert (told["in_flight"], told["running_executions"]) == (2, 4)
    assert told["memory"]["budget_bytes"] == 20


async def test_figures_that_did_not_change_are_not_told_again(node: Node, kit: Kit) -> None:
    await figures(node, kit)
    watch = source(node, "node")
    await watch.news()
    node.frontend.metrics.count("hello", 500, "fork", 1_000_000)
    told = read(await watch.news(), "node")
    assert not told["whole"]
    assert list(told["calls"]["changed"]) == ["hello fork"]
    assert told["tasks"] == {"changed": {}, "gone": []}
    assert read(watch.whole(), "node")["tasks"]["changed"]["hello resident"]["calls"] == 3


async def test_what_is_no_longer_deployed_is_gone(node: Node, kit: Kit) -> None:
    await figures(node, kit)
    node.frontend.metrics.count("hello", 200, "fork", 1_000_000)
    watch = source(node, "node")
    await watch.news()
    node.frontend.metrics.forget_except(())
    assert read(await watch.news(), "node")["calls"]["gone"] == ["hello fork"]


async def test_a_part_that_is_restarting_is_a_problem(node: Node) -> None:
    node.manager.answer(MeasurePool, PoolFigures((), 0, 0, 0, 0, ()))
    node.queue.answer(MeasureTopics, TopicFigures(()))
    watch = source(node, "node")
    with pytest.raises(Problem) as caught:  # there is no Swapper
        await watch.news()
    told = read(watch.trouble(caught.value), "problem")
    assert (told["watch"], told["code"], told["status"]) == ("node", "restarting", 503)


async def test_workers_of_whom_nothing_changed_are_not_told_again(node: Node) -> None:
    other = replace(WORKER, worker_topic="hello@1_8", pid=8)
    pools = iter(
        [
            PoolDescription((WORKER, other), 0, 0, 0, "none", "no swap"),
            PoolDescription((replace(WORKER, age_ns=99), other), 0, 0, 0, "none", "no swap"),
            PoolDescription((replace(WORKER, state="swapped"),), 0, 0, 0, "none", "no swap"),
        ]
    )
    node.manager.answer(DescribePool, lambda _: next(pools))
    node.queue.answer(DescribeQueue, QueueDescription((), ()))
    watch = source(node, "workers")
    first = read(await watch.news(), "workers")
    assert first["whole"]
    assert first["paging_sentence"] == "no swap"
    assert first["workers"]["changed"]["hello@1_7"]["usage_bytes"] == 10
    assert await watch.news() == b"", "growing older is no news"
    third = read(await watch.news(), "workers")
    assert [*third["workers"]["changed"]] == ["hello@1_7"]
    assert third["workers"]["gone"] == ["hello@1_8"]


async def test_an_execution_is_told_by_its_states_until_it_ends(node: Node) -> None:
    entered = task_event(2, "second", "TaskStateEntered")
    running = execution_state("exe_1", "running", events=(task_event(1, "first"), entered))
    quiet = replace(running, events=())
    states = iter([running, quiet, execution_state("exe_1", events=(task_event(3, "second"),))])
    node.data.answer(GetExecution, lambda _: next(states))
    watch = source(node, "execution", ("execution", "exe_1"))
    first = read(await watch.news(), "execution")
    assert (first["whole"], first["status"]) == (True, "running")
    assert [visit["status"] for visit in first["states"]["changed"].values()] == ["succeeded", "running"]
    assert await watch.news() == b""
    assert watch.period_s < 1
    last = read(await watch.news(), "execution")
    assert (last["whole"], last["status"], last["output"]) == (False, "succeeded", {"done": 1})
    assert [*last["states"]["changed"]] == ["1"]
    assert watch.period_s > 60, "nobody asks about what has ended"


async def test_an_execution_is_asked_for_without_what_its_states_returned(node: Node) -> None:
    asked: list[GetExecution] = []

    def answer(message: GetExecution) -> Any:
        asked.append(message)
        return execution_state("exe_1")

    node.data.answer(GetExecution, answer)
    await source(node, "execution", ("execution", "exe_1")).news()
    assert asked == [GetExecution("exe_1", event_payloads=False, limit=FIRST_STEP)]


async def test_a_long_execution_is_told_part_by_part(node: Node) -> None:
    events = [task_event(seq, f"s{seq}") for seq in range(1, FIRST_STEP + LONG_STEP + 2)]

    def answer(message: GetExecution) -> Any:
        part = events[message.after_seq : message.after_seq + message.limit]
        return execution_state("exe_1", events=tuple(part))

    node.data.answer(GetExecution, answer)
    watch = source(node, "execution", ("execution", "exe_1"))
    parts: list[Json] = []
    while not parts or watch.period_s == 0:
        parts.append(read(await watch.news(), "execution"))
    assert [len(part["states"]["changed"]) for part in parts] == [FIRST_STEP, LONG_STEP, 1]
    assert [part["whole"] for part in parts] == [True, False, False]
    assert [part["billed_ms"] for part in parts] == [3 * FIRST_STEP, 3 * (FIRST_STEP + LONG_STEP), 3 * len(events)]
    assert [part["output"] for part in parts] == [None, None, {"done": 1}]
    whole = read(watch.whole(), "execution")
    assert [*whole["states"]["changed"]] == [str(number) for number in range(len(events))]


async def test_states_that_are_cut_off_end_with_the_execution_and_go_on_when_it_is_redriven(node: Node) -> None:
    entered = task_event(1, "first", "TaskStateEntered")
    states = iter(
        [
            execution_state("exe_1", "running", events=(entered,)),
            execution_state("exe_1", "cancelled", events=()),
            execution_state("exe_1", "running", events=(task_event(2, "first", "TaskStateRedriven"),)),
        ]
    )
    node.data.answer(GetExecution, lambda _: next(states))
    watch = source(node, "execution", ("execution", "exe_1"))
    told = [read(await watch.news(), "execution")["states"]["changed"]["0"] for _ in range(3)]
    assert [visit["status"] for visit in told] == ["running", "cancelled", "running"]
    assert [visit["ended_at_ms"] for visit in told] == [None, 1_700_000_000_250, None]


async def test_the_newest_executions_are_told_when_they_are_others(node: Node) -> None:
    asked: list[ListExecutions] = []
    page = Executions((ExecutionSummary("exe_1", "pipeline", 1, "workflow", "running", 1_700_000_000_000, 0),), "")

    def answer(message: ListExecutions) -> Executions:
        asked.append(message)
        return page

    node.data.answer(ListExecutions, answer)
    watch = source(node, "executions", ("name", "pipeline"), ("status", "running"), ("execution_name", "order-"))
    told = read(await watch.news(), "executions")
    assert told["executions"][0]["execution_id"] == "exe_1"
    assert asked == [ListExecutions("pipeline", "running", PAGE, "", execution_name="order-")]
    assert await watch.news() == b""
    assert read(watch.whole(), "executions") == told
    page = Executions((), "")
    assert read(await watch.news(), "executions")["executions"] == []


async def test_log_lines_go_on_after_the_last(node: Node) -> None:
    asked: list[ReadLogs] = []
    answers = iter([Logs((), 3), Logs((LINE,), 5), Logs((), 5)])

    def answer(message: ReadLogs) -> Logs:
        asked.append(message)
        return next(answers)

    node.data.answer(ReadLogs, answer)
    watch = source(node, "logs", ("function", "hello"))
    assert read(await watch.news(), "logs") == {"whole": True, "lines": []}
    told = read(await watch.news(), "logs")
    assert (told["whole"], told["lines"][0]["text"]) == (False, "one\nline")
    assert await watch.news() == b""
    assert [(one.after_seq, one.function, one.tail, one.limit) for one in asked] == [
        (0, "hello", True, MAX_LINES),
        (3, "hello", True, MAX_LINES),
        (5, "hello", True, MAX_LINES),
    ]
    assert [line["seq"] for line in read(watch.whole(), "logs")["lines"]] == [5]


def test_metrics_tell_their_figures() -> None:
    metrics = Metrics()
    metrics.count("f", 200, "fork", 1_000_000)
    assert [(one.function, one.start_kind, one.calls) for one in metrics.figures()] == [("f", "fork", 1)]


async def test_the_flow_is_told_drawn_and_only_when_it_is_another_one(node: Node) -> None:
    asked: list[ReadTraces] = []
    history = History("flow")
    history.task(40, "slow", queue=30, run=10)

    def answer(question: ReadTraces) -> Trace:
        asked.append(question)
        return Trace((), (history.ended(),))

    node.data.answer(ReadTraces, answer)
    node.data.answer(ListDeployments, Deployments(()))
    watch = source(node, "flow", ("name", "flow"), ("since", "60"))
    assert watch.whole() == b""
    told = await watch.news()
    assert told.startswith(b"event: flow\ndata: ")
    document = orjson.loads(told.partition(b"data: ")[2])
    assert (document["name"], document["diagram"][:4]) == ("flow", "<svg")
    assert await watch.news() == b""
    assert watch.whole() == told
    assert all(one.since_at_ms > 0 for one in asked)
