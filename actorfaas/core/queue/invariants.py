"""What must hold of the LocalQueue's tables between any two events."""

from __future__ import annotations

from actorfaas.core.queue.board import Board
from actorfaas.core.queue.records import (
    ARMED,
    DELAYED,
    ENDED,
    LEASED,
    LOST,
    STREAM_WINDOW_BYTES,
    WAITING,
    Assignment,
    Request,
    Topic,
    Work,
    Worker,
)
from actorfaas.errors import InvariantViolation


def check(board: Board) -> None:
    """Raises InvariantViolation."""
    requests = _all_requests(board)
    for topic in board.topics.values():
        _check_topic(topic)
    given: set[Work] = set()
    for worker in [*board.workers.values(), *board.lost.values()]:
        _check_worker(board, worker)
        if worker.lease is not None:
            _require(worker.lease not in given, f"{worker.lease.request_id} is with two workers")
            given.add(worker.lease)
    for request in requests:
        _check_request(board, request, given)
    armed = {worker.armed for worker in board.workers.values() if worker.armed is not None}
    _require(
        len(board.deadlines) == len(requests | given | armed), "a deadline is missing or is left of something ended"
    )
    delayed = sum(request.phase is DELAYED for request in requests)
    _require(len(board.retries) == delayed, "the delayed requests and the retry timers differ")
    _require(set(board.worker_of.values()) == set(board.workers.values()), "workers by name and by connection differ")
    _require(not board.lost.keys() & board.workers.keys(), "a worker is connected and lost")
    payload_bytes = sum(len(request.payload) for request in requests)
    _require(board.payload_bytes == payload_bytes, "the bytes of payloads were not counted right")


def _all_requests(board: Board) -> set[Request]:
    requests = {request for mine in board.publishers.values() for request in mine.values()}
    for worker in [*board.workers.values(), *board.lost.values()]:
        if isinstance(worker.lease, Request):
            requests.add(worker.lease)
    return requests


def _check_topic(topic: Topic) -> None:
    _require(not (topic.waiting and topic.ready), f"{topic.name}: requests wait although a member is ready")
    _require(topic.ready.keys() <= topic.members.keys(), f"{topic.name}: someone ready is no member")
    _require(all(r.phase is WAITING for r in topic.waiting), f"{topic.name}: something else waits")
    _require(all(r.phase in (DELAYED, LOST) for r in topic.held), f"{topic.name}: something else is held")
    for worker in topic.members:
        _require(worker.topic is topic, f"{worker.worker_topic} is a member of {topic.name} and does not know it")
        idle = worker.lease is None
        _require((worker in topic.ready) is idle, f"{worker.worker_topic}: ready and idle differ")


def _check_worker(board: Board, worker: Worker) -> None:
    name = worker.worker_topic
    lease = worker.lease
    if worker.topic is not None:
        _require(worker in worker.topic.members, f"{name} is lent to {worker.topic.name}, which does not know it")
        _require(worker.armed is None and not isinstance(lease, Assignment), f"{name} is lent and assigned to")
    if lease is not None:
        _require(lease.worker is worker, f"{name} and its lease differ")
        _require(lease.phase is (LOST if name in board.lost else LEASED), f"{name}: its lease is {lease.phase.name}")
        _require(worker.armed is None and not worker.condemned, f"{name} has more than a lease")
    if worker.armed is not None:
        _require(worker.armed.phase is ARMED and worker.armed.worker is worker, f"{name}: its armed task is not")
    if name in board.lost:
        _require(lease is not None and worker.topic is None, f"{name} is lost and has nothing to settle")


def _check_request(board: Board, request: Request, given: set[Work]) -> None:
    name = request.request_id
    _require(request.phase is not ENDED, f"{name} has ended and is still known")
    _require((request in given) is (request.phase in (LEASED, LOST)), f"{name}: its phase and its worker differ")
    _require((request in request.topic.waiting) is (request.phase is WAITING), f"{name} is not where it waits")
    held = request in request.topic.held
    _require(held is (request.phase in (DELAYED, LOST)), f"{name} is not where it is held")
    held_back = sum(request.unread) > STREAM_WINDOW_BYTES and not request.abandoned
    _require(
        request.phase is not LEASED or request.is_held_back is held_back, f"{name}: its worker is not heard, or is"
    )
    mine = board.publishers.get(request.publisher) if request.publisher is not None else None
    _require(mine is None or mine.get(name) is request, f"{name}: its publisher does not know it")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise InvariantViolation(otherwise)
