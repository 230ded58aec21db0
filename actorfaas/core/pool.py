"""The workers of one function version: who is idle, lent, claimed, on the way or leaving.

Owns the bookkeeping of a single pool, so that every worker is in exactly one place. When a pool grows, shrinks or
gives a worker away is decided in `core.dispatch`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from actorfaas.core import lifecycle
from actorfaas.core.worker import NO_PAGE_IN, Claim, Start, Worker
from actorfaas.errors import InvariantViolation
from actorfaas.ids import FRESH_STRATEGIES, PAGED_STRATEGIES, request_topic
from actorfaas.messages import FunctionSpec

NS_PER_S = 1_000_000_000

IN_FLIGHT_NS = 2_000_000
"""How long a message to the LocalQueue may be on its way, generously."""


@dataclass(slots=True, eq=False)
class Pool:
    """One function version's workers and who waits for them.

    `ready`: its template can start workers. `broken`: why the template cannot be made at all, else "". `away`: held
    workers whose memory is out, or on its way. `paged`: the strategy when all calls are to meet workers that are out.
    `stays_in`: strategy resident, nothing of it is ever brought out. `paged_turn`: the next worker that is free goes to
    a strategy of paging if one waits, because the last one went to plain requests or states.
    """

    topic: str
    concurrency: int
    queue_limit: int
    warm: int
    idle_timeout_ns: int
    paged: str = ""
    stays_in: bool = False
    ready: bool = False
    broken: str = ""
    workers: dict[str, Worker] = field(default_factory=dict)
    idle: dict[str, Worker] = field(default_factory=dict)
    lent: dict[str, Worker] = field(default_factory=dict)
    away: dict[str, Worker] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    needed: deque[Claim] = field(default_factory=deque)
    ahead: deque[Claim] = field(default_factory=deque)
    fresh_claims: dict[str, deque[Claim]] = field(default_factory=dict)
    paged_claims: dict[str, deque[Claim]] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    peaks: deque[tuple[int, int]] = field(default_factory=deque)
    rested: list[Worker] = field(default_factory=list)
    paged_turn: bool = False
    release_asked: int = 0
    failures: int = 0
    not_before_ns: int = 0
    last_used_ns: int = 0
    served_ns: int = 0

    @classmethod
    def of(cls, topic: str, spec: FunctionSpec) -> Pool:
        """The empty pool of a function; one whose every request is fresh keeps no warm instances."""
        concurrency = max(1, spec.concurrency)
        warm = 0 if spec.strategy in FRESH_STRATEGIES else min(max(0, spec.warm), concurrency)
        pool = cls(topic, concurrency, spec.queue_limit, warm, int(spec.idle_timeout_s * NS_PER_S))
        pool.paged = spec.strategy if spec.strategy in PAGED_STRATEGIES else ""
        pool.stays_in = spec.strategy == "resident"
        pool.fresh_claims = {kind: deque() for kind in sorted(FRESH_STRATEGIES)}
        pool.paged_claims = {kind: deque() for kind in sorted(PAGED_STRATEGIES)}
        kinds = sorted(FRESH_STRATEGIES | PAGED_STRATEGIES)
        pool.waiting = dict.fromkeys([topic, *(request_topic(topic, kind) for kind in kinds)], 0)
        return pool

    # --- counting ---

    @property
    def size(self) -> int:
        """Instances that exist or are asked for; never above `concurrency`."""
        return len(self.workers) + len(self.starts)

    def staying(self) -> int:
        """Reusable instances that are alive, or coming, and not told to leave."""
        alive = sum(not (worker.leaving or worker.fresh) for worker in self.workers.values())
        return alive + sum(not start.fresh for start in self.starts)

    def out(self) -> int:
        """Held workers whose memory is out, or leaves."""
        return sum(worker.phase in (lifecycle.SWAPPED, lifecycle.PAGING_OUT) for worker in self.away.values())

    def coming(self) -> int:
        """Reusable workers that will be idle soon without anything more being done."""
        soon = sum(not start.fresh for start in self.starts)
        for worker in self.workers.values():
            if worker.leaving:
                continue
            reporting = worker.phase == lifecycle.REPORTING and not worker.fresh
            waking = worker.topic in self.away and worker.phase == lifecycle.PAGING_IN
            soon += reporting or waking or worker.releasing or (worker.taking_back and not worker.to_go)
        return soon

    def arriving(self) -> int:
        """Reusable instances that have not reported themselves."""
        asked = sum(not start.fresh for start in self.starts)
        return asked + sum(
            worker.phase == lifecycle.REPORTING and not (worker.fresh or worker.leaving)
            for worker in self.workers.values()
        )

    def fresh_coming(self, kind: str) -> int:
        """Fresh instances of a kind on their way."""
        asked = sum(start.fresh and start.kind == kind for start in self.starts)
        return asked + sum(
            worker.fresh and worker.phase == lifecycle.REPORTING and worker.start_kind == kind
            for worker in self.workers.values()
        )

    def fresh_short(self, kind: str) -> int:
        """Fresh instances of a kind that are wanted and not on their way."""
        wanted = self.waiting[request_topic(self.topic, kind)] + len(self.fresh_claims[kind])
        return wanted - self.fresh_coming(kind)

    def paged_short(self, kind: str) -> int:
        """Workers that a strategy of paging waits for and that nothing has been done about."""
        if not self._is_asked(kind):
            return 0
        topic = request_topic(self.topic, kind)
        coming = sum(worker.away_for == topic for worker in self.workers.values() if not worker.leaving)
        return self.waiting[topic] + len(self.paged_claims[kind]) - coming

    def paged_next(self) -> str:
        """The strategy of paging that is to be given a worker next, "" for none: the one served longest ago."""
        return next((kind for kind in self.paged_claims if self.paged_short(kind) > 0), "")

    def serve_paged(self, kind: str) -> None:
        """A strategy of paging is given a worker: next come plain requests and states, then the other strategies."""
        self.paged_turn = False
        self.paged_claims[kind] = self.paged_claims.pop(kind)

    def short(self) -> int:
        """Reusable workers that somebody waits for and that are not on their way."""
        return len(self.needed) + self.waiting[self.topic] - self.coming()

    def lent_recently(self, topic: str, now_ns: int) -> int:
        """Workers lent to `topic` so recently that the LocalQueue may not have known when it counted."""
        return sum(
            worker.lent_to == topic and now_ns - worker.lent_since_ns < IN_FLIGHT_NS for worker in self.workers.values()
        )

    def is_wanted(self) -> bool:
        """Whether anybody waits for a worker of this pool."""
        claims = (*self.fresh_claims.values(), *self.paged_claims.values())
        return bool(self.needed) or any(self.waiting.values()) or any(claims)

    def swapped(self) -> Worker | None:
        """A held worker that is out, the oldest first: it has been called most, so that its memory has settled, and
        what its function's record says of it holds."""
        if not self.away:
            return None
        out = (each for each in self.workers.values() if each.phase == lifecycle.SWAPPED and each.topic in self.away)
        return next(out, None)

    def last_idle(self) -> Worker | None:
        """The held worker that became idle last."""
        return self.idle[next(reversed(self.idle))] if self.idle else None

    def spare(self) -> Worker | None:
        """The held worker that can be missed most easily: out for longest, or idle for longest."""
        for worker in self.away.values():
            if worker.phase == lifecycle.SWAPPED:
                return worker
        return self.idle[next(iter(self.idle))] if self.idle else None

    def paged_rest(self) -> int:
        """How many more instances strategies of paging need than are held, on their way, or being brought out."""
        missing = sum(max(0, self.paged_short(kind)) for kind in self.paged_claims)
        if not missing:
            return 0
        leaving = sum(worker.phase == lifecycle.PAGING_OUT for worker in self.away.values())
        leaving += sum(worker.returning or (worker.taking_back and worker.to_go) for worker in self.lent.values())
        return max(0, missing - leaving - max(0, -self.short()))

    def _is_asked(self, kind: str) -> bool:
        return bool(self.paged_claims[kind] or self.waiting[request_topic(self.topic, kind)])

    def claims(self, kind: str) -> deque[Claim]:
        """States that wait for a worker by a strategy; "" for the pool's."""
        return (self.fresh_claims | self.paged_claims)[kind] if kind else self.needed

    def queues(self) -> list[deque[Claim]]:
        """Every queue of claims."""
        return [self.needed, self.ahead, *self.fresh_claims.values(), *self.paged_claims.values()]

    # --- moving workers ---

    def keep_out(self, worker: Worker) -> None:
        """The ExecutionManager holds the worker, which is out or on its way in; nobody has reserved it any more."""
        worker.claim = None
        worker.releasing = False
        worker.next_kind = ""
        self.away[worker.topic] = worker

    def make_idle(self, worker: Worker, now_ns: int) -> None:
        """The ExecutionManager holds the worker, which has nothing to do."""
        worker.claim = None
        worker.taking_back = worker.returning = worker.releasing = False
        self.lent.pop(worker.topic, None)
        self.away.pop(worker.topic, None)
        worker.lent_to = worker.away_for = ""
        worker.to_go = False
        if worker.phase != lifecycle.RESIDENT:
            worker.become(lifecycle.RESIDENT)
        worker.idle_since_ns = now_ns
        self.idle[worker.topic] = worker
        if worker.goes_out:
            self.rested.append(worker)

    def grant(self, worker: Worker, claim: Claim, now_ns: int) -> None:
        """The worker belongs to a claim from now on. One that is out stays so until it is brought in or called."""
        self.idle.pop(worker.topic, None)
        self.away.pop(worker.topic, None)
        if worker.phase == lifecycle.RESIDENT:
            worker.become(lifecycle.RESERVED)
        worker.away_for = ""
        worker.claim = claim
        claim.worker = worker.topic
        self.last_used_ns = now_ns

    def lend(self, worker: Worker, topic: str, now_ns: int) -> None:
        """The LocalQueue may give the worker the requests of `topic`."""
        self.idle.pop(worker.topic, None)
        self.away.pop(worker.topic, None)
        worker.away_for = ""
        if worker.phase != lifecycle.RESIDENT:
            worker.become(lifecycle.RESIDENT)
        worker.lent_to = topic
        worker.lent_since_ns = now_ns
        self.waiting[topic] = max(0, self.waiting[topic] - 1)
        if topic == self.topic:
            self.lent[worker.topic] = worker

    def let_go(self, worker: Worker) -> None:
        """The worker was told to exit; only its end is awaited."""
        self.idle.pop(worker.topic, None)
        self.lent.pop(worker.topic, None)
        self.away.pop(worker.topic, None)
        worker.leaving = True
        worker.taking_back = worker.returning = worker.releasing = worker.to_go = False
        worker.away_for = ""

    def forget(self, worker: Worker) -> None:
        """The worker has ended."""
        self.idle.pop(worker.topic, None)
        self.lent.pop(worker.topic, None)
        self.away.pop(worker.topic, None)
        del self.workers[worker.topic]
        worker.become(lifecycle.DEAD)

    def send_out(self, worker: Worker) -> None:
        """An idle worker's memory is being brought out."""
        del self.idle[worker.topic]
        worker.become(lifecycle.PAGING_OUT)
        worker.to_go = False
        worker.next_kind, worker.page_in = "", NO_PAGE_IN
        self.away[worker.topic] = worker

    def keep_for(self, worker: Worker, topic: str) -> None:
        """A held worker is brought in for a request of `topic`."""
        del self.away[worker.topic]
        worker.away_for = topic

    def take_start(self, kind: str) -> Start | None:
        """The oldest start of a kind that nobody has seen yet."""
        for position, start in enumerate(self.starts):
            if start.kind == kind:
                return self.starts.pop(position)
        return None

    # --- use over time ---

    def note_peak(self, busy_peak: int, now_ns: int) -> None:
        """Remember how many members were busy at once in the period that just ended."""
        while self.peaks and self.peaks[-1][1] <= busy_peak:
            self.peaks.pop()
        self.peaks.append((now_ns, busy_peak))

    def unused_members(self, now_ns: int) -> int:
        """Members of the topic that no request has needed for the whole idle timeout."""
        horizon = now_ns - self.idle_timeout_ns
        while self.peaks and self.peaks[0][0] < horizon:
            self.peaks.popleft()
        peak = self.peaks[0][1] if self.peaks else 0
        old = sum(worker.lent_since_ns <= horizon for worker in self.lent.values())
        return min(old, len(self.lent) - peak)

    def check_invariants(self) -> None:
        """Raise InvariantViolation unless every worker is in exactly one place and the limits hold."""
        if self.size - sum(worker.unasked for worker in self.workers.values()) > self.concurrency:
            raise InvariantViolation(f"{self.topic}: {self.size} instances, {self.concurrency} allowed")
        for worker in self.workers.values():
            places = [
                worker.phase == lifecycle.REPORTING and not worker.leaving,
                worker.topic in self.idle,
                worker.topic in self.away,
                bool(worker.away_for),
                bool(worker.lent_to) and not worker.leaving,
                worker.claim is not None and not worker.leaving,
                worker.releasing,
                worker.leaving,
            ]
            if sum(places) != 1:
                raise InvariantViolation(f"{worker.topic} is in {sum(places)} places: {worker}")
            if worker.claim is not None and worker.claim.worker != worker.topic:
                raise InvariantViolation(f"{worker.topic} is held by a claim that does not know it")
        for topic in (*self.idle, *self.lent, *self.away):
            if topic not in self.workers:
                raise InvariantViolation(f"{topic} is offered but does not exist")
        if any(claim.worker for queue in self.queues() for claim in queue):
            raise InvariantViolation(f"{self.topic}: a claim waits although it has a worker")
        if self.idle and (self.needed or self.waiting[self.topic] > 0):
            raise InvariantViolation(f"{self.topic}: workers are idle while requests wait")
