"""Published requests: accepted or refused, answered, redelivered, cancelled, expired.

Every accepted request is answered exactly once. How many are accepted is bounded: at most `queue_limit` wait or are
held back for redelivery; a new one beyond that is refused with `queue_full`, one whose payload does not fit beside all
others with `overloaded`. Requests that already run and fail may come on top of it, at most one for every
member, because what was accepted is not given up for want of room.
"""

from __future__ import annotations

from actorfaas.core.queue.board import Board, run_within
from actorfaas.core.queue.members import EXPIRED_WAITING, Members
from actorfaas.core.queue.records import (
    DELAYED,
    LEASED,
    LOST,
    STREAM_CREDIT,
    STREAM_WINDOW_BYTES,
    WAITING,
    Failure,
    Peer,
    Request,
    Worker,
)
from actorfaas.messages import InvocationChunk, Publish, TaskChunk, TaskCredit, TaskResult

_NEVER_AGAIN = frozenset({"bad_payload", "timeout", "cancelled"})


class Requests:
    """Published requests from acceptance to answer."""

    __slots__ = ("_board", "_members")

    def __init__(self, board: Board, members: Members) -> None:
        self._board = board
        self._members = members

    def publish(self, publisher: Peer, published: Publish, now: int) -> None:
        """Accept or refuse a request. One whose id is under way already for this publisher is that same request."""
        board = self._board
        topic = board.topics.get(published.topic)
        if topic is None:
            detail = f"nothing is deployed under the topic {published.topic!r}"
            return board.refuse(publisher, published, "no_topic", detail, 0.0)
        mine = board.publishers.get(publisher)
        if mine is None:
            mine = board.publishers[publisher] = {}
        elif published.request_id in mine:
            return None
        pending = len(topic.waiting) + len(topic.held)
        if pending > topic.queue_limit or (pending == topic.queue_limit and not topic.ready):
            detail = f"{pending} requests wait for {topic.name}; its queue_limit is {topic.queue_limit}"
            return board.refuse(publisher, published, "queue_full", detail, topic.retry_after_s())
        size_bytes = len(published.payload)
        if board.payload_bytes and board.payload_bytes + size_bytes > board.payload_limit_bytes:
            detail = f"the requests that wait hold {board.payload_bytes} bytes already"
            return board.refuse(publisher, published, "overloaded", detail, topic.retry_after_s())
        if published.deadline_ns <= now:
            return board.refuse(publisher, published, "timeout", EXPIRED_WAITING.error_message, 0.0)
        request = Request(publisher, topic, published, now)
        mine[request.request_id] = request
        board.payload_bytes += size_bytes
        board.deadlines.add(request.deadline_ns, request)
        return self._members.offer(request, now)

    def finished(self, request: Request, worker: Worker, result: TaskResult, now: int) -> None:
        """The worker that has `request` returned its result."""
        run = run_within(request, result.started_ns, result.ended_ns, now)
        self._account(request, run, now)
        starts = request.topic.starts
        count, took_ns = starts.get(request.start_kind, (0, 0))
        starts[request.start_kind] = count + 1, took_ns + run[1] - request.delivered_ns
        self._board.answer(request, worker, result, run)

    def failed(self, request: Request, failure: Failure, now: int) -> None:
        """A delivery failed: redeliver while attempts and time are left, else answer. The worker is dealt with
        elsewhere. Pieces of a stream that the caller already has cannot be taken back, so it is not begun anew."""
        if request.phase is LEASED:
            self._account(request, (failure.started_ns, failure.ended_ns), now)
        request.topic.held.pop(request, None)
        due_ns = now + (request.retry_delay_ns << min(request.attempt - 1, 30))
        if not self._may_run_again(request, failure) or due_ns >= request.deadline_ns:
            return self._board.fail(request, failure, now)
        request.worker = None
        request.delivered_ns = 0
        if due_ns <= now:
            return self._members.offer(request, now)
        request.enter(DELAYED)
        request.due_ns = due_ns
        request.topic.held[request] = None
        return self._board.retries.add(due_ns, request)

    @staticmethod
    def _may_run_again(request: Request, failure: Failure) -> bool:
        return (
            request.attempt < request.max_attempts
            and failure.reason not in _NEVER_AGAIN
            and request.publisher is not None
            and not (request.abandoned or request.chunks or request.topic.dropped)
        )

    def lost(self, request: Request) -> None:
        """The connection of the worker that has `request` ended; the reason is awaited."""
        request.enter(LOST)
        request.topic.held[request] = None

    def retry_due(self, request: Request, now: int) -> None:
        """The delay before a redelivery is over."""
        request.topic.held.pop(request, None)
        self._members.offer(request, now)

    def drop(self, request: Request, failure: Failure, now: int) -> None:
        """End a request that no worker has."""
        topic = request.topic
        if request.phase is WAITING:
            del topic.waiting[request]
        else:
            topic.held.pop(request, None)
            self._board.retries.discard(request.due_ns, request)
        self._board.fail(request, failure, now)

    def publisher_gone(self, publisher: Peer, now: int) -> list[Request]:
        """Nobody waits for this publisher's answers: queued requests are dropped, running ones are left to end.
        Returns those among them that stream, for nobody now."""
        requests = self._board.publishers.pop(publisher, {})
        streams = []
        for request in requests.values():
            request.publisher = None
            if request.phase is LEASED:
                if request.stream:
                    streams.append(request)
            elif request.phase is not LOST:
                self.drop(request, Failure("cancelled", "its publisher is gone"), now)
        return streams

    def abandon(self, request: Request, now: int) -> None:
        """The caller is gone: drop the request unless it runs; then it is left to end."""
        request.abandoned = True
        if request.phase is LEASED:
            self._let_run(request)
        elif request.phase is not LOST:
            self.drop(request, Failure("cancelled", "the caller cancelled it"), now)

    def chunk(self, request: Request, worker: Worker, piece: TaskChunk) -> bool:
        """Pass on one piece of a stream; False if the worker had no credit for it."""
        if request.credit <= 0:
            return False
        request.credit -= 1
        request.chunks += 1
        if request.publisher is None or request.abandoned:
            self._grant(request, worker, 1)
        else:
            self._board.outbox.append(
                (request.publisher, InvocationChunk(piece.request_id, piece.content, piece.payload))
            )
            request.unread.append(len(piece.payload))
            self._hold_back(request)
        return True

    def credit(self, request: Request, chunks: int) -> None:
        """The caller took `chunks` pieces."""
        if request.phase is LEASED and request.stream and not request.abandoned and request.worker is not None:
            for _ in range(min(chunks, len(request.unread))):
                request.unread.popleft()
            self._hold_back(request)
            self._grant(request, request.worker, chunks)

    def _hold_back(self, request: Request) -> None:
        self._board.hold_back(request, sum(request.unread) > STREAM_WINDOW_BYTES)

    def _let_run(self, request: Request) -> None:
        """A stream that nobody reads must not wait for credit until its deadline."""
        if request.stream and request.worker is not None:
            request.unread.clear()
            self._hold_back(request)
            self._grant(request, request.worker, STREAM_CREDIT)

    def _grant(self, request: Request, worker: Worker, chunks: int) -> None:
        granted = min(chunks, STREAM_CREDIT - request.credit)
        if granted > 0:
            request.credit += granted
            self._board.outbox.append((worker.peer, TaskCredit(request.request_id, granted)))

    @staticmethod
    def _account(request: Request, run: tuple[int, int], now: int) -> None:
        topic = request.topic
        topic.ended += 1
        topic.run_ns += run[1] - run[0]
        took_ns = now - request.delivered_ns
        topic.service_ns = topic.service_ns + ((took_ns - topic.service_ns) >> 3) if topic.service_ns else took_ns
