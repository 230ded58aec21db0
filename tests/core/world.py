"""A node without processes: the ExecutionManager's cores against the real core of the LocalQueue.

Supervisor, workers and DataLayer are played here. Messages travel in queues, one for each direction between two
actors: in order within a queue, in any order between queues, as the test (or hypothesis) chooses. Time moves only
when the test says so. `check` runs every core's invariants.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from actorfaas.core.catalogue import Catalogue
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.effects import Answer, Declare, Ended, Store, TakeBack, Tell
from actorfaas.core.execution import Plan
from actorfaas.core.executions import Executions
from actorfaas.core.facts import Fact, take_in
from actorfaas.core.queue import Close, LocalQueueCore
from actorfaas.core.recruiting import declarations
from actorfaas.messages import (
    AppendHistory,
    AssignTask,
    AttachWorker,
    BundleRef,
    CreateExecution,
    DeclareTopic,
    DropTopic,
    ExecutionAccepted,
    FinishExecution,
    FunctionSpec,
    HistoryEvent,
    InvocationFailed,
    InvocationResult,
    KillWorker,
    Message,
    NewFunctionWorker,
    Publish,
    RecordExecution,
    Refused,
    ReleaseAssignment,
    ReleaseIdle,
    Retire,
    RetireWorker,
    SetNextTopic,
    StartExecution,
    StartWorkers,
    Subscribe,
    Task,
    TaskError,
    TaskFinished,
    TaskResult,
    UnfinishedExecution,
    Unsubscribe,
    WorkerExited,
    WorkerStarted,
    WorkerStartFailed,
    WorkflowSpec,
)

MS = 1_000_000
S = 1_000_000_000


def function(name: str, **changes: object) -> FunctionSpec:
    """A function's spec with the defaults of `api.function`, one warm instance."""
    settings: dict[str, object] = {
        "name": name,
        "module": "app",
        "qualname": name,
        "kind": "sync",
        "strategy": "auto",
        "timeout_s": 30.0,
        "memory_mb": 512,
        "concurrency": 16,
        "queue_limit": 1000,
        "warm": 1,
        "idle_timeout_s": 60.0,
        "retries": 0,
        "retry_delay_s": 0.1,
        "init": "",
        "env": {},
        "description": "",
    }
    return FunctionSpec(**{**settings, **changes})  # type: ignore[arg-type]  # the test's own keywords


def workflow(name: str, definition: bytes, durability: str = "standard", timeout_s: float = 0.0) -> WorkflowSpec:
    """A workflow's spec."""
    return WorkflowSpec(name, definition, durability, timeout_s, "")


def chain(*states: str) -> bytes:
    """The definition that `a >> b` makes; a repeated function is named NAME_2."""
    names: list[str] = []
    for position, state in enumerate(states):
        count = states[: position + 1].count(state)
        names.append(state if count == 1 else f"{state}_{count}")
    parts = []
    for position, (name, state) in enumerate(zip(names, states, strict=True)):
        end = '"End":true' if position + 1 == len(names) else f'"Next":"{names[position + 1]}"'
        parts.append(f'"{name}":{{"Type":"Task","Resource":"{state}",{end}}}')
    return f'{{"StartAt":"{names[0]}","States":{{{",".join(parts)}}}}}'.encode()


class Peer:
    """The name of a place that messages go to."""

    def __init__(self, name: str) -> None:
        self.name = name

    def tell(self, message: Message, /) -> None:
        raise AssertionError("the core sends nothing by itself")


@dataclass
class Instance:
    """A worker process: what it was told and has not done."""

    peer: Peer
    topic: str
    function_topic: str
    pid: int
    tasks: deque[Task] = field(default_factory=deque)
    is_retired: bool = False
    calls: int = 0


@dataclass
class Stored:
    """One execution at the DataLayer."""

    create: CreateExecution
    events: dict[int, HistoryEvent] = field(default_factory=dict)
    finish: FinishExecution | None = None
    finishes: int = 0


