"""Redrive and cancelling at the ExecutionManager's socket: what is asked for in which order, and what is refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    AppendHistory,
    AssignTask,
    CancelExecution,
    CreateExecution,
    Done,
    DropTopic,
    ExecutionRedriven,
    FinishExecution,
    FunctionStarted,
    GetJournal,
    HistoryEvent,
    Journal,
    Message,
    RecordExecution,
    RedriveExecution,
    Refused,
    ReopenExecution,
    StartFunction,
    UnfinishedExecution,
)
from tests.actors.manager_node import Node
from tests.actors_kit import Kit


def happened(seq: int, type_: str, state: str = "", error: str = "", payload: bytes = b"") -> HistoryEvent:
    return HistoryEvent(seq, 1_000 + seq, type_, state, 1, "", "", 0, 0, 0, 0, error, "", payload)


EVENTS = (
    happened(1, "ExecutionStarted"),
    happened(2, "TaskStateEntered", "a"),
    happened(3, "TaskSucceeded", "a", payload=b"2"),
    happened(4, "TaskStateExited", "a"),
    happened(5, "TaskStateEntered", "b"),
    happened(6, "TaskFailed", "b", "KeyError"),
    happened(7, "ExecutionFailed", "", "KeyError"),
)
EXECUTION = UnfinishedExecution("e1", "ab", "shop", 1, "workflow", 0, "", EVENTS, b"1")
JOURNAL = Journal(EXECUTION, "failed", "standard", 0, 1_000)


@pytest.fixture
async def node(kit: Kit) -> Node:
    made = await Node(kit).begin()
    await made.deploy()
    made.store.answer(GetJournal, JOURNAL)
    made.store.answer(AppendHistory, Done())
    return made


async def redrive(node: Node) -> ExecutionRedriven:
    return await node.frontend.ask("execution_manager", RedriveExecution("e1"), ExecutionRedriven)


async def test_an_execution_goes_on_once_that_is_stored(node: Node) -> None:
    await node.report("b@1")
    asked = asyncio.create_task(redrive(node))
    reopen, ask = await node.store.expect_ask(ReopenExecution)
    assert (reopen.execution_id, reopen.redrive_count, reopen.event.seq) == ("e1", 1, 8)
    assert node.queue.received(AssignTask) == []
    with pytest.raises(RequestRefused, match="is being redriven"):
        await redrive(node)
    ask.reply(Done())
    assert await asked == ExecutionRedriven("e1", 1)
    task = await node.queue.expect(AssignTask)
    assert (task.state, task.payload, task.attempt) == ("b", b"2", 1)
    with pytest.raises(RequestRefused, match="is running"):
        await redrive(node)
    node.finished(task, b"3")
    finish, ask = await node.store.expect_ask(FinishExecution)
    assert (finish.status, finish.payload) == ("succeeded", b"3")


async def test_a_store_that_is_away_is_asked_until_it_is_known(node: Node) -> None:
    await node.report("b@1")
    answers: list[Message] = [Done(), Refused("unavailable", "the disk")]

    def reopen(_: ReopenExecution) -> Message | None:
        return answers.pop()

    node.store.answer(ReopenExecution, reopen)
    with pytest.raises(RequestRefused, match="the disk"):
        await redrive(node)
    assert (await redrive(node)).redrive_count == 1


@pytest.mark.parametrize(
    ("journal", "told"),
    [
        (replace(JOURNAL, status="succeeded"), "has succeeded"),
        (replace(JOURNAL, execution=replace(EXECUTION, version=9)), "no longer stored"),
        (replace(JOURNAL, execution=replace(EXECUTION, name="gone")), "no longer stored"),
        (Refused("not_found", "there is no execution e1"), "there is no execution"),
    ],
)
async def test_refusals_name_the_reason(node: Node, journal: Message, told: str) -> None:
    node.store.answer(GetJournal, journal)
    with pytest.raises(RequestRefused, match=told):
        await redrive(node)
    assert (await node.pool()).running_executions == 0


async def test_a_version_out_of_service_is_started_for_it(node: Node) -> None:
    await node.deploy(sha256="b" * 64)
    await node.queue.expect(DropTopic)
    started: list[str] = []

    def start(asked: StartFunction) -> Message:
        started.append(asked.function_topic)
        return FunctionStarted(asked.function_topic, 50, True, 1, 0, 0)

    node.store.answer(ReopenExecution, Done())
    node.supervisor.answer(StartFunction, start)
    assert (await redrive(node)).redrive_count == 1
    assert started == ["a@1", "b@1"]
    await node.report("b@1")
    assert (await node.queue.expect(AssignTask)).state == "b"


async def test_a_version_that_cannot_be_started_leaves_the_execution_as_it_was(node: Node) -> None:
    await node.deploy(sha256="b" * 64)
    await node.queue.expect(DropTopic)
    node.supervisor.answer(StartFunction, Refused("deploy_failed", "no such module"))
    with pytest.raises(RequestRefused, match="no such module"):
        await redrive(node)
    assert node.store.received(ReopenExecution) == []


async def test_a_cancellation_is_answered_once_it_is_stored(node: Node) -> None:
    node.store.answer(CreateExecution, Done())
    await node.report("a@1")
    await node.start("a", wait_for_commit=True)
    await node.queue.expect(AssignTask)
    cancels = [
        node.frontend.spawn(node.frontend.ask("execution_manager", CancelExecution("e1", ""), Done), "cancel")
        for _ in range(2)
    ]
    _, ask = await node.store.expect_ask(FinishExecution, lambda one: one.status == "cancelled")
    await node.pool()
    assert not any(one.done() for one in cancels)
    assert not node.store.received(RecordExecution)
    ask.reply(Done())
    assert [await one for one in cancels] == [Done(), Done()]
