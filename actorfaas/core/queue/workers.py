"""Connections of workers: what each may say, how it is retired, what its death means for what it was given.

Rights: a worker says `NewFunctionWorker` once, with its own pid; while it holds a lease it may return a result to
the one place its task named, fail it, stream within its credit, say that it goes on, use its application's data, and
talk with other tasks of its execution.
Whoever says anything else loses its connection; nobody else is affected.

Death: the end of the connection comes from the kernel, how the process ended (`WorkerExited`) from the supervisor,
in either order. Work is failed or redelivered when both are known, or a second after the first of them. Once a lease
has expired its caller has its answer; the worker is condemned, and nothing it says about that lease is heard.
"""

from __future__ import annotations

from actorfaas.core.queue.assignments import Assignments
from actorfaas.core.queue.board import MESSAGE_LIMIT, TRACEBACK_LIMIT, Board, run_within
from actorfaas.core.queue.members import Members
from actorfaas.core.queue.records import (
    LOST,
    Assignment,
    Close,
    Failure,
    Peer,
    Request,
    Work,
    Worker,
)
from actorfaas.core.queue.requests import Requests
from actorfaas.core.queue.sessions import Sessions
from actorfaas.messages import (
    AttachWorker,
    Heartbeat,
    LeaseExpired,
    Message,
    NewFunctionWorker,
    TaskChunk,
    TaskError,
    TaskHeartbeat,
    TaskResult,
    TaskResultAndEffects,
    Tend,
    Tended,
    TendWorker,
    WorkerDetached,
    WorkerExited,
    WorkerReported,
    WorkerTended,
)

HEARTBEAT_NS = 100_000_000
"""The ExecutionManager is told of a task's heartbeats no more often."""

_TASK_ERRORS = frozenset({"handler_error", "bad_payload", "bad_result", "memory", "unavailable"})


