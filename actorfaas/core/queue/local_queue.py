"""The LocalQueue as one pure machine: every event that reaches the actor has a method here.

The actor puts messages in with `now`, carries out what it finds in `outbox` (in order), and calls `tick` every few
milliseconds while `needs_tick`.
"""

from __future__ import annotations

from actorfaas.config import MAX_DATA_BYTES
from actorfaas.core.queue.assignments import Assignments
from actorfaas.core.queue.board import Board
from actorfaas.core.queue.invariants import check
from actorfaas.core.queue.members import EXPIRED_WAITING, Members
from actorfaas.core.queue.records import (
    ARMED,
    LEASED,
    LOST,
    Assignment,
    Failure,
    Instruction,
    Peer,
    Request,
    Topic,
    Work,
    Worker,
)
from actorfaas.core.queue.reports import Reports
from actorfaas.core.queue.requests import Requests
from actorfaas.core.queue.sessions import Sessions
from actorfaas.core.queue.workers import Workers
from actorfaas.messages import (
    AssignTask,
    AttachWorker,
    CancelRequest,
    ChunkCredit,
    ConnectedWorker,
    DeclareTopic,
    Done,
    DropTopic,
    KeepMessage,
    KeptMessage,
    Message,
    Publish,
    QueueDescription,
    ReceiveMessage,
    Refused,
    ReleaseAssignment,
    ReleaseIdle,
    RestoreMessages,
    SendMessage,
    SetNextTopic,
    Subscribe,
    TakeAlias,
    TendWorker,
    TopicState,
    WorkerExited,
    WorkerReleased,
)

SessionMessage = SendMessage | ReceiveMessage | TakeAlias

STOPPING = Failure("stopping", "the node is stopping")
CALLER_GONE = Failure("cancelled", "the caller is gone")
OVERRAN = Failure("timeout", "the handler ran longer than its time limit; its worker is killed")


