"""Executions that executions start, and tasks that others answer, as the ExecutionManager carries them out."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    ActivityRecord,
    ActivityRecords,
    ActivityTask,
    AppendHistory,
    AssignTask,
    BeatTask,
    ClaimExecutionName,
    CreateActivity,
    CreateExecution,
    DeleteActivity,
    Done,
    ExecutionNameClaim,
    ExecutionState,
    FinishExecution,
    GetExecution,
    PollActivity,
    Refused,
    StopPolling,
    SucceedTask,
    WaitExecution,
)
from tests.actors.manager_node import Node
from tests.actors_kit import PATIENCE_S, Kit
from tests.core.branching_rig import define
from tests.core.outside_rig import FLOWS
from tests.core.specs import function
from tests.frontend_kit import execution_state

BEFORE = "exe_other.0.5"


@pytest.fixture
async def node(kit: Kit) -> Node:
    made = Node(kit)
    made.functions = (function("a"), function("b"))
    made.workflows = tuple(define(name, definition) for name, definition in FLOWS.items())
    await made.begin()
    for request in (CreateExecution, AppendHistory, FinishExecution):
        made.store.answer(request, Done())
    await made.deploy()
    return made


def child_of(asked: WaitExecution, **changes: object) -> ExecutionState:
    return execution_state(asked.execution_id, **changes)  # type: ignore[arg-type]  # the test's own keywords


async def finished(node: Node, execution_id: str) -> FinishExecution:
    """The end of an execution, as the DataLayer is told."""
    node.store.answer(FinishExecution, lambda _: None)
    finish, ask = await node.store.expect_ask(FinishExecution, lambda one: one.execution_id == execution_id)
    ask.reply(Done())
    return finish


# --- executions that executions start ---------------------------------------------------------------------------------


async def test_a_child_is_created_followed_and_told_of(node: Node) -> None:
    node.store.answer(CreateExecution, lambda _: None)
    await node.report("a@1")
    starting = asyncio.create_task(node.start("reads", "e1", payload=b"5"))
    parent, ask = await node.store.expect_ask(CreateExecution)
    assert parent.execution_id == "e1"
    ask.reply(Done())
    await starting
    child, ask = await node.store.expect_ask(CreateExecution)
    assert (child.name, child.payload, child.durability) == ("child", b"5", "standard")
    assert child.deadline_at_ms, "it has the time limit of its workflow"
    ask.reply(Done())
    waiting, ask = await node.store.expect_ask(WaitExecution)
    assert (waiting.execution_id, waiting.must_exist) == (child.execution_id, True)
    ask.reply(child_of(waiting, payload=b"7"))
    finish = await finished(node, "e1")
    assert orjson.loads(finish.payload)["Output"] == 7


async def test_a_child_that_exists_already_is_followed(node: Node) -> None:
    node.store.answer(
        CreateExecution, lambda asked: Done() if asked.execution_id == "e1" else Refused("conflict", "it exists")
    )
    await node.start("reads", "e1", payload=b"5")
    waiting, ask = await node.store.expect_ask(WaitExecution)
    ask.reply(child_of(waiting, payload=b"7"))
    assert orjson.loads((await finished(node, "e1")).payload)["Output"] == 7


async def test_the_wait_for_a_child_outlasts_its_store_and_its_own_end(node: Node) -> None:
    await node.start("reads", "e1", payload=b"5")
    waiting, ask = await node.store.expect_ask(WaitExecution)
    ask.reply(child_of(waiting, status="running"))
    await node.store.expect(WaitExecution)
    (await node.store.expect_caller("execution_manager")).close()
    waiting, ask = await node.store.expect_ask(WaitExecution)
    ask.reply(Refused("unavailable", "the disk is full", True))
    waiting, ask = await node.store.expect_ask(WaitExecution)
    ask.reply(Refused("not_found", "it is not kept any more"))
    finish = await finished(node, "e1")
    assert finish.error_type == "StepFunctions.ExecutionDoesNotExistException"


@pytest.mark.parametrize(("name", "error"), [("lonely", "StepFunctions.StateMachineDoesNotExistException")])
async def test_what_is_not_there_cannot_be_started(node: Node, name: str, error: str) -> None:
    await node.start(name, "e1")
    assert (await finished(node, "e1")).error_type == error


async def test_what_cannot_be_stored_now_is_started_later(node: Node) -> None:
    refused = iter((Refused("unavailable", "the disk is full", True), Done()))
    node.store.answer(CreateExecution, lambda asked: Done() if asked.execution_id == "e1" else next(refused))
    await node.start("starts", "e1", payload=b"5")
    assert "ExecutionArn" in orjson.loads((await finished(node, "e1")).payload)


@pytest.mark.parametrize("owner", ["", "exe_other"])
async def test_a_name_is_claimed_before_its_execution_begins(node: Node, owner: str) -> None:
    await node.start("named", "e1", payload=b"5")
    claim, ask = await node.store.expect_ask(ClaimExecutionName)
    assert (claim.workflow, claim.name) == ("child", "first")
    ask.reply(Refused("unavailable", "the disk is full", True))
    claim, ask = await node.store.expect_ask(ClaimExecutionName)
    ask.reply(ExecutionNameClaim(not owner, bool(owner), owner or claim.execution_id))
    finish = await finished(node, "e1")
    if owner:
        assert finish.error_type == "StepFunctions.ExecutionAlreadyExistsException"
    else:
        assert orjson.loads(finish.payload)["ExecutionArn"] == claim.execution_id


# --- tokens -----------------------------------------------------------------------------------------------------------


async def asked_of(node: Node) -> str:
    """The token of an execution that waits for an answer."""
    await node.report("a@1")
    await node.start("waiting", "e1")
    task = await node.queue.expect(AssignTask)
    token: str = orjson.loads(task.payload)["token"]
    return token


async def test_an_answer_is_confirmed_once_it_is_on_disk(node: Node) -> None:
    token = await asked_of(node)
    await node.frontend.ask("execution_manager", BeatTask(token), Done)
    node.store.answer(AppendHistory, lambda _: None)
    answering = asyncio.create_task(node.frontend.ask("execution_manager", SucceedTask(token, b"5"), Done))
    append, ask = await node.store.expect_ask(AppendHistory)
    while "TaskSucceeded" not in {event.type for event in append.events}:
        ask.reply(Done())
        append, ask = await node.store.expect_ask(AppendHistory)
    assert not answering.done()
    ask.reply(Done())
    await answering


@pytest.mark.parametrize(
    ("stored", "code"),
    [
        (execution_state("exe_other"), "task_timed_out"),
        (Refused("not_found", "no"), "task_does_not_exist"),
        (Refused("unavailable", "the disk is full", True), "unavailable"),
    ],
)
async def test_of_executions_that_do_not_run_the_data_layer_knows(
    node: Node, stored: ExecutionState | Refused, code: str
) -> None:
    node.store.answer(GetExecution, stored)
    for answer in (BeatTask(BEFORE), SucceedTask(BEFORE, b"1")):
        with pytest.raises(RequestRefused) as refused:
            await node.frontend.ask("execution_manager", answer, Done)
        assert refused.value.code == code


# --- activities -------------------------------------------------------------------------------------------------------


def poll(node: Node, number: int, wait_s: float = 10.0) -> asyncio.Task[ActivityTask]:
    until_ns = node.manager.clock.monotonic_ns() + int(wait_s * 1e9)
    wanted = PollActivity(f"p{number}", "knit", "ada", until_ns)
    return asyncio.create_task(node.frontend.ask("execution_manager", wanted, ActivityTask))


async def polls(node: Node, count: int) -> None:
    """Wait until so many workers wait for a task."""
    async with asyncio.timeout(PATIENCE_S):
        while node.manager.answering.polls != count:  # noqa: ASYNC110  # it has no event; it runs in this very loop
            await asyncio.sleep(0.001)


async def with_activity(node: Node) -> None:
    node.store.answer(CreateActivity, lambda asked: ActivityRecords((ActivityRecord(asked.activity, 1),)))
    made = await node.frontend.ask("execution_manager", CreateActivity("knit"), ActivityRecords)
    assert made == ActivityRecords((ActivityRecord("knit", 1),))


async def test_a_poll_gets_the_next_task(node: Node) -> None:
    await with_activity(node)
    waiting = poll(node, 1)
    await node.start("knitting", "e1", payload=b"5")
    task = await waiting
    assert (task.token.split(".")[0], task.payload) == ("e1", b"5")
    await polls(node, 0)


async def test_a_poll_ends_without_a_task(node: Node) -> None:
    await with_activity(node)
    assert await poll(node, 1, wait_s=0.0) == ActivityTask("", b"")
    waiting = poll(node, 2)
    await polls(node, 1)
    node.frontend.tell("execution_manager", StopPolling("p2"))
    assert await waiting == ActivityTask("", b"")
    with pytest.raises(RequestRefused, match="not_found"):
        await node.frontend.ask("execution_manager", PollActivity("p3", "purl", "", 0), ActivityTask)
    await polls(node, 0)


async def test_polls_end_with_their_activity_and_their_connection(node: Node) -> None:
    await with_activity(node)
    waiting = poll(node, 1)
    await polls(node, 1)
    node.store.answer(DeleteActivity, Done())
    await node.frontend.ask("execution_manager", DeleteActivity("knit"), Done)
    with pytest.raises(RequestRefused, match="was removed"):
        await waiting
    await with_activity(node)
    lost = poll(node, 2)
    await polls(node, 1)
    await node.kit.stop(node.frontend)
    await polls(node, 0)
    await asyncio.gather(lost, return_exceptions=True)


async def test_a_change_that_is_not_stored_is_none(node: Node) -> None:
    node.store.answer(CreateActivity, Refused("unavailable", "the disk is full", True))
    with pytest.raises(RequestRefused, match="unavailable"):
        await node.frontend.ask("execution_manager", CreateActivity("knit"), ActivityRecords)
    with pytest.raises(RequestRefused, match="not_found"):
        await node.frontend.ask("execution_manager", PollActivity("p3", "knit", "", 0), ActivityTask)
