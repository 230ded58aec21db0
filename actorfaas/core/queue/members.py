"""Workers lent to topics: who is ready, and which request a worker gets next.

A request waits only while no member of its topic is ready. A worker that becomes free takes the oldest request of
its topic; a new request takes the member that became ready last.
"""

from __future__ import annotations

from actorfaas.core.queue.board import Board
from actorfaas.core.queue.records import (
    LEASED,
    RESIDENT,
    RETIRE,
    RETURN,
    STREAM_CREDIT,
    WAITING,
    Failure,
    Request,
    Topic,
    Worker,
)
from actorfaas.core.queue.reports import Reports
from actorfaas.messages import Retire, Task, WorkerReleased

EXPIRED_WAITING = Failure("timeout", "its deadline passed before a worker was free")


class Members:
    """Brings requests and lent workers together."""

    __slots__ = ("_board", "_reports")

    def __init__(self, board: Board, reports: Reports) -> None:
        self._board = board
        self._reports = reports

    def offer(self, request: Request, now: int) -> None:
        """Give `request` to a ready member of its topic, or let it wait."""
        topic = request.topic
        if topic.ready:
            worker, _ = topic.ready.popitem()
            self._deliver(request, worker, now)
        else:
            request.enter(WAITING)
            request.waiting_since_ns = now
            topic.waiting[request] = None
            if not topic.used:
                self._reports.used(topic, now)
            self._reports.waits(topic, now)

    def join(self, worker: Worker, topic: Topic, now: int) -> None:
        """Lend a free worker to `topic`."""
        worker.topic = topic
        topic.members[worker] = None
        self.freed(worker, now)

    def leave(self, worker: Worker) -> None:
        """Take a worker out of the topic it is lent to, whatever it is doing. Nobody is told."""
        topic = worker.topic
        if topic is not None:
            worker.topic = None
            worker.returning = False
            topic.members.pop(worker, None)
            topic.ready.pop(worker, None)

    def release(self, worker: Worker) -> None:
        """Take a worker out of its topic and confirm it to the ExecutionManager."""
        topic = worker.topic
        if topic is not None:
            self.leave(worker)
            self._board.tell_manager(WorkerReleased(worker.worker_topic, topic.name))

    def freed(self, worker: Worker, now: int) -> None:
        """`worker` has no work any more: it retires, takes the next request of its topic, or is ready."""
        worker.idle_since_ns = now
        topic = worker.topic
        if worker.retiring:
            self.leave(worker)
            self._board.await_end(worker, now)
            if not worker.leaving:
                self._board.outbox.append((worker.peer, Retire()))
        elif topic is None:
            return
        elif topic.dropped or worker.returning:
            self.release(worker)
        elif (request := self._next_waiting(topic, now)) is not None:
            self._deliver(request, worker, now)
        else:
            topic.ready[worker] = None

    def _next_waiting(self, topic: Topic, now: int) -> Request | None:
        while topic.waiting:
            request, _ = topic.waiting.popitem(last=False)
            if request.deadline_ns > now:
                return request
            self._board.fail(request, EXPIRED_WAITING, now)
        return None

    def _deliver(self, request: Request, worker: Worker, now: int) -> None:
        topic = request.topic
        request.enter(LEASED)
        request.attempt += 1
        request.delivered_ns = now
        request.worker = worker
        first = worker.deliveries == 0 and worker.attached_ns > request.accepted_ns
        request.start_kind = worker.start_kind if first else worker.next_kind or RESIDENT
        request.page_in_ns = worker.next_page_in_ns
        worker.next_kind, worker.next_page_in_ns = "", 0
        request.credit = STREAM_CREDIT if request.stream else 0
        worker.lease = request
        worker.deliveries += 1
        topic.delivered += 1
        busy = len(topic.members) - len(topic.ready)
        if busy > topic.busy_peak:
            topic.busy_peak = busy
        if not topic.used:
            self._reports.used(topic, now)
        topic.served[worker.worker_topic] = None
        if topic.members_do == RETIRE:
            worker.retiring = True
        elif topic.members_do == RETURN:
            worker.returning = True
        self._board.outbox.append(
            (
                worker.peer,
                Task(
                    request.request_id,
                    "",
                    "",
                    request.attempt,
                    request.deadline_ns,
                    request.next_topic,
                    request.credit,
                    request.traceparent,
                    request.payload,
                ),
            )
        )
        if request.attempt >= request.max_attempts:
            self._board.drop_payload(request)
