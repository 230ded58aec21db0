"""The test world's messages: who gets them, in which order, and what supervisor and workers do with them.

What callers and workers do, and whole stories, are in `world`.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from actorfaas.config import MAX_DATA_BYTES
from actorfaas.core.catalogue import Catalogue
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.effects import (
    Answer,
    Apart,
    Declare,
    Ended,
    Export,
    Fetch,
    FollowChild,
    GiveUp,
    Reply,
    StartChild,
    StopChild,
    Store,
    TakeBack,
    Tell,
    Warn,
)
from actorfaas.core.execution import Plan
from actorfaas.core.executions import Executions
from actorfaas.core.facts import Fact, take_in
from actorfaas.core.queue import Close, LocalQueueCore
from actorfaas.core.queue.records import Instruction
from actorfaas.core.recruiting import declarations
from actorfaas.messages import (
    ITEMS_READ,
    AssignTask,
    AttachWorker,
    BundleRef,
    DeclareTopic,
    DropTopic,
    EndSession,
    FunctionSpec,
    InvocationFailed,
    InvocationResult,
    KillWorker,
    Message,
    NewFunctionWorker,
    Refused,
    ReleaseAssignment,
    ReleaseIdle,
    ReleaseWorker,
    RestoreMessages,
    Retire,
    RetireWorker,
    SetNextTopic,
    StartWorkers,
    Subscribe,
    Task,
    TaskFinished,
    Tend,
    Tended,
    TendWorker,
    UnfinishedExecution,
    Unsubscribe,
    WorkerExited,
    WorkerStarted,
    WorkerStartFailed,
    WorkflowSpec,
)
from actorfaas.swap.policy import Mode
from actorfaas.swap.steering import PagingFact, Steering, steer
from tests.core.world_parts import Instance, Peer
from tests.core.world_store import Records
from tests.core.world_swapper import SwapperPlayer, Watch, mode_of

MS = 1_000_000
S = 1_000_000_000


class Node:
    """See `world.World`. Queues: to_queue, from_queue, to_supervisor, from_supervisor, to_store; with paging (`mode`:
    outside, self, none) to_swapper, from_swapper."""

    def __init__(
        self,
        *,
        max_workers: int = 64,
        look_ahead: int = 2,
        mode: str = "",
        policy: Mode = "predictive",
        budget_bytes: int = 0,
        max_data_bytes: int = MAX_DATA_BYTES,
        warn_data_bytes: int = 0,
        token_key: bytes = b"the key of this world",
    ) -> None:
        self.now = 1_000 * S
        self.max_workers = max_workers
        self.look_ahead = look_ahead
        self.max_data_bytes, self.warn_data_bytes, self.token_key = max_data_bytes, warn_data_bytes, token_key
        self.catalogue = Catalogue(30.0, max_workers)
        self.bundle = BundleRef("app", "0" * 64, "/bundle", "app.py", "/usr/bin/python3")
        self.manager = Peer("execution_manager")
        self.frontend = Peer("frontend")
        self.pids = itertools.count(100)
        self.queues: dict[str, deque[Message | Callable[[], None]]] = {
            name: deque() for name in ("to_queue", "from_queue", "to_supervisor", "from_supervisor", "to_store")
        }
        self.ended_sessions: list[str] = []
        self.policy: Mode = policy
        self.swapper: SwapperPlayer | None = None
        self.swapping_fails = ""
        self.watch = Watch()
        if mode:
            self.queues |= {"to_swapper": deque(), "from_swapper": deque()}
            self.swapper = SwapperPlayer(mode_of(mode, budget_bytes), set(), set())
        self.store = Records()
        self.start_fails = False
        self.started_at: list[int] = []
        self.instances: dict[str, Instance] = {}
        self.answers: dict[str, Message] = {}
        self.ended: list[Ended] = []
        self.asked: dict[str, Fetch | Export] = {}
        self.kept_items: dict[str, Sequence[Any]] = {}  # decoded JSON, by payload file
        self.published: dict[str, InvocationResult | InvocationFailed | None] = {}
        self.warned: list[Warn] = []
        self.activities: list[str] = []
        self.replies: dict[int, Message] = {}
        self.children: dict[str, tuple[str, int]] = {}
        self.followed: dict[str, tuple[str, int]] = {}
        self.handed_over = 0
        self.assigned: list[AssignTask] = []
        self.boots = itertools.count(1)
        self.numbers = itertools.count(1)
        self._new_queue()
        self._new_manager()

    def _new_queue(self) -> None:
        self.queue = LocalQueueCore(self.manager, 5 * MS, 1 << 30)

    def _new_manager(self) -> None:
        self.dispatch = Dispatch(self.max_workers)
        self.executions = Executions(
            self.dispatch,
            look_ahead=self.look_ahead,
            boot=f"b{next(self.boots)}",
            max_data_bytes=self.max_data_bytes,
            warn_data_bytes=self.warn_data_bytes,
            token_key=self.token_key,
        )
        self.children, self.followed = {}, {}
        self.replies.clear()
        self.steering = Steering(self.dispatch, self.policy)
        self.watch = Watch()
        if self.swapper is not None:
            self.steering.take_in(self.swapper.mode, self.now)

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

    def items_of(self, found: UnfinishedExecution) -> dict[int, Sequence[Any]]:
        """What the Map states of an execution had read, as far as it is still there."""
        read = {e.seq: orjson.loads(e.payload)["File"] for e in found.events if e.type == ITEMS_READ}
        return {seq: self.kept_items[file] for seq, file in read.items() if file in self.kept_items}

    # --- messages ------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Put the ExecutionManager's effects on their way, with what paging wants done after them."""
        steer(self.steering, self.executions, self.now)
        effects = self.dispatch.effects
        while effects:
            effect = effects.pop(0)
            self.watch.leaves(effect, self.dispatch)
            match effect:
                case Tell("data_layer", message):
                    self.queues["to_store"].append(lambda m=message: self._told(m))  # type: ignore[misc]
                case Tell(peer, message):
                    queue = {"local_queue": "to_queue", "fw_supervisor": "to_supervisor"}.get(peer, "to_swapper")
                    self.queues.get(queue, deque()).append(message)
                case TakeBack(worker):
                    self.queues["to_queue"].append(Unsubscribe(worker))
                case Declare(declaration):
                    self.queues["to_queue"].append(declaration)
                case Store(execution_id, request):
                    manager = self.executions
                    self.queues["to_store"].append(
                        lambda m=manager, e=execution_id, r=request: self._stored(m, e, r)  # type: ignore[misc]
                    )
                case Answer(execution_id, answer) if execution_id in self.children:
                    self._child_answered(execution_id, *self.children.pop(execution_id), answer)
                case Answer(execution_id, answer):
                    assert execution_id not in self.answers, f"{execution_id} was answered twice"
                    self.answers[execution_id] = answer
                case Ended():
                    self.ended.append(effect)
                case _:
                    self._apart(effect)

    def _told(self, message: Message) -> None:
        self.store.answer(message)

    def _apart(self, effect: Apart) -> None:
        """What no worker does; about children as `actors.children`, that hears of their end from the DataLayer."""
        match effect:
            case Fetch() | Export():
                self.asked[effect.ticket] = effect
            case GiveUp(ticket):
                del self.asked[ticket]
            case Reply(number, reply):
                assert number not in self.replies, f"{number} was answered twice"
                self.replies[number] = reply
            case StartChild(parent, branch, start):
                plan = self.catalogue.plan(start.name)
                refusal = Refused("not_found", "no such plan") if plan is None else self.executions.refusal(start, plan)
                if refusal is None and plan is not None:
                    self.children[start.execution_id] = parent, branch
                    self.executions.start(start, plan, self.now)
                elif refusal is not None:
                    self._child_answered(start.execution_id, parent, branch, refusal)
            case FollowChild(parent, branch, child):
                self.followed[child] = parent, branch
            case StopChild(child, reason):
                self.executions.cancel(child, reason, self.now)
            case Warn():
                self.warned.append(effect)

    def _child_answered(self, child: str, parent: str, branch: int, answer: Message) -> None:
        if isinstance(answer, Refused) and answer.error != "conflict":
            self.executions.child_refused(parent, branch, child, answer.error, answer.detail, self.now)
        else:
            self.executions.child_accepted(parent, branch, child, self.now)

    def tell_ends(self) -> bool:
        """Let the parents of executions that have ended hear so. False: there are none."""
        ended = [child for child in self.followed if child in self.store and self.store[child].finish is not None]
        for child in ended:
            parent, branch = self.followed.pop(child)
            self.executions.child_ended(parent, branch, self.store.state(child), self.now)
            self.flush()
            self.check()
        return bool(ended)

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
        elif queue == "to_swapper":
            assert self.swapper is not None
            self.swapper.take(item)
        else:
            self.at_manager(item)
        self._from_queue()
        self.flush()
        self.check()
        return True

    def settle(self, limit: int = 3_000) -> None:
        """Deliver everything that is on its way, queue by queue."""
        for _ in range(limit):
            arrived = sum(self.deliver(name) for name in self.queues)
            if not (arrived or self.swap_one() or self.tend_one() or self.tell_ends()):
                return
        raise AssertionError("messages never end")

    def swap_one(self, choice: int = 0) -> bool:
        """The Swapper carries out one of its orders. False: it has none."""
        if self.swapper is None or not self.swapper.orders:
            return False
        answer = self.swapper.carry_out(choice, self.swapping_fails)
        if answer is not None:
            self.queues["from_swapper"].append(answer)
        return True

    def tend_one(self, choice: int = 0) -> bool:
        """One of the workers does what it was told about its memory. False: none was."""
        told = [one for one in self.instances.values() if one.tends]
        if not told:
            return False
        self._tend(told[choice % len(told)])
        return True

    def _tend(self, instance: Instance) -> None:
        action = instance.tends.popleft().action
        if self.swapper is not None and action == "page_out":
            self.swapper.out.add(instance.topic)
        elif self.swapper is not None and action == "page_in":
            self.swapper.out.discard(instance.topic)
        self._say(instance, Tended(action, 4_000_000, 2_000_000))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += int(seconds * S)
        self.queue.tick(self.now)
        self._from_queue()
        self.dispatch.tick(self.now)
        self.executions.tick(self.now)
        self.flush()
        self.check()

    def check(self) -> None:
        """Every invariant of every core."""
        self.dispatch.check_invariants()
        self.executions.check_invariants()
        self.steering.check_invariants()
        self.queue.check_invariants()

    def _at_queue(self, message: Message) -> None:
        queue, now = self.queue, self.now
        match message:
            case AssignTask():
                self.assigned.append(message)
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
            case ReleaseWorker():
                queue.release_worker(message.worker_topic)
            case RetireWorker():
                queue.retire(message.worker_topic, now)
            case _:
                self._at_queue_too(message)

    def _at_queue_too(self, message: Message) -> None:
        match message:
            case EndSession(execution_id):
                self.ended_sessions.append(execution_id)
                self.queue.end_session(execution_id)
            case RestoreMessages():
                self.queue.restore_messages(message)
            case TendWorker():
                self.queue.tend(message)
            case DeclareTopic():
                self.queue.declare(message)
            case DropTopic():
                self.queue.drop(message, self.now)
            case _:
                raise AssertionError(f"{message} is not for the LocalQueue")

    def _taken_back(self, worker: str, taken: bool) -> None:
        self.dispatch.taken_back(worker, taken, self.now)
        self.executions.settle(self.now)

    def reconcile(self) -> None:
        """The ExecutionManager asks the LocalQueue which workers it has, and compares."""
        asked_ns = self.now
        self.queues["to_queue"].append(lambda: self._describe_workers(asked_ns))

    def _describe_workers(self, asked_ns: int) -> None:
        found = self.queue.describe(self.now).workers
        self.queues["from_queue"].append(lambda: self.dispatch.reconcile(found, asked_ns, self.now))

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

    def _to_worker(self, peer: Peer, message: Instruction) -> None:
        instance = self.instances.get(peer.name)
        assert not isinstance(message, Close), f"{peer.name} was closed: {message}"
        if instance is None or instance.peer is not peer:
            return
        match message:
            case Task():
                assert not instance.tasks, "a worker was given two tasks"
                instance.tasks.append(message)
            case Tend():
                assert not instance.tasks, "a worker was to tend its memory during a call"
                instance.tends.append(message)
            case Retire():
                assert not instance.tasks, "a busy worker was told to exit"
                self.die(peer.name, "exited with status 0")

    def at_manager(self, message: Message) -> None:
        """A message arrives at the ExecutionManager; as `actors.execution_manager` hands it to the cores."""
        if isinstance(message, PagingFact):
            self.watch.answered(message)
            self.steering.take_in(message, self.now)
            return
        assert isinstance(message, Fact), f"{message} is not for the ExecutionManager"
        if isinstance(message, TaskFinished):
            self.handed_over += bool(message.handed_to)
        take_in(message, self.executions, self.now)

    def _stored(self, manager: Executions, execution_id: str, request: Message) -> None:
        refusal = self.store.answer(request)
        if manager is not self.executions:
            return  # the ExecutionManager that asked is dead
        if refusal:
            manager.not_stored(execution_id, refusal, "test", self.now)
        else:
            manager.stored(execution_id, self.now)

    # --- workers as processes ---

    def _say(self, instance: Instance, message: Message) -> None:
        worker = self.queue.worker(instance.peer)
        if worker is not None:
            self.queue.worker_said(worker, message, self.now)
            self._from_queue()

    def die(self, topic: str, detail: str = "was killed by signal 9 (SIGKILL)") -> None:
        """A worker process ends; the supervisor reaps it."""
        instance = self.instances.pop(topic, None)
        if instance is None:
            return
        self.queue.worker_gone(instance.peer, self.now)
        exited = WorkerExited(instance.function_topic, topic, instance.pid, -1, 9, detail, 0)
        self.queue.worker_exited(exited, self.now)
        self.queues["from_supervisor"].append(exited)
        self._from_queue()