class World:
    """See the module's docstring. Queues: to_queue, from_queue, to_supervisor, from_supervisor, to_store."""

    def __init__(self, *, max_workers: int = 64, look_ahead: int = 2) -> None:
        self.now = 1_000 * S
        self.max_workers = max_workers
        self.look_ahead = look_ahead
        self.catalogue = Catalogue(30.0)
        self.bundle = BundleRef("app", "0" * 64, "/bundle", "app.py", "/usr/bin/python3")
        self.manager = Peer("execution_manager")
        self.frontend = Peer("frontend")
        self.pids = itertools.count(100)
        self.queues: dict[str, deque[Message | Callable[[], None]]] = {
            name: deque() for name in ("to_queue", "from_queue", "to_supervisor", "from_supervisor", "to_store")
        }
        self.store: dict[str, Stored] = {}
        self.store_is_up = True
        self.start_fails = False
        self.started_at: list[int] = []
        self.instances: dict[str, Instance] = {}
        self.answers: dict[str, Message] = {}
        self.ended: list[Ended] = []
        self.published: dict[str, InvocationResult | InvocationFailed | None] = {}
        self.handed_over = 0
        self.boots = itertools.count(1)
        self.numbers = itertools.count(1)
        self._new_queue()
        self._new_manager()

    def _new_queue(self) -> None:
        self.queue = LocalQueueCore(self.manager, 5 * MS)

    def _new_manager(self) -> None:
        self.dispatch = Dispatch(self.max_workers)
        self.executions = Executions(self.dispatch, look_ahead=self.look_ahead, boot=f"b{next(self.boots)}")

    # --- what is deployed ----------------------------------------------------------------------------------------

    def deploy(self, *functions: FunctionSpec, workflows: tuple[WorkflowSpec, ...] = ()) -> None:
        """Version 1 of the one application, in service."""
        made = self.catalogue.add(1, self.bundle, functions, workflows)
        self.catalogue.activate(made)
        self._start_functions()

    def _start_functions(self) -> None:
        for made in self.catalogue.versions.values():
            for topic, spec in made.topics():
                self.dispatch.add_pool(topic, spec)
                for declaration in declarations(topic, spec.queue_limit):
                    self.queue.declare(declaration)
        self.dispatch.connected(self.now)
        for made in self.catalogue.versions.values():
            for topic, _ in made.topics():
                self.dispatch.template_ready(topic, True, self.now)
        self.flush()

    def plan(self, name: str) -> Plan:
        plan = self.catalogue.plan(name)
        assert plan is not None
        return plan

    # --- what callers do -----------------------------------------------------------------------------------------

    def start(
        self,
        name: str,
        execution_id: str,
        *,
        durability: str = "standard",
        strategy: str = "auto",
        wait_for_commit: bool = False,
        timeout_s: float = 0.0,
        payload: bytes = b"0",
    ) -> None:
        """Ask for an execution."""
        start = StartExecution(execution_id, name, durability, strategy, wait_for_commit, timeout_s, "", payload)
        plan = self.plan(name)
        refusal = self.executions.refusal(start, plan)
        if refusal is not None:
            self.answers[execution_id] = refusal
        else:
            self.executions.start(start, plan, self.now)
        self.flush()

    def cancel(self, execution_id: str) -> bool:
        """Ask for the end of an execution."""
        done = self.executions.cancel(execution_id, "test", self.now)
        self.flush()
        return done

    def publish(self, topic: str, request_id: str, timeout_s: float = 30.0) -> None:
        """A plain call."""
        self.published[request_id] = None
        request = Publish(topic, request_id, self.now + int(timeout_s * S), 1, 0, False, "", b"1")
        self.queue.publish(self.frontend, request, self.now)
        self._from_queue()

    # --- what workers do -----------------------------------------------------------------------------------------

    def busy(self) -> list[str]:
        """Workers with a task, by topic."""
        return [topic for topic, instance in self.instances.items() if instance.tasks]

    def finish(self, topic: str, payload: bytes = b"") -> None:
        """A worker returns; by default what it was given plus one."""
        instance = self.instances[topic]
        task = instance.tasks.popleft()
        instance.calls += 1
        output = payload or str(int(task.payload) + 1).encode()
        self._say(instance, TaskResult(task.request_id, task.next_topic, self.now, self.now, output))

    def fail(self, topic: str, error_type: str = "ValueError", reason: str = "handler_error") -> None:
        """A handler raises."""
        instance = self.instances[topic]
        task = instance.tasks.popleft()
        error = TaskError(task.request_id, self.now, self.now, reason, error_type, "boom", "", False)
        self._say(instance, error)

    def _say(self, instance: Instance, message: Message) -> None:
        worker = self.queue.worker(instance.peer)
        if worker is not None:
            self.queue.worker_said(worker, message, self.now)
            self._from_queue()

    def disconnect(self, topic: str) -> None:
        """A worker's connection ends, and nobody tells how its process did."""
        self.queue.worker_gone(self.instances.pop(topic).peer, self.now)
        self._from_queue()

    def die(self, topic: str, detail: str = "was killed by signal 9 (SIGKILL)") -> None:
        """A worker process ends; the supervisor reaps it."""
        instance = self.instances.pop(topic, None)
        if instance is None:
            return
        self.queue.worker_gone(instance.peer, self.now)
        exited = WorkerExited(instance.function_topic, topic, instance.pid, -1, 9, detail, 0, 0)
        self.queue.worker_exited(exited, self.now)
        self.queues["from_supervisor"].append(exited)
        self._from_queue()

    # --- messages ------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Put the ExecutionManager's effects on their way."""
        effects = self.dispatch.effects
        while effects:
            effect = effects.pop(0)
            match effect:
                case Tell("local_queue", message):
                    self.queues["to_queue"].append(message)
                case Tell(_, message):
                    self.queues["to_supervisor"].append(message)
                case TakeBack(worker):
                    self.queues["to_queue"].append(Unsubscribe(worker))
                case Declare(declaration):
                    self.queues["to_queue"].append(declaration)
                case Store(execution_id, request):
                    manager = self.executions
                    self.queues["to_store"].append(
                        lambda m=manager, e=execution_id, r=request: self._stored(m, e, r)  # type: ignore[misc]
                    )
                case Answer(execution_id, answer):
                    assert execution_id not in self.answers, f"{execution_id} was answered twice"
                    self.answers[execution_id] = answer
                case Ended():
                    self.ended.append(effect)

    def deliver(self, queue: str) -> bool:
        """Let the first message of a queue arrive. False: it is empty."""
        waiting = self.queues[queue]
        if not waiting:
            return False
        item = waiting.popleft()
        if not isinstance(item, Message):
            item()
        elif queue == "to_queue":
            self._at_queue(item)
        elif queue == "to_supervisor":
            self._at_supervisor(item)
        else:
            self.at_manager(item)
        self._from_queue()
        self.flush()
        self.check()
        return True

    def settle(self, limit: int = 3_000) -> None:
        """Deliver everything that is on its way, queue by queue."""
        for _ in range(limit):
            if sum(self.deliver(name) for name in self.queues) == 0:
                return
        raise AssertionError("messages never end")

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += int(seconds * S)
        self.queue.tick(self.now)
        self._from_queue()
        self.dispatch.tick(self.now)
        self.executions.tick(self.now)
        self.executions.settle(self.now)
        self.flush()
        self.check()

    def check(self) -> None:
        """Every invariant of every core."""
        self.dispatch.check_invariants()
        self.executions.check_invariants()
        self.queue.check_invariants()

    def _at_queue(self, message: Message) -> None:
        queue, now = self.queue, self.now
        match message:
            case AssignTask():
                queue.assign(message, now)
            case SetNextTopic():
                queue.set_next_topic(message)
            case ReleaseAssignment():
                queue.release_assignment(message, now)
            case Subscribe():
                queue.subscribe(message, now)
            case Unsubscribe(worker_topic=worker):
                taken = queue.unsubscribe(worker) == ""
                self.queues["from_queue"].append(lambda: self._taken_back(worker, taken))
            case ReleaseIdle():
                queue.release_idle(message)
            case RetireWorker():
                queue.retire(message.worker_topic, now)
            case DeclareTopic():
                queue.declare(message)
            case DropTopic():
                queue.drop(message, now)
            case _:
                raise AssertionError(f"{message} is not for the LocalQueue")

    def _taken_back(self, worker: str, taken: bool) -> None:
        self.dispatch.taken_back(worker, taken, self.now)
        self.executions.settle(self.now)

    def _at_supervisor(self, message: Message) -> None:
        match message:
            case StartWorkers(function_topic=topic, start_kind=kind, count=count):
                for _ in range(count):
                    self._fork(topic, kind)
            case KillWorker(function_topic=topic, pid=pid):
                self.die(f"{topic}_{pid}")
            case _:
                raise AssertionError(f"{message} is not for the supervisor")

    def _fork(self, topic: str, kind: str) -> None:
        self.started_at.append(self.now)
        if self.start_fails:
            self.queues["from_supervisor"].append(WorkerStartFailed(topic, kind, "no memory"))
            return
        pid = next(self.pids)
        self.now += 1_000
        name = f"{topic}_{pid}"
        instance = Instance(Peer(name), name, topic, pid)
        self.instances[name] = instance
        self.queue.attach(instance.peer, AttachWorker(name, topic, "app", pid, kind), self.now)
        self.queues["from_supervisor"].append(WorkerStarted(topic, name, pid, kind, 0))
        self._say(instance, NewFunctionWorker(pid))

    def _from_queue(self) -> None:
        """Carry what the LocalQueue's core decided to whom it is for."""
        outbox = self.queue.outbox
        while outbox:
            peer, message = outbox.pop(0)
            assert isinstance(peer, Peer)
            if peer is self.manager:
                assert isinstance(message, Message)
                self.queues["from_queue"].append(message)
            elif peer is self.frontend:
                if isinstance(message, InvocationResult | InvocationFailed):
                    assert self.published[message.request_id] is None, "a request was answered twice"
                    self.published[message.request_id] = message
            else:
                self._to_worker(peer, message)

    def _to_worker(self, peer: Peer, message: Message | Close) -> None:
        instance = self.instances.get(peer.name)
        assert not isinstance(message, Close), f"{peer.name} was closed: {message}"
        if instance is None or instance.peer is not peer:
            return
        match message:
            case Task():
                assert not instance.tasks, "a worker was given two tasks"
                instance.tasks.append(message)
            case Retire():
                assert not instance.tasks, "a busy worker was told to exit"
                self.die(peer.name, "exited with status 0")

    def at_manager(self, message: Message) -> None:
        """A message arrives at the ExecutionManager; as `actors.execution_manager` hands it to the cores."""
        assert isinstance(message, Fact), f"{message} is not for the ExecutionManager"
        if isinstance(message, TaskFinished):
            self.handed_over += bool(message.handed_to)
        take_in(message, self.executions, self.now)

    # --- the DataLayer -------------------------------------------------------------------------------------------

    def _stored(self, manager: Executions, execution_id: str, request: Message) -> None:
        refusal = "unavailable" if not self.store_is_up else self._keep(request)
        if manager is not self.executions:
            return  # the ExecutionManager that asked is dead
        if refusal:
            manager.not_stored(execution_id, refusal, "test", self.now)
        else:
            manager.stored(execution_id, self.now)

    def _keep(self, request: Message) -> str:
        match request:
            case CreateExecution(execution_id=execution_id):
                if execution_id in self.store:
                    return "conflict"
                self.store[execution_id] = Stored(request)
            case AppendHistory(execution_id=execution_id, events=events):
                self._keep_events(execution_id, events)
            case FinishExecution(execution_id=execution_id, events=events):
                stored = self.store[execution_id]
                stored.finishes += 1
                if stored.finish is None:
                    self._keep_events(execution_id, events)
                    stored.finish = request
            case RecordExecution(create=create, finish=finish):
                self.store.setdefault(create.execution_id, Stored(create))
                return self._keep(finish)
            case _:
                raise AssertionError(f"{request} is not for the DataLayer")
        return ""

    def _keep_events(self, execution_id: str, events: tuple[HistoryEvent, ...]) -> None:
        stored = self.store[execution_id]
        for event in events:
            stored.events.setdefault(event.seq, event)
        assert sorted(stored.events) == list(range(1, len(stored.events) + 1)), "history has a gap"

    # --- restarts ------------------------------------------------------------------------------------------------

    def restart_queue(self) -> None:
        """The LocalQueue is killed; its workers end with their connections."""
        for name in ("to_queue", "from_queue"):
            self.queues[name].clear()
        gone, self.instances = list(self.instances.values()), {}
        self._new_queue()
        self.dispatch.queue_lost(self.now)
        self.executions.settle(self.now)
        self.flush()
        self.queues["to_queue"].clear()
        for one in gone:
            self.queues["from_supervisor"].append(
                WorkerExited(one.function_topic, one.topic, one.pid, 0, 0, "exited", 0, 0)
            )
        self.published = {key: value for key, value in self.published.items() if value is not None}
        self._start_functions()
        self.check()

    def restart_supervisor(self) -> None:
        """The supervisor is killed; every worker dies with its template."""
        for name in ("to_supervisor", "from_supervisor"):
            self.queues[name].clear()
        self.dispatch.supervisor_lost(self.now)
        self.executions.settle(self.now)
        self.flush()
        for instance in list(self.instances.values()):
            del self.instances[instance.topic]
            self.queue.worker_gone(instance.peer, self.now)
        self._from_queue()
        self.queues["to_supervisor"].clear()
        self._start_functions()
        self.check()

    def restart_manager(self) -> None:
        """The ExecutionManager is killed; the others go on."""
        for name in ("to_queue", "to_supervisor", "from_supervisor", "from_queue"):
            self.queues[name].clear()
        while self.queues["to_store"]:
            self.deliver("to_store")
        self._new_manager()
        self.answers.clear()
        self.queue.manager_connected()
        for made in self.catalogue.versions.values():
            for topic, spec in made.topics():
                self.dispatch.add_pool(topic, spec)
        for execution_id, stored in self.store.items():
            create = stored.create
            if stored.finish is None and create.durability == "standard":
                events = tuple(stored.events[seq] for seq in sorted(stored.events))
                found = UnfinishedExecution(
                    execution_id,
                    create.name,
                    create.app,
                    create.version,
                    create.kind,
                    create.deadline_at_ms,
                    create.traceparent,
                    events,
                    create.payload,
                )
                self.executions.resume(found, self.plan(create.name), self.now)
        description = self.queue.describe(self.now)
        self.dispatch.adopt(description.workers, self.now)
        for described in description.topics:
            self.dispatch.note_waiting(described.topic, described.waiting)
        self._start_functions()
        self.executions.settle(self.now)
        self.flush()
        self.check()

    # --- whole stories -------------------------------------------------------------------------------------------

    def run(self, limit: int = 10_000) -> None:
        """Deliver messages and let every worker return, until nothing happens any more."""
        for _ in range(limit):
            self.settle()
            busy = self.busy()
            if not busy:
                return
            for topic in busy:
                if topic in self.instances and self.instances[topic].tasks:
                    self.finish(topic)
        raise AssertionError("the work never ends")

    def outcome(self, execution_id: str) -> tuple[str, bytes]:
        """How an execution ended, as the DataLayer knows it."""
        finish = self.store[execution_id].finish
        assert finish is not None, f"{execution_id} has not ended"
        return finish.status, finish.payload

    def types(self, execution_id: str) -> list[str]:
        """The types of an execution's events in order."""
        stored = self.store[execution_id]
        return [stored.events[seq].type for seq in sorted(stored.events)]

    def accepted(self, execution_id: str) -> bool:
        """Whether the start was answered, and well."""
        answer = self.answers.get(execution_id)
        assert answer is None or isinstance(answer, ExecutionAccepted | Refused)
        return isinstance(answer, ExecutionAccepted)
