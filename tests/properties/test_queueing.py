"""Random lives of a LocalQueue: whatever happens, in whatever order, every request and task ends exactly once.

The model below knows only what an outsider sees: what was published and assigned, which worker was given what, what
was answered. `check_invariants` looks at the inside after every event.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actorfaas.core.queue.records import Instruction
from actorfaas.messages import (
    AssignTask,
    CancelRequest,
    ChunkCredit,
    InvocationChunk,
    InvocationFailed,
    InvocationResult,
    LeaseExpired,
    NewFunctionWorker,
    Publish,
    Retire,
    Task,
    TaskCredit,
    TaskFailed,
    TaskFinished,
    WorkerDetached,
    WorkerReleased,
)
from tests.core.queueing_rig import MS, Rig, S, Somebody

TOPICS = ("f@1", "g@1", "f@1!fork")
LIMIT = 3
MOST_WORKERS = 6


class Life:
    """One worker as the outside sees it."""

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self.pid = pid
        self.task: Task | None = None
        self.credit = 0
        self.condemned = False
        self.retired = False
        self.ended = False  # it said that it ends itself
        self.exited = False

    @property
    def is_dying(self) -> bool:
        return self.condemned or self.retired or self.ended or self.exited


class LocalQueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()
        self.publishers = [Somebody("frontend 1"), Somebody("frontend 2")]
        self.number = 0
        self.published: dict[str, Somebody] = {}
        self.vanished: set[Somebody] = set()
        self.answers: Counter[str] = Counter()
        self.tasks: dict[str, AssignTask] = {}
        self.task_answers: Counter[str] = Counter()
        self.lives: dict[str, Life] = {}
        self.delivered_tasks: set[str] = set()
        self.returning = ""  # the execution whose result is being handed on
        self.members_ever = 0
        for topic in TOPICS:
            self.rig.declare(topic, LIMIT, members="retire" if "!" in topic else "stay")
        for topic in ("f@1", "f@1", "g@1", "", ""):
            self.start_worker(topic)

    def fresh(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number}"

    # --- what comes out is taken into the model --------------------------------------------------------------

    def observe(self) -> None:
        said, self.rig.said = self.rig.said, []
        for receiver, message in said:
            self.observe_one(receiver, message)

    def observe_one(self, receiver: Somebody, message: Instruction) -> None:
        match message:
            case Task():
                self.observe_delivery(self.lives[receiver.name], message)
            case InvocationResult() | InvocationFailed():
                assert self.published[message.request_id] is receiver
                assert receiver not in self.vanished, "an answer for nobody"
                self.answers[message.request_id] += 1
                assert self.answers[message.request_id] == 1, "a second answer"
            case InvocationChunk():
                assert self.answers[message.request_id] == 0, "a piece after the last message"
            case TaskFinished() | TaskFailed():
                self.task_answers[message.task_id] += 1
                assert self.task_answers[message.task_id] == 1, "a task ended twice"
            case LeaseExpired():
                life = self.lives[message.worker_topic]
                if not life.condemned:  # else it is repeated for a new ExecutionManager
                    assert life.task is not None
                    assert life.task.request_id == message.request_id
                life.condemned = True
            case Retire():
                life = self.lives[receiver.name]
                assert life.task is None, "told to exit with work in hand"
                life.retired = True
            case TaskCredit():
                self.lives[receiver.name].credit += message.chunks
                assert self.lives[receiver.name].credit <= 16
            case WorkerDetached():
                del self.lives[message.worker_topic]
            case _:
                pass

    def observe_delivery(self, life: Life, task: Task) -> None:
        assert life.task is None, "a worker has two leases"
        assert not life.is_dying, "work for the dying"
        assert self.answers[task.request_id] == 0, "delivered after its answer"
        assert task.deadline_ns > self.rig.now, "delivered too late"
        holders = [other for other in self.lives.values() if other.task and not other.condemned]
        assert task.request_id not in [other.task.request_id for other in holders if other.task]
        if task.request_id in self.tasks:
            self.delivered_tasks.add(task.request_id)
            if self.tasks[task.request_id].armed:
                assert task.execution_id == self.returning, "the result of another execution"
        life.task = task
        life.credit = task.credit

    # --- publishers ------------------------------------------------------------------------------------------

    @rule(
        topic=st.sampled_from(("f@1", *TOPICS, "nowhere@1")),
        publisher=st.integers(0, 1),
        count=st.integers(1, 4),
        attempts=st.integers(1, 3),
        delay_ms=st.sampled_from((0, 10, 400)),
        timeout_ms=st.sampled_from((0, 20, 1_500, 30_000)),
        stream=st.booleans(),
    )
    def publish(
        self, topic: str, publisher: int, count: int, attempts: int, delay_ms: int, timeout_ms: int, stream: bool
    ) -> None:
        sender = self.publishers[publisher]
        deadline_ns = self.rig.now + timeout_ms * MS
        for _ in range(count):
            request_id = self.fresh("r")
            self.published[request_id] = sender
            request = Publish(topic, request_id, deadline_ns, attempts, delay_ms * MS, stream, "", b"in")
            self.rig.core.publish(sender, request, self.rig.now)
            self.rig.collect()
            self.observe()

    @precondition(lambda self: self.published)
    @rule(data=st.data(), kill=st.booleans())
    def cancel(self, data: st.DataObject, kill: bool) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.published)))
        publisher = self.published[request_id]
        self.rig.core.cancel(publisher, CancelRequest(request_id, kill), self.rig.now)
        self.rig.core.credit(publisher, ChunkCredit(request_id, 1))
        self.rig.collect()
        self.observe()

    @rule(publisher=st.integers(0, 1))
    def publisher_vanishes(self, publisher: int) -> None:
        gone = self.publishers[publisher]
        self.vanished.add(gone)
        self.publishers[publisher] = Somebody("frontend again")
        self.rig.publisher_gone(gone)
        self.observe()

    # --- workers ---------------------------------------------------------------------------------------------

    def start_worker(self, topic: str, reports: bool = True) -> None:
        name = self.fresh("w")
        self.lives[name] = Life(name, self.number)
        self.members_ever += 1
        self.rig.attach(name, pid=self.number)
        if reports:
            self.rig.says(name, NewFunctionWorker(self.number))
        if topic:
            self.rig.subscribe(name, topic)
        self.observe()

    @precondition(lambda self: len(self.lives) < MOST_WORKERS)
    @rule(topic=st.sampled_from(("", *TOPICS)), reports=st.sampled_from((True, True, False)))
    def worker_comes(self, topic: str, reports: bool) -> None:
        self.start_worker(topic, reports)

    def some_worker(self, data: st.DataObject, *, with_task: bool = False) -> Life | None:
        names = sorted(name for name, life in self.lives.items() if life.task is not None or not with_task)
        return self.lives[data.draw(st.sampled_from(names))] if names else None

    @rule(data=st.data(), how=st.sampled_from(("returns", "returns", "raises", "streams", "exits")))
    def worker_answers(self, data: st.DataObject, how: str) -> None:
        life = self.some_worker(data, with_task=True)
        if life is None or life.task is None:
            return
        task = life.task
        if how == "streams":
            self.stream(life, task)
            return
        life.task = None
        if how == "returns":
            self.returning = task.execution_id
            self.rig.returns(life.name, task.request_id, task.next_topic)
        else:
            life.ended = how == "exits"
            self.rig.raises(life.name, task.request_id, "handler_error", exiting=life.ended)
        self.observe()
        self.returning = ""

    def stream(self, life: Life, task: Task) -> None:
        if life.credit:
            life.credit -= 1
            self.rig.yields(life.name, task.request_id)
            self.observe()
            assert life.name in self.lives, "disconnected although it had credit"

    @rule(
        data=st.data(),
        how=st.sampled_from(("breaks its rights", "disconnects", "exited, then disconnects", "exited")),
        reason_follows=st.booleans(),
        replaced_in=st.sampled_from(("", *TOPICS)),
    )
    def worker_dies(self, data: st.DataObject, how: str, reason_follows: bool, replaced_in: str) -> None:
        life = self.some_worker(data)
        if life is None:
            return
        if how == "breaks its rights":
            self.rig.returns(life.name, "something else")
            self.observe()
            assert life.name not in self.lives
        if how.startswith("exited"):
            life.exited = True
            self.rig.exited(life.name, pid=life.pid)
        if how.endswith("disconnects"):
            self.rig.disconnects(life.name)
        if reason_follows:
            life.exited = True
            self.rig.exited(life.name, pid=life.pid)
        self.observe()
        self.start_worker(replaced_in)

    # --- the ExecutionManager --------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        what=st.sampled_from(("lend", "lend", "take back", "retire", "release", "give back")),
        topic=st.sampled_from(TOPICS),
    )
    def pool_changes(self, data: st.DataObject, what: str, topic: str) -> None:
        life = self.some_worker(data)
        if life is None:
            return
        if what == "lend":
            self.rig.subscribe(life.name, topic)
        elif what == "retire":
            self.rig.retire(life.name)
        elif what == "release":
            self.rig.release_idle(1, topic)
        elif what == "give back":
            self.rig.release_worker(life.name)
        else:
            refusal = self.rig.unsubscribe(life.name)
            assert refusal in ("", "busy", "not_found")
            assert refusal != "busy" or life.task is not None
            assert refusal != "" or life.task is None, "a busy worker was given back"
        self.observe()

    @rule(data=st.data(), execution=st.sampled_from(("x", "y")), early=st.booleans())
    def chain(self, data: st.DataObject, execution: str, early: bool) -> None:
        """One task after the other, as the ExecutionManager arranges them."""
        first, second = self.some_worker(data), self.some_worker(data)
        if first is not None and second is not None and first is not second:
            self.assign_task(first.name, execution, next_topic=second.name, armed=False)
            self.assign_task(second.name, execution if early else "y", next_topic="", armed=True)

    @rule(
        data=st.data(),
        armed=st.booleans(),
        execution=st.sampled_from(("x", "y")),
        timeout_ms=st.sampled_from((20, 1_500, 30_000)),
        report_payload=st.booleans(),
    )
    def assign(self, data: st.DataObject, armed: bool, execution: str, timeout_ms: int, report_payload: bool) -> None:
        life = self.some_worker(data)
        following = self.some_worker(data)
        if life is None or following is None:
            return
        next_topic = data.draw(st.sampled_from(("", following.name)))
        self.assign_task(life.name, execution, next_topic, armed, timeout_ms, report_payload)

    def assign_task(
        self,
        worker: str,
        execution: str,
        next_topic: str,
        armed: bool,
        timeout_ms: int = 30_000,
        report_payload: bool = False,
    ) -> None:
        task_id = self.fresh("t")
        deadline_ns = self.rig.now + timeout_ms * MS
        task = AssignTask(
            worker, task_id, execution, "s", 1, -1, deadline_ns, next_topic, armed, report_payload, False, "", b""
        )
        self.tasks[task_id] = task
        self.rig.core.assign(task, self.rig.now)
        self.rig.collect()
        self.observe()

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), release=st.booleans())
    def change_armed(self, data: st.DataObject, release: bool) -> None:
        task = self.tasks[data.draw(st.sampled_from(sorted(self.tasks)))]
        following = self.some_worker(data)
        if release:
            self.rig.release_assignment(task.worker_topic, task.task_id)
            if self.rig.all(WorkerReleased):
                self.task_answers[task.task_id] += 1
        elif following is not None:
            self.rig.set_next_topic(task.worker_topic, task.task_id, following.name)
        self.observe()

    @rule(topic=st.sampled_from(("", "", *TOPICS)))
    def manager_restarts(self, topic: str) -> None:
        if topic:  # and deploys anew
            self.rig.drop(topic)
            self.observe()
            self.rig.declare(topic, LIMIT, members="retire" if "!" in topic else "stay")
        self.rig.core.manager_connected()
        self.rig.collect()
        self.observe()

    # --- time ------------------------------------------------------------------------------------------------

    @rule(duration_ms=st.sampled_from((1, 6, 30, 500, 2_000, 40_000)), ticks=st.sampled_from((True, True, False)))
    def time_passes(self, duration_ms: int, ticks: bool) -> None:
        """Sometimes the clock's tick comes late."""
        self.rig.now += duration_ms * MS
        if ticks:
            self.rig.passes(0)
        self.observe()

    # --- what must hold --------------------------------------------------------------------------------------

    @invariant()
    def queues_are_bounded(self) -> None:
        for topic in self.rig.core.board.topics.values():
            assert len(topic.waiting) + len(topic.held) <= LIMIT + self.members_ever

    def teardown(self) -> None:
        for name in sorted(self.lives):
            self.rig.disconnects(name)
            self.observe()  # a request of it may have gone to the next one
        for _ in range(4):
            self.rig.passes(40 * S)
        self.observe()
        for request_id, publisher in self.published.items():
            assert self.answers[request_id] == 1 or publisher in self.vanished
        for task_id, task in self.tasks.items():
            armed_in_vain = task.armed and task_id not in self.delivered_tasks
            assert self.task_answers[task_id] == 1 or (armed_in_vain and self.task_answers[task_id] == 0)
        board = self.rig.core.board
        for table in (board.deadlines, board.retries, board.losses, board.lost, board.workers, board.worker_of):
            assert not table
        for topic in board.topics.values():
            left = [*topic.waiting, *topic.held, *topic.members, *topic.ready]
            assert not left
        assert not self.rig.core.has_requests
        assert not self.rig.core.needs_tick


LocalQueueMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=80, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLocalQueue = LocalQueueMachine.TestCase