class LocalQueueCore:
    """Topics, requests, tasks, workers. `manager` is where facts for the ExecutionManager go."""

    def __init__(
        self, manager: Peer, grow_after_ns: int, payload_limit_bytes: int, max_data_bytes: int = MAX_DATA_BYTES
    ) -> None:
        self.board = Board(manager, payload_limit_bytes)
        self.outbox: list[tuple[Peer, Instruction]] = self.board.outbox
        self._reports = Reports(self.board, grow_after_ns)
        self._members = Members(self.board, self._reports)
        self._requests = Requests(self.board, self._members)
        self._assignments = Assignments(self.board, self._members, max_data_bytes)
        self._sessions = Sessions(self.board)
        self._workers = Workers(self.board, self._members, self._requests, self._assignments, self._sessions)
        self._stopping = False

    # --- publishers ------------------------------------------------------------------------------------------------

    def publish(self, publisher: Peer, published: Publish, now: int) -> None:
        """One request; answered by exactly one InvocationResult or InvocationFailed."""
        if self._stopping and self._request(publisher, published.request_id) is None:
            self.board.refuse(publisher, published, STOPPING.reason, STOPPING.error_message, 0.0)
        else:
            self._requests.publish(publisher, published, now)

    def credit(self, publisher: Peer, credit: ChunkCredit) -> None:
        """The caller took pieces of a streamed response."""
        request = self._request(publisher, credit.request_id)
        if request is not None:
            self._requests.credit(request, credit.chunks)

    def cancel(self, publisher: Peer, cancelled: CancelRequest, now: int) -> None:
        """The caller is gone. A request that is under way no more is ignored."""
        request = self._request(publisher, cancelled.request_id)
        if request is None:
            return
        if request.phase is LEASED and cancelled.kill:
            self._workers.condemn(request, CALLER_GONE, now)
        else:
            self._requests.abandon(request, now)

    def publisher_gone(self, publisher: Peer, now: int) -> None:
        """A publisher's connection ended. A stream that nobody reads is of no use to anyone: its handler is ended."""
        for request in self._requests.publisher_gone(publisher, now):
            self._workers.condemn(request, CALLER_GONE, now)

    def _request(self, publisher: Peer, request_id: str) -> Request | None:
        return self.board.publishers.get(publisher, {}).get(request_id)

    # --- the ExecutionManager --------------------------------------------------------------------------------------

    def manager_connected(self) -> None:
        """A new ExecutionManager: repeat what it must act on and `describe` does not say."""
        self._reports.ask_again()
        self._workers.report_condemned()
        self._sessions.report_open()

    def declare(self, declared: DeclareTopic) -> None:
        """Make a topic, or change the settings of the one that is there."""
        topic = self.board.topics.get(declared.topic)
        if topic is None:
            self.board.topics[declared.topic] = Topic(declared.topic, declared.queue_limit, declared.members)
        else:
            topic.queue_limit = declared.queue_limit
            topic.members_do = declared.members

    def drop(self, dropped: DropTopic, now: int) -> None:
        """Fail what waits, release members: idle ones now, busy ones when they are done."""
        topic = self.board.topics.pop(dropped.topic, None)
        if topic is None:
            return
        topic.dropped = True
        failure = Failure(dropped.reason, f"the topic {topic.name} was withdrawn")
        for request in [*topic.waiting, *(held for held in topic.held if held.phase is not LOST)]:
            self._requests.drop(request, failure, now)
        for worker in list(topic.ready):
            self._members.release(worker)

    def subscribe(self, lent: Subscribe, now: int) -> None:
        """Lend a worker to a topic. When that cannot be, `WorkerReleased` says that it is not lent."""
        topic = self.board.topics.get(lent.topic)
        worker = self.board.workers.get(lent.worker_topic)
        if worker is None or (worker.topic is not None and worker.topic is topic):
            return  # WorkerDetached has told, or it is lent there already
        if topic is None or worker.topic is not None or not worker.is_free:
            self.board.tell_manager(WorkerReleased(lent.worker_topic, lent.topic))
        else:
            worker.next_kind, worker.next_page_in_ns = lent.start_kind, lent.page_in_ns
            self._members.join(worker, topic, now)

    def tend(self, order: TendWorker) -> None:
        """Have a worker look after its memory; answered by WorkerTended."""
        self._workers.tend(order)

    def unsubscribe(self, worker_topic: str) -> str:
        """Take an idle worker back; "" when done, else why not: busy or not_found."""
        worker = self.board.workers.get(worker_topic)
        if worker is None or worker.topic is None:
            return "not_found"
        if worker.lease is not None:
            return "busy"
        self._members.leave(worker)
        return ""

    def release_idle(self, released: ReleaseIdle) -> None:
        """Give back idle members, the longest idle first."""
        topic = self.board.topics.get(released.topic)
        if topic is not None:
            for worker in list(topic.ready)[: max(0, released.count)]:
                self._members.release(worker)

    def release_worker(self, worker_topic: str) -> None:
        """Give back a member: now, or as soon as its request is done."""
        worker = self.board.workers.get(worker_topic)
        if worker is None or worker.topic is None:
            return
        if worker.lease is None:
            self._members.release(worker)
        else:
            worker.returning = True

    def assign(self, assigned: AssignTask, now: int) -> None:
        """A task for one worker; answered by TaskFinished or TaskFailed."""
        self._assignments.assign(assigned, now)

    def set_next_topic(self, change: SetNextTopic) -> None:
        """Where an armed task's result will go."""
        self._assignments.set_next_topic(change)

    def release_assignment(self, released: ReleaseAssignment, now: int) -> None:
        """An armed task will not come."""
        self._assignments.release(released, now)

    def retire(self, worker_topic: str, now: int) -> None:
        """Let a worker finish what it has, then tell it to exit."""
        self._workers.retire(worker_topic, now)

    # --- workers and their supervisor ------------------------------------------------------------------------------

    def attach(self, peer: Peer, attached: AttachWorker, now: int) -> None:
        """The supervisor handed over a worker's connection."""
        self._workers.attach(peer, attached, now)

    def worker(self, peer: Peer) -> Worker | None:
        """The worker whose connection `peer` is."""
        return self.board.worker_of.get(peer)

    def worker_said(self, worker: Worker, message: Message, now: int) -> None:
        """A message came over a worker's connection."""
        self._workers.said(worker, message, now)

    def may_use_data(self, worker: Worker) -> bool:
        """Whether the worker may ask for its application's data now."""
        return self._workers.may_use_data(worker)

    def to_journal(self, worker: Worker, message: SessionMessage) -> KeepMessage | Refused | None:
        """What the ExecutionManager is to be asked for a message, or why it cannot be sent; `keep_message` follows.
        None: nothing, `talk` follows."""
        task = worker.lease
        if not (isinstance(message, SendMessage) and isinstance(task, Assignment) and task.is_standard):
            return None
        refused = self._sessions.refusal(worker, task, message)
        return refused or KeepMessage(task.execution_id, task.request_id, message.to, message.index, message.payload)

    def keep_message(self, sent: KeepMessage, number: int) -> None:
        """A message is in the journal: it is for whoever asks."""
        self._sessions.keep(sent.execution_id, KeptMessage(number, sent.to, sent.index, sent.payload))

    def restore_messages(self, restored: RestoreMessages) -> None:
        """What the journal has and nobody received."""
        self._sessions.restore(restored)

    def talk(self, worker: Worker, message: SessionMessage, answer: Peer, now: int) -> None:
        """A task of an execution sends other tasks of it a message, waits for one, or takes an alias; `answer` is where
        the answer goes."""
        task = worker.lease
        if not isinstance(task, Assignment):
            reply: Done | Refused = Refused("unauthorized", "only tasks of executions send and receive messages")
        elif isinstance(message, ReceiveMessage):
            self._sessions.receive(worker, task, answer, message.timeout_ns, now)
            return
        elif isinstance(message, SendMessage):
            reply = self._sessions.send(worker, task, message)
        else:
            reply = self._sessions.take_alias(worker, task, message.alias)
        self.board.outbox.append((answer, reply))

    def end_session(self, execution_id: str) -> dict[str, int]:
        """An execution has ended: the messages that nobody received, by name."""
        return self._sessions.end(execution_id)

    def break_off(self, worker: Worker, reason: str, now: int) -> None:
        """The worker broke its rights in a way the actor sees."""
        self._workers.break_off(worker, reason, now)

    def worker_gone(self, peer: Peer, now: int) -> None:
        """A worker's connection ended."""
        worker = self.board.worker_of.get(peer)
        if worker is not None:
            self._workers.detached(worker, now)

    def worker_exited(self, exited: WorkerExited, now: int) -> None:
        """The supervisor says how a worker's process ended."""
        self._workers.exited(exited, now)

    # --- time ------------------------------------------------------------------------------------------------------

    @property
    def needs_tick(self) -> bool:
        """Whether the passing of time can change anything."""
        board = self.board
        return bool(board.deadlines or board.losses or self._reports.is_watching or self._sessions.needs_tick)

    def tick(self, now: int) -> None:
        """Do what has fallen due."""
        board = self.board
        for work in board.deadlines.due(now):
            self._expire(work, now)
        for request in board.retries.due(now):
            self._requests.retry_due(request, now)
        for worker in board.losses.due(now):
            self._workers.settle_loss(worker, now)
        self._sessions.tick(now)
        self._reports.tick(now)

    @property
    def has_requests(self) -> bool:
        """Whether any publisher still waits for an answer."""
        return any(self.board.publishers.values())

    def refuse_new(self) -> None:
        """From now on new requests are answered `stopping`."""
        self._stopping = True

    def stop(self, now: int) -> None:
        """Answer every request that is under way: the node stops."""
        for requests in list(self.board.publishers.values()):
            for request in list(requests.values()):
                if request.phase is LEASED or request.phase is LOST:
                    if request.worker is not None:
                        request.worker.lease = None
                    self.board.fail(request, STOPPING, now)
                else:
                    self._requests.drop(request, STOPPING, now)

    def _expire(self, work: Work, now: int) -> None:
        if work.phase is LEASED:
            self._workers.condemn(work, OVERRAN, now)
        elif work.phase is LOST:
            if work.worker is not None:
                self._workers.settle_loss(work.worker, now)
        elif work.phase is ARMED and isinstance(work, Assignment):
            self._assignments.expire_armed(work, now)
        elif isinstance(work, Request):
            self._requests.drop(work, EXPIRED_WAITING, now)

    # --- what can be seen ------------------------------------------------------------------------------------------

    def topics(self) -> tuple[TopicState, ...]:
        """All topics."""
        return tuple(
            TopicState(topic.name, len(topic.waiting), topic.queue_limit, len(topic.members), topic.busy)
            for topic in self.board.topics.values()
        )

    def describe(self, now: int) -> QueueDescription:
        """All topics and all workers that have reported themselves."""
        return QueueDescription(
            self.topics(),
            tuple(_connected(worker, now) for worker in self.board.workers.values() if worker.reported),
        )

    def check_invariants(self) -> None:
        """Raises InvariantViolation when two pieces of state contradict each other. For tests."""
        check(self.board)


def _connected(worker: Worker, now: int) -> ConnectedWorker:
    work = worker.lease or worker.armed
    return ConnectedWorker(
        worker_topic=worker.worker_topic,
        function_topic=worker.function_topic,
        pid=worker.pid,
        start_kind=worker.start_kind,
        lent_to=worker.topic.name if worker.topic is not None else "",
        activity=worker.activity,
        request_id=work.request_id if work is not None else worker.condemned,
        execution_id=work.execution_id if isinstance(work, Assignment) else "",
        deliveries=worker.deliveries,
        idle_ns=now - worker.idle_since_ns if worker.lease is None else 0,
    )
