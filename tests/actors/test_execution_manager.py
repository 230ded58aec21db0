"""The ExecutionManager over its socket, between scripted peers and (where said) the real LocalQueue."""

from __future__ import annotations

import asyncio

import pytest

from actorfaas.actors import paging
from actorfaas.actors.execution_manager import ExecutionManager
from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    ActivateDeployment,
    ActivityRecords,
    AppendHistory,
    AssignTask,
    BundlePrepared,
    BundleRef,
    CancelExecution,
    ConnectedWorker,
    CreateExecution,
    DeclareTopic,
    Deploy,
    Deployed,
    DeploymentRecord,
    Deployments,
    DeploymentSaved,
    DescribePool,
    DescribeQueue,
    Done,
    DropTopic,
    ExecutionAccepted,
    FinishExecution,
    FunctionSpec,
    FunctionStarted,
    GetRoutes,
    KillWorker,
    ListActivities,
    ListDeployments,
    ListUnfinished,
    MemoryMeasured,
    Message,
    PagingMode,
    PoolDescription,
    PrepareBundle,
    QueueDescription,
    Refused,
    RemoveApp,
    Rollback,
    RoutesChanged,
    SaveDeployment,
    StartExecution,
    StartFunction,
    StartWorkers,
    StopFunction,
    Subscribe,
    TaskFinished,
    TopicState,
    Unfinished,
    UnfinishedExecution,
    Unsubscribe,
    WorkerDetached,
    WorkerReported,
    WorkerStarted,
    WorkflowSpec,
)
from actorfaas.runtime.actor import Connection
from tests.actors_kit import FakePeer, Kit
from tests.core.specs import chain, function, workflow

BUNDLE = BundleRef("shop", "a" * 64, "/bundles/a", "app.py", "/usr/bin/python3")
FUNCTIONS = (function("a"), function("b"))
WORKFLOWS = (workflow("ab", chain("a", "b")),)


