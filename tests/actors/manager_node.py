"""An ExecutionManager between scripted actors, for the tests of its parts."""

from __future__ import annotations

from actorfaas.actors.execution_manager import ExecutionManager
from actorfaas.messages import (
    ActivateDeployment,
    ActivityRecords,
    AssignTask,
    BundlePrepared,
    BundleRef,
    ConnectedWorker,
    DeclareTopic,
    Deploy,
    Deployed,
    DeploymentRecord,
    Deployments,
    DeploymentSaved,
    DescribePool,
    DescribeQueue,
    Done,
    ExecutionAccepted,
    FunctionSpec,
    FunctionStarted,
    GetLearned,
    LearnedRecord,
    ListActivities,
    ListDeployments,
    ListUnfinished,
    Message,
    PoolDescription,
    PrepareBundle,
    QueueDescription,
    Refused,
    SaveDeployment,
    SaveLearned,
    StartExecution,
    StartFunction,
    StopFunction,
    TaskFinished,
    TopicState,
    Unfinished,
    UnfinishedExecution,
    Unsubscribe,
    WorkerReported,
    WorkerStarted,
    WorkflowSpec,
)
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
        self.learned: dict[tuple[str, str], bytes] = {}
        self.pid = 100

    async def begin(self) -> Node:
        self.queue = await self.kit.fake("local_queue")
        self.supervisor = await self.kit.fake("fw_supervisor")
        self.store = await self.kit.fake("data_layer")
        self._script_queue(self.queue)
        self.script_supervisor(self.supervisor)
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

    def script_supervisor(self, supervisor: FakePeer) -> None:
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
        self.store.answer(GetLearned, self._get_learned)
        self.store.answer(SaveLearned, self.save_learned)
        self.store.answer(ListUnfinished, lambda _: Unfinished(self.unfinished))

    def _get_learned(self, asked: GetLearned) -> Message:
        record = self.learned.get((asked.topic, asked.kind))
        return LearnedRecord(record) if record else Refused("not_found", "nothing is kept")

    def save_learned(self, asked: SaveLearned) -> Message:
        self.learned[asked.topic, asked.kind] = asked.record
        return Done()

    async def restart(self) -> None:
        """Another ExecutionManager after this one has stopped."""
        await self.kit.stop(self.manager)
        self.manager = await self.kit.start(ExecutionManager(self.kit.settings))
        await self.manager.recovery.loaded.wait()

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