class Workers:
    """All connected workers, and the lost ones whose work is not settled yet."""

    __slots__ = ("_assignments", "_board", "_members", "_requests", "_sessions")

    def __init__(
        self, board: Board, members: Members, requests: Requests, assignments: Assignments, sessions: Sessions
    ) -> None:
        self._sessions = sessions
        self._board = board
        self._members = members
        self._requests = requests
        self._assignments = assignments

    def attach(self, peer: Peer, attached: AttachWorker, now: int) -> None:
        """The supervisor handed over a worker's connection. One of the same name was this one's forerunner."""
        board = self._board
        forerunner = board.workers.get(attached.worker_topic)
        if forerunner is not None:
            board.outbox.append((forerunner.peer, Close("another worker of that name was attached")))
            self.detached(forerunner, now)
        if attached.worker_topic in board.lost:
            self.settle_loss(board.lost[attached.worker_topic], now)
        worker = Worker(peer, attached, now)
        board.workers[attached.worker_topic] = worker
        board.worker_of[peer] = worker

    def said(self, worker: Worker, message: Message, now: int) -> None:
        """A message came over a worker's connection."""
        match message:
            case TaskResult() | TaskResultAndEffects():
                self._result(worker, message, now)
            case TaskChunk():
                self._chunk(worker, message, now)
            case TaskError():
                self._error(worker, message, now)
            case Tended():
                self._tended(worker, message, now)
            case Heartbeat():
                self._heartbeat(worker, message, now)
            case NewFunctionWorker():
                self._new(worker, message, now)
            case _:
                self.break_off(worker, f"a worker may not send {type(message).__name__}", now)

    def tend(self, order: TendWorker) -> None:
        """Pass an order about its memory on to a worker that has nothing to do; else say that it was not done."""
        worker = self._board.workers.get(order.worker_topic)
        if worker is None:
            return  # WorkerDetached has told
        may = worker.reported and worker.lease is None and not (worker.tending or worker.retiring or worker.condemned)
        if order.action != "page_in":
            may = may and worker.topic is None and worker.armed is None
        if may:
            worker.tending = order.action
            self._board.outbox.append((worker.peer, Tend(order.action)))
        else:
            self._board.tell_manager(WorkerTended(order.worker_topic, order.action, False, 0, 0))

    def _tended(self, worker: Worker, done: Tended, now: int) -> None:
        if not worker.tending or worker.tending != done.action:
            self.break_off(worker, "it tended to its memory unasked", now)
            return
        worker.tending = ""
        self._board.tell_manager(
            WorkerTended(worker.worker_topic, done.action, True, max(0, done.size_bytes), max(0, done.took_ns))
        )

    def _heartbeat(self, worker: Worker, beat: Heartbeat, now: int) -> None:
        """Told on for tasks of executions; of those that come faster than anybody needs, only some."""
        task = worker.lease
        if task is None or task.request_id != beat.request_id:
            self._unexpected(worker, beat.request_id, "a heartbeat", now)
        elif isinstance(task, Assignment) and now - task.told_ns >= HEARTBEAT_NS:
            task.told_ns = now
            self._board.tell_manager(TaskHeartbeat(task.request_id, task.execution_id))

    def may_use_data(self, worker: Worker) -> bool:
        """Whether the worker may ask for its application's data now: only on behalf of a request."""
        return worker.lease is not None

    def retire(self, worker_topic: str, now: int) -> None:
        """Let a worker finish what it has and exit."""
        worker = self._board.workers.get(worker_topic)
        if worker is not None and not worker.retiring:
            worker.retiring = True
            if worker.lease is None and worker.armed is None and not worker.condemned:
                self._members.freed(worker, now)

    def break_off(self, worker: Worker, reason: str, now: int) -> None:
        """The worker broke its rights: close its connection; its work is lost like that of a dead one."""
        self._board.outbox.append((worker.peer, Close(reason)))
        worker.exit_detail = f"broke its rights: {reason}"
        self.detached(worker, now)

    def detached(self, worker: Worker, now: int) -> None:
        """The worker's connection ended."""
        board = self._board
        self._leave_session(worker)
        self._members.leave(worker)
        del board.worker_of[worker.peer]
        del board.workers[worker.worker_topic]
        board.losses.discard(worker.loss_due_ns, worker)
        board.tell_manager(WorkerDetached(worker.worker_topic, worker.function_topic, worker.pid))
        if worker.armed is not None:
            board.end(worker.armed)
            worker.armed = None
        lease = worker.lease
        if lease is None:
            return
        worker.idle_since_ns = now
        board.lost[worker.worker_topic] = worker
        if isinstance(lease, Request):
            self._requests.lost(lease)
        else:
            lease.enter(LOST)
        if worker.exit_detail:
            self.settle_loss(worker, now)
        else:
            board.await_end(worker, now)

    def exited(self, exited: WorkerExited, now: int) -> None:
        """The supervisor reaped a worker's process and says how it ended."""
        board = self._board
        worker = board.workers.get(exited.worker_topic) or board.lost.get(exited.worker_topic)
        if worker is None or worker.pid != exited.pid or worker.exit_detail:
            return
        worker.exit_detail = exited.detail
        if exited.worker_topic in board.lost:
            self.settle_loss(worker, now)
        else:  # what it sent last may still be on its way
            self._members.leave(worker)
            board.await_end(worker, now)

    def settle_loss(self, worker: Worker, now: int) -> None:
        """Nothing more about a worker's end is awaited."""
        board = self._board
        board.losses.discard(worker.loss_due_ns, worker)
        if worker.worker_topic in board.workers:  # something keeps the connection open: a child, or it will not exit
            board.outbox.append((worker.peer, Close(worker.exit_detail or "it did not exit when it was told to")))
            self.detached(worker, now)
            return
        del board.lost[worker.worker_topic]
        lease, worker.lease = worker.lease, None
        if lease is not None:
            detail = f"the worker {worker.exit_detail or 'lost its connection'}"
            reason = "memory" if "out of memory" in detail.lower() else "worker_lost"
            self._fail(lease, Failure(reason, detail, ended_ns=worker.idle_since_ns), now)

    def condemn(self, lease: Work, failure: Failure, now: int) -> None:
        """End a lease whose handler still runs, and have its worker killed."""
        worker = lease.worker
        if worker is None:
            return
        worker.lease = None
        worker.condemned = lease.request_id
        self._leave_session(worker)
        self._members.leave(worker)
        if isinstance(lease, Request):
            self._board.fail(lease, failure, now)
        elif isinstance(lease, Assignment):
            self._board.fail_task(lease, failure, now)
        self._board.tell_manager(LeaseExpired(worker.worker_topic, worker.condemned))

    def report_condemned(self) -> None:
        """A new ExecutionManager must know whom to have killed."""
        for worker in self._board.workers.values():
            if worker.condemned:
                self._board.tell_manager(LeaseExpired(worker.worker_topic, worker.condemned))

    def _new(self, worker: Worker, message: NewFunctionWorker, now: int) -> None:
        if worker.reported or message.pid != worker.pid:
            self.break_off(worker, f"it reported itself again or as another process ({message.pid})", now)
            return
        worker.reported = True
        self._board.tell_manager(
            WorkerReported(worker.worker_topic, worker.function_topic, worker.pid, worker.start_kind)
        )

    def _result(self, worker: Worker, result: TaskResult | TaskResultAndEffects, now: int) -> None:
        lease = worker.lease
        if lease is None or lease.request_id != result.request_id or lease.next_topic != result.topic:
            self._unexpected(worker, result.request_id, f"a result for {result.topic[:60]!r}", now)
            return
        if isinstance(result, TaskResult):
            worker.lease = None
            if isinstance(lease, Request):
                self._requests.finished(lease, worker, result, now)
            elif isinstance(lease, Assignment):
                self._sessions.returned(worker, lease)
                self._assignments.finished(lease, result, now)
        elif isinstance(lease, Assignment) and 0 < result.effects_bytes <= len(result.payload):
            worker.lease = None
            self._sessions.returned(worker, lease)
            self._assignments.finished_with_effects(lease, result, now)
        else:
            self._unexpected(worker, "", "effects that its task cannot have", now)
            return
        self._members.freed(worker, now)

    def _error(self, worker: Worker, error: TaskError, now: int) -> None:
        lease = worker.lease
        if lease is None or lease.request_id != error.request_id or error.reason not in _TASK_ERRORS:
            self._unexpected(worker, error.request_id, f"an error with reason {error.reason[:40]!r}", now)
            return
        worker.lease = None
        self._leave_session(worker)
        if error.exiting:
            worker.retiring = worker.leaving = True
        started_ns, ended_ns = run_within(lease, error.started_ns, error.ended_ns, now)
        failure = Failure(
            error.reason,
            error.error_message[:MESSAGE_LIMIT],
            error.error_type[:MESSAGE_LIMIT],
            error.traceback[-TRACEBACK_LIMIT:],
            started_ns,
            ended_ns,
        )
        self._fail(lease, failure, now)
        self._members.freed(worker, now)

    def _leave_session(self, worker: Worker) -> None:
        if worker.session is not None:
            self._sessions.left(worker)

    def _chunk(self, worker: Worker, piece: TaskChunk, now: int) -> None:
        lease = worker.lease
        if (
            not isinstance(lease, Request)
            or lease.request_id != piece.request_id
            or not self._requests.chunk(lease, worker, piece)
        ):
            self._unexpected(worker, piece.request_id, "a piece of a stream", now)

    def _unexpected(self, worker: Worker, request_id: str, what: str, now: int) -> None:
        """Drop what a condemned worker says about the lease it lost; anything else breaks its rights."""
        if not worker.condemned or worker.condemned != request_id:
            self.break_off(worker, f"it sent {what} that no lease allows (request {request_id[:60]!r})", now)

    def _fail(self, lease: Work, failure: Failure, now: int) -> None:
        if isinstance(lease, Request):
            self._requests.failed(lease, failure, now)
        elif isinstance(lease, Assignment):
            self._board.fail_task(lease, failure, now)