class Node:
    """The ExecutionManager's neighbours, scripted: everything succeeds unless a test says otherwise."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.functions: tuple[FunctionSpec, ...] = FUNCTIONS
        self.workflows: tuple[WorkflowSpec, ...] = WORKFLOWS
        self.records: list[DeploymentRecord] = []
        self.unfinished: tuple[UnfinishedExecution, ...] = ()
        self.workers: tuple[ConnectedWorker, ...] = ()
        self.topics: tuple[TopicState, ...] = ()
        self.pid = 100

    async def begin(self) -> Node:
        self.queue = await self.kit.fake("local_queue")
        self.supervisor = await self.kit.fake("fw_supervisor")
        self.store = await self.kit.fake("data_layer")
        self._script_queue(self.queue)
        self._script_supervisor(self.supervisor)
        self._script_store()
        settings = self.kit.configure(journal_delay_ms=0)  # every request of the journal is to be seen
        settings.data_dir.mkdir(exist_ok=True)
        self.manager = await self.kit.start(ExecutionManager(settings))
        self.manager.deployer.drain_poll_s = 0.01
        self.frontend = await self.kit.fake("frontend", peers=("execution_manager",))
        self.from_queue = await self.queue.expect_caller("execution_manager")
        self.from_supervisor = await self.supervisor.expect_caller("execution_manager")
        return self

    def _script_queue(self, queue: FakePeer) -> None:
        queue.answer(DeclareTopic, Done())
        queue.answer(Unsubscribe, Done())
        queue.answer(DescribeQueue, lambda _: QueueDescription(self.topics, self.workers))

    def _script_supervisor(self, supervisor: FakePeer) -> None:
        supervisor.answer(
            PrepareBundle,
            lambda asked: BundlePrepared(
                BundleRef(asked.app, asked.sha256, "/bundles/x", asked.entry, "/usr/bin/python3"),
                self.functions,
                self.workflows,
            ),
        )
        supervisor.answer(StartFunction, lambda asked: FunctionStarted(asked.function_topic, 50, True, 1, 0, 0))
        supervisor.answer(StopFunction, Done())

    def _script_store(self) -> None:
        def save(asked: SaveDeployment) -> Message:
            record = DeploymentRecord(
                asked.bundle.app, len(self.records) + 1, False, 0, asked.bundle, asked.functions, asked.workflows
            )
            self.records.insert(0, record)
            return DeploymentSaved(record.app, record.version)

        self.store.answer(SaveDeployment, save)
        self.store.answer(ActivateDeployment, Done())
        self.store.answer(ListDeployments, lambda _: Deployments(tuple(self.records)))
        self.store.answer(ListActivities, ActivityRecords(()))
        self.store.answer(ListUnfinished, lambda _: Unfinished(self.unfinished))

    async def deploy(self, sha256: str = "a" * 64, app: str = "shop") -> Deployed:
        return await self.frontend.ask("execution_manager", Deploy(app, "x.zip", sha256, "app.py"), Deployed)

    async def report(self, function_topic: str) -> str:
        """A worker that was asked for is there."""
        self.pid += 1
        worker = f"{function_topic}_{self.pid}"
        self.from_supervisor.tell(WorkerStarted(function_topic, worker, self.pid, "fork", 0))
        self.from_queue.tell(WorkerReported(worker, function_topic, self.pid, "fork"))
        return worker

    async def start(self, name: str, execution_id: str = "e1", **changes: object) -> ExecutionAccepted:
        fields: dict[str, object] = {
            "durability": "standard",
            "strategy": "auto",
            "wait_for_commit": False,
            "timeout_s": 0.0,
            "traceparent": "",
            "payload": b"1",
            **changes,
        }
        start = StartExecution(execution_id, name, **fields)  # type: ignore[arg-type]  # the test's own keywords
        return await self.frontend.ask("execution_manager", start, ExecutionAccepted)

    def finished(self, task: AssignTask, payload: bytes, handed_to: str = "") -> None:
        """A worker returns."""
        now_ns = self.manager.clock.monotonic_ns()
        self.from_queue.tell(
            TaskFinished(
                task.worker_topic,
                task.task_id,
                task.execution_id,
                task.state,
                task.attempt,
                handed_to,
                "resident",
                now_ns,
                now_ns + 1000,
                now_ns + 2000,
                len(payload),
                payload,
            )
        )

    async def pool(self) -> PoolDescription:
        return await self.frontend.ask("execution_manager", DescribePool(), PoolDescription)


@pytest.fixture
async def node(kit: Kit) -> Node:
    return await Node(kit).begin()


async def test_a_deployment_is_stored_started_and_told(node: Node) -> None:
    before = await node.frontend.ask("execution_manager", GetRoutes(), RoutesChanged)
    assert before.routes == ()
    deployed = await node.deploy()
    assert deployed == Deployed("shop", 1, ("a", "b"), ("ab",), ())
    told = await node.frontend.expect(RoutesChanged, lambda message: bool(message.routes))
    routes = {route.name: route for route in told.routes}
    assert routes["a"].topic == "a@1"
    assert (routes["ab"].kind, routes["ab"].topic, routes["ab"].durability) == ("workflow", "", "standard")
    assert routes["ab"].timeout_s == 60.0
    started = [await node.supervisor.expect(StartWorkers) for _ in range(2)]
    assert {(one.function_topic, one.count) for one in started} == {("a@1", 1), ("b@1", 1)}


async def test_the_same_code_again_changes_nothing(node: Node) -> None:
    await node.deploy()
    assert (await node.deploy()).version == 1
    assert len(node.records) == 1


async def test_names_of_another_application_are_a_conflict_that_names_it(node: Node) -> None:
    await node.deploy()
    with pytest.raises(RequestRefused, match="'a' belongs to application 'shop'") as refused:
        await node.deploy(app="other", sha256="b" * 64)
    assert refused.value.code == "conflict"


async def test_every_problem_of_a_definition_is_listed(node: Node) -> None:
    node.workflows = (workflow("one", chain("a", "nowhere")), workflow("two", b"{}"))
    with pytest.raises(RequestRefused, match=r"no function 'nowhere'.*at least one state") as refused:
        await node.deploy()
    assert refused.value.code == "invalid"
    assert node.records == []


async def test_a_failing_template_leaves_the_version_before_in_service(node: Node) -> None:
    await node.deploy()
    node.supervisor.answer(StartFunction, Refused("deploy_failed", "Traceback: init failed"))
    with pytest.raises(RequestRefused, match="init failed") as refused:
        await node.deploy(sha256="b" * 64)
    assert refused.value.code == "deploy_failed"
    routes = await node.frontend.ask("execution_manager", GetRoutes(), RoutesChanged)
    assert {route.version for route in routes.routes} == {1}
    dropped = await node.queue.expect(DropTopic)
    assert dropped.topic.endswith("@2")


async def test_a_new_version_takes_over_and_the_one_before_is_stopped_once_quiet(node: Node) -> None:
    await node.deploy()
    node.supervisor.answer(StopFunction, lambda _: None)
    assert (await node.deploy(sha256="b" * 64)).version == 2
    for topic in ("a@1", "b@1"):
        stopped, ask = await node.supervisor.expect_ask(StopFunction)
        assert stopped.function_topic == topic
        ask.reply(Done())
    back = await node.frontend.ask("execution_manager", Rollback("shop", 0), Deployed)
    assert back.version == 1
    routes = await node.frontend.ask("execution_manager", GetRoutes(), RoutesChanged)
    assert {route.version for route in routes.routes} == {1}


async def test_an_application_is_removed(node: Node) -> None:
    await node.deploy()
    await node.frontend.ask("execution_manager", RemoveApp("shop"), Done)
    routes = await node.frontend.ask("execution_manager", GetRoutes(), RoutesChanged)
    assert routes.routes == ()
    with pytest.raises(RequestRefused) as refused:
        await node.frontend.ask("execution_manager", RemoveApp("shop"), Done)
    assert refused.value.code == "not_found"


async def test_a_workflow_is_handed_from_worker_to_worker_and_journalled(node: Node) -> None:
    node.store.answer(CreateExecution, Done())
    node.store.answer(AppendHistory, Done())
    await node.deploy()
    a, b = await node.report("a@1"), await node.report("b@1")
    await node.start("ab")
    armed = await node.queue.expect(AssignTask, lambda task: task.armed)
    first = await node.queue.expect(AssignTask, lambda task: not task.armed)
    assert (first.worker_topic, first.next_topic, first.payload) == (a, b, b"1")
    assert (armed.worker_topic, armed.state, armed.payload) == (b, "b", b"")
    node.finished(first, b"2", handed_to=b)
    node.finished(armed, b"3")
    finish, ask = await node.store.expect_ask(FinishExecution)
    assert (finish.status, finish.payload) == ("succeeded", b"3")
    ask.reply(Done())
    pool = await node.pool()
    assert {worker.state for worker in pool.workers} == {"resident"}
    assert (pool.running_executions, pool.reservations, pool.wrong_guesses) == (0, 1, 0)


async def test_an_accepted_execution_is_on_disk(node: Node) -> None:
    await node.deploy()
    await node.report("a@1")
    waiting = node.frontend.spawn(node.start("a", wait_for_commit=True), "start")
    create, ask = await node.store.expect_ask(CreateExecution)
    assert (create.name, create.kind, create.payload) == ("a", "function", b"1")
    assert not waiting.done()
    assert node.queue.received(AssignTask) == []
    ask.reply(Done())
    assert (await waiting).version == 1
    assert (await node.queue.expect(AssignTask)).state == "a"


async def test_a_cancelled_execution_ends_with_its_worker(node: Node) -> None:
    node.store.answer(CreateExecution, Done())
    await node.deploy()
    await node.report("a@1")
    await node.start("a", durability="express")
    task = await node.queue.expect(AssignTask)
    cancelled = asyncio.create_task(node.frontend.ask("execution_manager", CancelExecution("e1", "enough"), Done))
    killed = await node.supervisor.expect(KillWorker)
    assert task.worker_topic == f"{killed.function_topic}_{killed.pid}"
    finish, ask = await node.store.expect_ask(FinishExecution)
    assert (finish.status, finish.error_message) == ("cancelled", "enough")
    ask.reply(Done())
    await cancelled
    with pytest.raises(RequestRefused) as refused:
        await node.frontend.ask("execution_manager", CancelExecution("e1", "again"), Done)
    assert refused.value.code == "not_found"


async def test_what_has_ended_by_itself_is_not_cancelled(node: Node) -> None:
    node.store.answer(CreateExecution, Done())
    await node.deploy()
    await node.report("a@1")
    await node.start("a", durability="express")
    node.finished(await node.queue.expect(AssignTask), b"2")
    await node.store.expect_ask(FinishExecution)  # and not answered yet
    with pytest.raises(RequestRefused) as refused:
        await node.frontend.ask("execution_manager", CancelExecution("e1", "late"), Done)
    assert refused.value.code == "conflict"


async def test_without_the_data_layer_nothing_durable_is_accepted(node: Node) -> None:
    await node.deploy()
    await node.report("a@1")
    await node.kit.stop(node.store)
    await node.store.until(lambda: not node.manager.is_connected("data_layer") or None, "the end of the connection")
    with pytest.raises(RequestRefused) as refused:
        await node.start("ab")
    assert (refused.value.code, refused.value.retryable) == ("unavailable", True)


async def test_unknown_names_are_refused(node: Node) -> None:
    await node.deploy()
    with pytest.raises(RequestRefused) as refused:
        await node.start("nothing")
    assert refused.value.code == "not_found"


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
    node._script_supervisor(again)
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
    node._script_supervisor(again)
    await again.expect(StartWorkers, lambda one: one.function_topic == "b@1")


async def test_a_message_that_cannot_be_sent_does_not_hold_back_what_follows(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.store.answer(CreateExecution, Done())
    await node.deploy()
    await node.report("a@1")
    await node.report("b@1")
    tell = Connection.tell

    def tell_or_fail(connection: Connection, message: Message) -> None:
        if isinstance(message, AssignTask) and message.armed:
            raise ValueError("it cannot be encoded")
        tell(connection, message)

    monkeypatch.setattr(Connection, "tell", tell_or_fail)
    await node.start("ab")
    await node.pool()
    assert (await node.queue.expect(AssignTask)).state == "a"


async def test_an_idle_worker_is_lent_back_to_its_topic(node: Node) -> None:
    await node.deploy()
    worker = await node.report("a@1")
    lent = await node.queue.expect(Subscribe)
    assert (lent.worker_topic, lent.topic) == (worker, "a@1")


async def test_stopping_lets_the_state_under_way_end_and_be_journalled(node: Node) -> None:
    node.store.answer(CreateExecution, Done())
    await node.deploy()
    await node.report("a@1")
    await node.start("ab")
    task = await node.queue.expect(AssignTask, lambda one: not one.armed)
    stopping = node.frontend.spawn(node.kit.stop(node.manager, 10.0), "stop")
    await asyncio.sleep(0)  # its first step
    with pytest.raises(RequestRefused) as refused:
        await node.start("ab", "e2")
    assert refused.value.code == "stopping"
    node.finished(task, b"2")
    while "TaskSucceeded" not in [event.type for event in (await _appended(node)).events]:
        pass
    await stopping
    assert node.queue.received(AssignTask) == [], "another state began"


async def _appended(node: Node) -> AppendHistory:
    message, ask = await node.store.expect_ask(AppendHistory)
    ask.reply(Done())
    return message


async def test_a_local_queue_that_restarts_while_a_template_is_slow_is_attended_to(node: Node) -> None:
    await node.deploy()
    await node.kit.stop(node.supervisor)
    slow = await node.kit.fake("fw_supervisor")
    await slow.expect_ask(StartFunction)  # it takes its time
    await node.kit.stop(node.queue)
    again = await node.kit.fake("local_queue")
    await again.expect(DescribeQueue)


async def test_what_all_functions_use_is_told_while_the_swapper_is_busy(
    kit: Kit, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "_DESCRIBE_TIMEOUT_S", 0.05)
    swapper = await kit.fake("swapper")
    manager = await swapper.expect_caller("execution_manager")
    manager.tell(PagingMode("outside", "it can", 500))
    manager.tell(MemoryMeasured(300, -1.0, 4000, 1000))
    while (pool := await node.pool()).memory_usage_bytes == 0:
        pass
    assert (pool.memory_usage_bytes, pool.memory_budget_bytes) == (300, 500)
    assert (pool.swap_total_bytes, pool.swap_used_bytes) == (4000, 1000)
