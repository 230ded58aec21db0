"""After restarts, of the ExecutionManager or of others: what was in service is again, what was running goes on."""

from __future__ import annotations

import pytest

from actorfaas.messages import (
    AssignTask,
    ConnectedWorker,
    DeploymentRecord,
    DescribeQueue,
    FunctionStarted,
    GetRoutes,
    KillWorker,
    RoutesChanged,
    StartFunction,
    StartWorkers,
    TopicState,
    UnfinishedExecution,
    WorkerDetached,
)
from tests.actors.manager_node import BUNDLE, FUNCTIONS, WORKFLOWS, Node
from tests.actors_kit import Kit


@pytest.fixture
async def node(kit: Kit) -> Node:
    return await Node(kit).begin()


async def test_a_restarted_manager_adopts_workers_and_continues_executions(kit: Kit) -> None:
    node = Node(kit)
    node.records = [DeploymentRecord("shop", 1, True, 0, BUNDLE, FUNCTIONS, WORKFLOWS)]
    node.topics = (TopicState("a@1", 0, 10, 1, 0),)
    node.workers = (
        ConnectedWorker("a@1_7", "a@1", 7, "fork", "a@1", "busy", "r1", "", 3, 0),
        ConnectedWorker("b@1_8", "b@1", 8, "fork", "", "idle", "", "", 3, 0),
        ConnectedWorker("b@1_9", "b@1", 9, "fork", "", "armed", "e0.x.1", "e0", 3, 0),
    )
    node.unfinished = (UnfinishedExecution("e0", "ab", "shop", 1, "workflow", 0, "", (), b"5"),)
    await node.begin()
    killed = await node.supervisor.expect(KillWorker)
    assert (killed.function_topic, killed.pid) == ("b@1", 9)
    state = await node.frontend.ask("execution_manager", GetRoutes(), RoutesChanged)
    assert {route.name for route in state.routes} == {"a", "b", "ab"}
    starting = await node.queue.expect(AssignTask, lambda task: task.armed)
    assert (starting.execution_id, starting.worker_topic) == ("e0", "b@1_8")
    pool = await node.pool()
    assert "a@1_7" in {worker.worker_topic for worker in pool.workers}


async def test_a_restarted_supervisor_gets_every_function_again(node: Node) -> None:
    await node.deploy()
    worker = await node.report("a@1")
    await node.kit.stop(node.supervisor)
    node.from_queue.tell(WorkerDetached(worker, "a@1", node.pid))
    again = await node.kit.fake("fw_supervisor")
    node.script_supervisor(again)
    started = {(await again.expect(StartWorkers)).function_topic for _ in range(2)}
    assert started == {"a@1", "b@1"}


async def test_a_version_that_cannot_be_started_after_a_restart_is_tried_again(node: Node) -> None:
    await node.deploy()
    await node.kit.stop(node.supervisor)
    again = await node.kit.fake("fw_supervisor")
    for _ in range(3):
        for topic in ("a@1", "b@1"):
            _, sender = await again.expect_ask(StartFunction, lambda one, topic=topic: one.function_topic == topic)  # type: ignore[misc]  # a default binds the loop's variable
            if topic == "b@1":
                sender.refuse("deploy_failed", "it was killed by signal 9 (SIGKILL)")
            else:
                sender.reply(FunctionStarted(topic, 50, True, 1, 0, 0))
    node.script_supervisor(again)
    await again.expect(StartWorkers, lambda one: one.function_topic == "b@1")


async def test_a_local_queue_that_restarts_while_a_template_is_slow_is_attended_to(node: Node) -> None:
    await node.deploy()
    await node.kit.stop(node.supervisor)
    slow = await node.kit.fake("fw_supervisor")
    await slow.expect_ask(StartFunction)  # it takes its time
    await node.kit.stop(node.queue)
    again = await node.kit.fake("local_queue")
    await again.expect(DescribeQueue)
