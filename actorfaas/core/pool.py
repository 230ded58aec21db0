"""The workers of one function version: who is idle, lent, claimed, on the way or leaving.

Owns the bookkeeping of a single pool, so that every worker is in exactly one place. When a pool grows, shrinks or
gives a worker away is decided in `core.dispatch`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from actorfaas.core import lifecycle
from actorfaas.errors import InvariantViolation
from actorfaas.ids import FRESH_STRATEGIES, request_topic
from actorfaas.messages import FunctionSpec

NS_PER_S = 1_000_000_000

IN_FLIGHT_NS = 2_000_000
"""How long a message to the LocalQueue may be on its way, generously."""


@dataclass(slots=True, eq=False)
class Claim:
    """An execution's wish for one worker. `distance` 0: a state waits for it; more: reserved ahead of its state.

    `fresh`: fork or cold when the state must get an instance of its own, else "". `worker` once granted.
    """

    execution_id: str
    function_topic: str
    distance: int
    fresh: str = ""
    worker: str = ""


@dataclass(slots=True, eq=False)
class Worker:
    """One instance. `fresh`: made for a single request. `lent_to`: the topic the LocalQueue may use it for.

    `taking_back`: an `Unsubscribe` is under way. `releasing`: its armed task is being released, the LocalQueue has
    not said who won. `leaving`: told to exit, or killed; only its end is awaited. `unasked`: it came although nobody
    (any more) asked for it, after a restart; such a worker may exceed a limit until it is retired.
    """

    topic: str
    function_topic: str
    pid: int
    start_kind: str
    born_ns: int
    phase: str = lifecycle.FORKING
    fresh: bool = False
    lent_to: str = ""
    lent_since_ns: int = 0
    idle_since_ns: int = 0
    refused_ns: int = 0
    claim: Claim | None = None
    taking_back: bool = False
    releasing: bool = False
    leaving: bool = False
    unasked: bool = False
    tasks: int = 0

    def become(self, phase: str) -> None:
        """Take a step of the life cycle. Raises IllegalTransition."""
        self.phase = lifecycle.step(self.topic, self.phase, phase)


@dataclass(frozen=True, slots=True)
class Start:
    """One instance asked of the supervisor that nobody has seen yet."""

    kind: str
    fresh: bool
    asked_ns: int


@dataclass(slots=True, eq=False)
class Pool:
    """One function version's workers and who waits for them.

    `ready`: its template can start workers. `broken`: why the template cannot be made at all, else "".
    """

    topic: str
    concurrency: int
    queue_limit: int
    warm: int
    idle_timeout_ns: int
    ready: bool = False
    broken: str = ""
    workers: dict[str, Worker] = field(default_factory=dict)
    idle: dict[str, Worker] = field(default_factory=dict)
    lent: dict[str, Worker] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    needed: deque[Claim] = field(default_factory=deque)
    ahead: deque[Claim] = field(default_factory=deque)
    fresh_claims: dict[str, deque[Claim]] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    peaks: deque[tuple[int, int]] = field(default_factory=deque)
    release_asked: int = 0
    failures: int = 0
    not_before_ns: int = 0
    last_used_ns: int = 0

    @classmethod
    def of(cls, topic: str, spec: FunctionSpec) -> Pool:
        """The empty pool of a function; one whose every request is fresh keeps no warm instances."""
        concurrency = max(1, spec.concurrency)
        warm = 0 if spec.strategy in FRESH_STRATEGIES else min(max(0, spec.warm), concurrency)
        pool = cls(topic, concurrency, spec.queue_limit, warm, int(spec.idle_timeout_s * NS_PER_S))
        pool.fresh_claims = {kind: deque() for kind in sorted(FRESH_STRATEGIES)}
        pool.waiting = dict.fromkeys([topic, *(request_topic(topic, kind) for kind in sorted(FRESH_STRATEGIES))], 0)
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

    def coming(self) -> int:
        """Reusable workers that will be idle soon without anything more being done."""
        soon = sum(not start.fresh for start in self.starts)
        for worker in self.workers.values():
            if worker.leaving:
                continue
            reporting = worker.phase == lifecycle.REPORTING and not worker.fresh
            soon += reporting or worker.taking_back or worker.releasing
        return soon

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
        return bool(self.needed) or any(self.waiting.values()) or any(self.fresh_claims.values())

    # --- moving workers ---

    def make_idle(self, worker: Worker, now_ns: int) -> None:
        """The ExecutionManager holds the worker, which has nothing to do."""
        worker.claim = None
        worker.taking_back = worker.releasing = False
        self.lent.pop(worker.topic, None)
        worker.lent_to = ""
        if worker.phase != lifecycle.RESIDENT:
            worker.become(lifecycle.RESIDENT)
        worker.idle_since_ns = now_ns
        self.idle[worker.topic] = worker

    def grant(self, worker: Worker, claim: Claim, now_ns: int) -> None:
        """The worker belongs to a claim from now on."""
        self.idle.pop(worker.topic, None)
        worker.become(lifecycle.RESERVED)
        worker.claim = claim
        claim.worker = worker.topic
        self.last_used_ns = now_ns

    def lend(self, worker: Worker, topic: str, now_ns: int) -> None:
        """The LocalQueue may give the worker the requests of `topic`."""
        self.idle.pop(worker.topic, None)
        worker.lent_to = topic
        worker.lent_since_ns = now_ns
        self.waiting[topic] = max(0, self.waiting[topic] - 1)
        if topic == self.topic:
            self.lent[worker.topic] = worker

    def let_go(self, worker: Worker) -> None:
        """The worker was told to exit; only its end is awaited."""
        self.idle.pop(worker.topic, None)
        self.lent.pop(worker.topic, None)
        worker.leaving = True
        worker.taking_back = worker.releasing = False

    def forget(self, worker: Worker) -> None:
        """The worker has ended."""
        self.idle.pop(worker.topic, None)
        self.lent.pop(worker.topic, None)
        del self.workers[worker.topic]
        worker.become(lifecycle.DEAD)

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
                bool(worker.lent_to) and not worker.leaving,
                worker.claim is not None and not worker.leaving,
                worker.releasing,
                worker.leaving,
            ]
            if sum(places) != 1:
                raise InvariantViolation(f"{worker.topic} is in {sum(places)} places: {worker}")
            if worker.claim is not None and worker.claim.worker != worker.topic:
                raise InvariantViolation(f"{worker.topic} is held by a claim that does not know it")
        for topic in (*self.idle, *self.lent):
            if topic not in self.workers:
                raise InvariantViolation(f"{topic} is offered but does not exist")
        queued = [*self.needed, *self.ahead, *(claim for kind in self.fresh_claims.values() for claim in kind)]
        if any(claim.worker for claim in queued):
            raise InvariantViolation(f"{self.topic}: a claim waits although it has a worker")
        if self.idle and (self.needed or self.waiting[self.topic] > 0):
            raise InvariantViolation(f"{self.topic}: workers are idle while requests wait")
