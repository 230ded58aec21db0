"""Every pool of the node and what can be done to a single worker: lend, retire, kill, forget.

Base of `core.dispatch`; which worker it is done to is decided above.
"""

from __future__ import annotations

from collections import deque

from actorfaas.core import lifecycle
from actorfaas.core.effects import Effect, Lost, Outcome, Tell
from actorfaas.core.paging import NoPager, Pager
from actorfaas.core.pool import NS_PER_S, Pool
from actorfaas.core.worker import NO_PAGE_IN, Claim, Worker
from actorfaas.errors import InvariantViolation
from actorfaas.ids import PAGED_STRATEGIES
from actorfaas.messages import (
    KillWorker,
    Message,
    RetireWorker,
    Subscribe,
    WorkerState,
)

ENDED_REMEMBERED = 256
"""Workers that ended last: what the other of supervisor and LocalQueue says late about their start is ignored."""


UNREAPED_NS = 3 * NS_PER_S
"""A process whose connection ended exits by itself; one that has not by then is killed."""


class Roster:
    """The pools, what is to be done (`effects`), and the answers to claims (`outcomes`)."""

    def __init__(self, max_workers: int) -> None:
        self.pools: dict[str, Pool] = {}
        self.effects: list[Effect] = []
        self.outcomes: deque[Outcome] = deque()
        self.pager: Pager = NoPager()
        self._max_workers = max(1, max_workers)
        self._connected = False
        self.supervisor_lost_ns = 0
        self._starved: dict[str, int] = {}
        self._is_squeezed = False
        self._ended: deque[str] = deque(maxlen=ENDED_REMEMBERED)
        self._unreaped: dict[str, tuple[KillWorker, int]] = {}  # what ends those, and since when

    def total(self) -> int:
        """Instances on the node, with those asked for."""
        return sum(pool.size for pool in self.pools.values())

    def detached(self, worker_topic: str, now_ns: int) -> None:
        """A worker's connection ended. Its process should end, too: nobody else would notice one that goes on."""
        worker = self._worker(worker_topic)
        if worker is not None:
            kill = KillWorker(worker.function_topic, worker.pid, "its connection had ended and it went on")
            self._unreaped[worker_topic] = (kill, now_ns)

    def reaped(self, worker_topic: str) -> None:
        """A worker's process ended."""
        self._unreaped.pop(worker_topic, None)

    def _end_unreaped(self, now_ns: int) -> None:
        for worker_topic, (kill, since_ns) in list(self._unreaped.items()):
            if now_ns - since_ns >= UNREAPED_NS:
                del self._unreaped[worker_topic]
                self.effects.append(Tell("fw_supervisor", kill))

    def describe(self, now_ns: int) -> list[WorkerState]:
        """Every worker there is."""
        return [
            WorkerState(
                worker_topic=worker.topic,
                function=pool.topic.rpartition("@")[0],
                version=int(pool.topic.rpartition("@")[2]),
                pid=worker.pid,
                state=worker.phase,
                start_kind=worker.start_kind,
                held_by=worker.lent_to or (worker.claim.execution_id if worker.claim else ""),
                age_ns=now_ns - worker.born_ns,
                tasks=worker.tasks,
            )
            for pool in self.pools.values()
            for worker in pool.workers.values()
        ]

    def check_invariants(self) -> None:
        """Raise InvariantViolation when a limit is broken, a worker is lost, or somebody waits for nothing."""
        unasked = sum(worker.unasked for pool in self.pools.values() for worker in pool.workers.values())
        if self.total() - unasked > self._max_workers:
            raise InvariantViolation(f"{self.total()} workers, {self._max_workers} allowed")
        for pool in self.pools.values():
            pool.check_invariants()
            stalled = pool.short() > 0 and not pool.starts and not pool.not_before_ns and self._can_start(pool, 0)
            if stalled and self._connected:
                raise InvariantViolation(f"{pool.topic}: requests wait, there is room, and nothing is started")

    def _room(self, pool: Pool) -> int:
        """How many instances may be added; a starved pool that has none at all comes before one that has some."""
        free = self._max_workers - self.total()
        if self._starved and pool.staying() > 0:
            free -= sum(self._is_destitute(topic) for topic in self._starved if topic != pool.topic)
        return min(pool.concurrency - pool.size, free)

    def _memory_room(self, pool: Pool) -> int:
        """How many instances that stay fit in memory. Functions that have none come in the order in which they began
        to wait; while memory is short, only these get any."""
        if not self._may_grow(pool):
            return 0
        first = next((topic for topic in self._starved if self._is_destitute(topic)), pool.topic)
        room = self.pager.room(pool.topic) if first == pool.topic or self.pager.room(first) else 0
        return min(room, 1) if self._is_squeezed else room

    def _may_grow(self, pool: Pool) -> bool:
        """Whether it may have another instance that stays: while memory is short, only who has none at all."""
        return not self._is_squeezed or pool.size == 0

    def _can_start(self, pool: Pool, now_ns: int) -> bool:
        """Whether a new instance that stays could be had now."""
        has_room = self._room(pool) > 0 and self._memory_room(pool) > 0
        return pool.ready and pool.not_before_ns <= now_ns and has_room

    def _is_destitute(self, topic: str) -> bool:
        pool = self.pools.get(topic)
        if pool is None or not pool.ready or pool.not_before_ns:
            return False
        return pool.staying() == 0 and pool.size < pool.concurrency

    def worker(self, worker_topic: str) -> Worker | None:
        """A worker that has not ended and is not told to."""
        worker = self._worker(worker_topic)
        return None if worker is None or worker.leaving else worker

    def _worker(self, worker_topic: str) -> Worker | None:
        pool = self.pools.get(worker_topic.rpartition("_")[0])
        return None if pool is None else pool.workers.get(worker_topic)

    def _pool_of_topic(self, topic: str) -> Pool | None:
        return self.pools.get(topic.partition("!")[0])

    def _new_worker(self, pool: Pool, topic: str, pid: int, kind: str, now_ns: int) -> Worker:
        worker = Worker(topic=topic, function_topic=pool.topic, pid=pid, start_kind=kind, born_ns=now_ns)
        worker.goes_out, worker.stays_in = bool(pool.paged), pool.stays_in
        worker.become(lifecycle.REPORTING)
        pool.workers[topic] = worker
        return worker

    def _expect(self, pool: Pool, topic: str, pid: int, kind: str, now_ns: int) -> Worker:
        """The worker that one of the starts under way has become."""
        start = pool.take_start(kind)
        worker = self._new_worker(pool, topic, pid, kind, now_ns)
        worker.fresh = start.fresh if start is not None else kind == "cold"
        worker.asked_ns = start.asked_ns if start is not None else 0
        worker.unasked = start is None
        return worker

    def _lend(self, pool: Pool, worker: Worker, topic: str, now_ns: int) -> None:
        kind, worker.next_kind = worker.next_kind, ""
        page_in, worker.page_in = worker.page_in, NO_PAGE_IN
        worker.goes_out = self._goes_out(pool, topic.partition("!")[2])
        pool.lend(worker, topic, now_ns)
        self._tell_queue(Subscribe(worker.topic, topic, kind, page_in.took_ns))
        self.pager.changed(worker)

    @staticmethod
    def _goes_out(pool: Pool, kind: str) -> bool:
        """Whether a worker goes out at once after this use. Those of strategy resident stay, whatever a call wants."""
        return not pool.stays_in and (bool(pool.paged) or kind in PAGED_STRATEGIES)

    def _idle(self, pool: Pool, worker: Worker, now_ns: int) -> None:
        pool.make_idle(worker, now_ns)
        self.pager.changed(worker)

    def _stay_out(self, pool: Pool, worker: Worker) -> None:
        """A worker that is out, or being brought in, was reserved and is not needed for that."""
        pool.keep_out(worker)
        self.pager.not_needed(worker)
        self.pager.changed(worker)

    def _grant(self, pool: Pool, worker: Worker, claim: Claim, now_ns: int) -> None:
        pool.grant(worker, claim, now_ns)
        worker.goes_out = self._goes_out(pool, claim.kind)
        self.pager.changed(worker)

    def _retire(self, pool: Pool, worker: Worker) -> None:
        pool.let_go(worker)
        self._tell_queue(RetireWorker(worker_topic=worker.topic))

    def _kill(self, pool: Pool, worker: Worker, reason: str) -> None:
        pool.let_go(worker)
        message = KillWorker(function_topic=pool.topic, pid=worker.pid, reason=reason)
        self.effects.append(Tell("fw_supervisor", message))

    def _remove(self, pool: Pool, worker: Worker, *, platform: bool) -> None:
        claim = worker.claim
        if claim is not None and claim.kind in pool.paged_claims and worker.phase == lifecycle.PAGING_IN:
            claim.worker = ""  # it had not got its task yet: another worker will do
            pool.paged_claims[claim.kind].appendleft(claim)
            claim = None
        pool.forget(worker)
        self.pager.gone(worker)
        self._ended.append(worker.topic)
        if claim is not None:
            self.outcomes.append(Lost(claim, worker.topic, platform))

    def _tell_queue(self, message: Message) -> None:
        self.effects.append(Tell("local_queue", message))
