"""Pool policy: which worker serves what, when pools grow and shrink, and who makes room on a full node.

Owns every worker from the moment it is asked for until it has ended. A worker is lent to one topic, or held: idle,
or claimed by a state of an execution (`Claim`). What an execution does with a worker is left to `core.executions`.

Answers to a claim that could not be granted at once are appended to `outcomes`; what is to be done is appended to
`effects`. Rules that keep everybody moving:

- A state that waits (`distance` 0) gets, in this order: an idle held worker, one reserved far ahead by somebody else,
  an idle lent one, a new one, one reserved for the next state by somebody else. A reservation therefore never starves
  a state, and reserving starts a new instance only when the function has none at all.
- States and plain requests share a function's workers: neither side can hold all of them while the other waits.
- At the node's limit the longest unused idle workers of other functions make room; a function with nothing at all
  may take even their warm ones, and after `STARVED_NS` a member that is busy, once its request is done.
- A function whose workers fail to start `MAX_START_FAILURES` times in a row fails what waits for it (claims are
  denied, its topics dropped and declared again) instead of letting it wait; starting is tried again with back-off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from actorfaas.core import lifecycle
from actorfaas.core.effects import Declare, Denied, Effect, Granted, Lost, Outcome, Revoked, TakeBack, Tell
from actorfaas.core.pool import NS_PER_S, Claim, Pool, Start, Worker
from actorfaas.errors import InvariantViolation
from actorfaas.ids import FRESH_STRATEGIES, request_topic
from actorfaas.messages import (
    ConnectedWorker,
    DeclareTopic,
    DropTopic,
    FunctionSpec,
    KillWorker,
    Message,
    ReleaseIdle,
    RetireWorker,
    StartWorkers,
    Subscribe,
    WorkerState,
)

MAX_START_FAILURES = 3
START_BACKOFF_NS = NS_PER_S // 10
MAX_START_BACKOFF_NS = 5 * NS_PER_S
LEND_BACK_NS = NS_PER_S
"""A worker held idle this long goes to its topic, so that a plain call finds it without the ExecutionManager."""
BUSY_HINT_NS = 20_000_000
"""A lent worker that was busy is not asked for again so soon."""
STARVED_NS = NS_PER_S
STUCK_NS = 10 * NS_PER_S
START_PATIENCE_NS = 60 * NS_PER_S
"""An instance that was asked for must have reported itself by then (strategy cold imports everything anew)."""


def declarations(topic: str, queue_limit: int) -> list[DeclareTopic]:
    """The topics of one function version: its pool's, and one for each strategy with fresh instances."""
    pooled = DeclareTopic(topic=topic, queue_limit=queue_limit, one_shot=False)
    return [
        pooled,
        *(
            DeclareTopic(topic=request_topic(topic, kind), queue_limit=queue_limit, one_shot=True)
            for kind in sorted(FRESH_STRATEGIES)
        ),
    ]


class Dispatch:
    """Every pool of the node. Methods are events; `now_ns` is the monotonic clock."""

    def __init__(self, max_workers: int) -> None:
        self.pools: dict[str, Pool] = {}
        self.effects: list[Effect] = []
        self.outcomes: deque[Outcome] = deque()
        self._max_workers = max(1, max_workers)
        self._connected = False
        self._starved: dict[str, int] = {}

    # --- what exists -----------------------------------------------------------------------------------------------

    def add_pool(self, topic: str, spec: FunctionSpec) -> None:
        """A function version is going to be served; its template is not ready yet. Idempotent."""
        if topic not in self.pools:
            self.pools[topic] = Pool.of(topic, spec)

    def drain_pool(self, topic: str) -> None:
        """A function version is no longer current: it keeps no warm instances."""
        if topic in self.pools:
            self.pools[topic].warm = 0

    def restore_pool(self, topic: str, spec: FunctionSpec, now_ns: int) -> None:
        """A drained function version is current again."""
        self.pools[topic].warm = Pool.of(topic, spec).warm
        self._settle(self.pools[topic], now_ns)

    def remove_pool(self, topic: str, now_ns: int) -> None:
        """A function version is stopped with all its workers; what waits for it is denied."""
        pool = self.pools.pop(topic, None)
        if pool is None:
            return
        self._starved.pop(topic, None)
        self._deny_all(pool, f"{topic} is no longer served")
        for worker in pool.workers.values():
            if worker.claim is not None:
                self.outcomes.append(Lost(worker.claim, worker.topic, platform=True))
        self._serve_starved(now_ns)

    def template_ready(self, topic: str, ready: bool, now_ns: int) -> None:
        """Workers of a function can (or cannot) be started."""
        pool = self.pools.get(topic)
        if pool is not None:
            pool.ready = ready
            if ready:
                pool.failures = 0
                pool.not_before_ns = 0
                self._settle(pool, now_ns)

    def connected(self, now_ns: int) -> None:
        """The LocalQueue and the supervisor can both be told things."""
        self._connected = True
        for pool in list(self.pools.values()):
            self._settle(pool, now_ns)

    def queue_lost(self) -> None:
        """The LocalQueue has gone, and every worker with it. What the supervisor is asked to start may still come."""
        self._connected = False
        for pool in self.pools.values():
            for worker in list(pool.workers.values()):
                self._remove(pool, worker, platform=True)
            pool.waiting = dict.fromkeys(pool.waiting, 0)
            pool.release_asked = 0

    def supervisor_lost(self) -> None:
        """The supervisor has gone: nothing it was starting will come; its workers die with their templates."""
        self._connected = False
        for pool in self.pools.values():
            pool.ready = False
            pool.starts.clear()
            for worker in list(pool.workers.values()):
                if worker.phase == lifecycle.REPORTING:
                    self._remove(pool, worker, platform=True)

    def adopt(self, found: Iterable[ConnectedWorker], now_ns: int) -> None:
        """Workers that the LocalQueue has already, after a restart of this actor.

        Those lent or idle go on; what the ExecutionManager before had given a task of its own is killed, because
        that task is run again.
        """
        for one in found:
            pool = self.pools.get(one.function_topic)
            if pool is None:
                self._tell_queue(RetireWorker(worker_topic=one.worker_topic))
                continue
            if one.worker_topic in pool.workers:
                continue
            worker = self._new_worker(pool, one.worker_topic, one.pid, one.start_kind, now_ns)
            worker.become(lifecycle.RESIDENT)
            if one.activity == "retiring":
                pool.let_go(worker)
            elif one.lent_to:
                worker.fresh = one.lent_to != pool.topic
                worker.lent_to, worker.lent_since_ns = one.lent_to, now_ns
                if not worker.fresh:
                    pool.lent[worker.topic] = worker
            elif one.activity == "idle":
                pool.make_idle(worker, now_ns)
            else:
                self._kill(pool, worker, "stuck")

    @property
    def is_connected(self) -> bool:
        """Whether both the LocalQueue and the supervisor can be told things."""
        return self._connected

    def note_waiting(self, topic: str, waiting: int) -> None:
        """How many requests wait on a topic, as the LocalQueue describes it after a restart."""
        pool = self._pool_of_topic(topic)
        if pool is not None:
            pool.waiting[topic] = waiting

    # --- claims ----------------------------------------------------------------------------------------------------

    def claim(self, claim: Claim, now_ns: int) -> bool:
        """Wish for a worker. True: granted now; else an outcome follows (at once `Denied` for an unknown function)."""
        pool = self.pools.get(claim.function_topic)
        if pool is None:
            self.outcomes.append(Denied(claim, f"{claim.function_topic} is not served"))
            return False
        if claim.fresh:
            pool.fresh_claims[claim.fresh].append(claim)
            self._settle(pool, now_ns)
            return False
        if pool.idle and not pool.needed:
            pool.grant(pool.idle[next(reversed(pool.idle))], claim, now_ns)
            return True
        (pool.ahead if claim.distance else pool.needed).append(claim)
        self._settle(pool, now_ns)
        return False

    def reserve(self, claim: Claim, now_ns: int) -> bool:
        """Wish for a worker ahead of its state. False: none now; the claim then waits only if one can be had cheaply.

        `is_waiting` says which of the two it was.
        """
        pool = self.pools.get(claim.function_topic)
        if pool is None:
            return False
        if pool.idle:
            pool.grant(pool.idle[next(reversed(pool.idle))], claim, now_ns)
            return True
        if pool.ahead or pool.is_wanted() or not self._connected:
            return False
        if pool.staying() == 0:
            pool.ahead.append(claim)
            self._settle(pool, now_ns)
        elif self._take_back(pool, 1, now_ns):
            pool.ahead.append(claim)
        return False

    def is_waiting(self, claim: Claim) -> bool:
        """Whether a claim is queued."""
        pool = self.pools.get(claim.function_topic)
        return pool is not None and claim in pool.ahead

    def promote(self, claim: Claim, now_ns: int) -> None:
        """The state of a waiting reservation has come: it is needed now."""
        pool = self.pools[claim.function_topic]
        pool.ahead.remove(claim)
        claim.distance = 0
        pool.needed.append(claim)
        self._settle(pool, now_ns)

    def withdraw(self, claim: Claim) -> None:
        """A claim that was not granted is no longer wished for."""
        pool = self.pools.get(claim.function_topic)
        if pool is None:
            return
        for queue in (pool.needed, pool.ahead, *pool.fresh_claims.values()):
            if claim in queue:
                queue.remove(claim)

    def started(self, claim: Claim) -> None:
        """The claim's worker has its task now."""
        worker = self._worker(claim.worker)
        if worker is not None and not worker.leaving:
            worker.become(lifecycle.BUSY)
            worker.tasks += 1

    def give_back(self, worker_topic: str, now_ns: int, *, reusable: bool) -> None:
        """A claimed worker has nothing to do any more. Not `reusable`: it exits (or made itself exit)."""
        worker = self._worker(worker_topic)
        if worker is None or worker.leaving or worker.phase == lifecycle.REPORTING:
            return
        pool = self.pools[worker.function_topic]
        worker.claim = None
        if worker.fresh or not reusable:
            self._retire(pool, worker)
        else:
            pool.make_idle(worker, now_ns)
            if pool.needed or pool.ahead or pool.waiting[pool.topic]:
                self._settle(pool, now_ns)
        if self._starved:
            self._serve_starved(now_ns)

    def release(self, worker_topic: str, now_ns: int, *, armed: bool) -> None:
        """A reservation is given up. `armed`: the LocalQueue has yet to say whether the task came first."""
        worker = self._worker(worker_topic)
        if worker is None or worker.leaving:
            return
        if not armed:
            self.give_back(worker_topic, now_ns, reusable=True)
            return
        worker.claim = None
        worker.releasing = True
        worker.idle_since_ns = now_ns

    def reclaim(self, worker_topic: str, claim: Claim, now_ns: int) -> bool:
        """The task of a worker being released came first: it belongs to `claim` again. False: it has gone."""
        worker = self._worker(worker_topic)
        if worker is None or worker.leaving or not worker.releasing:
            return False
        worker.releasing = False
        worker.claim = claim
        claim.worker = worker_topic
        self._settle(self.pools[worker.function_topic], now_ns)
        return True

    # --- facts from the LocalQueue ---------------------------------------------------------------------------------

    def reported(self, worker_topic: str, topic: str, pid: int, start_kind: str, now_ns: int) -> None:
        """A new worker waits (`new_fw_reporting`)."""
        pool = self.pools.get(topic)
        if pool is None:
            self._tell_queue(RetireWorker(worker_topic=worker_topic))
            return
        worker = pool.workers.get(worker_topic)
        if worker is None:
            worker = self._expect(pool, worker_topic, pid, start_kind, now_ns)
        elif worker.phase != lifecycle.REPORTING:
            return
        worker.become(lifecycle.RESIDENT)
        pool.failures = 0
        pool.not_before_ns = 0
        if worker.leaving:
            self._tell_queue(RetireWorker(worker_topic=worker_topic))
        elif not worker.fresh:
            pool.make_idle(worker, now_ns)
        else:
            self._place_fresh(pool, worker, now_ns)
        self._settle(pool, now_ns)
        self._shed(pool)

    def gone(self, worker_topic: str, now_ns: int) -> None:
        """A worker has ended (reaped, or its connection closed): whichever is told first."""
        worker = self._worker(worker_topic)
        if worker is None:
            return
        pool = self.pools[worker.function_topic]
        self._remove(pool, worker, platform=False)
        self._settle(pool, now_ns)
        self._serve_starved(now_ns)

    def released(self, worker_topic: str, topic: str, now_ns: int) -> None:
        """A worker is no longer lent to `topic`; with topic "": its armed task was released before it came."""
        worker = self._worker(worker_topic)
        if worker is None or worker.leaving:
            return
        pool = self.pools[worker.function_topic]
        if not topic:
            if worker.releasing:
                pool.make_idle(worker, now_ns)
        elif worker.lent_to != topic:
            return
        elif worker.fresh:
            worker.lent_to = ""
            self._retire(pool, worker)
        else:
            surplus = pool.release_asked > 0 and not worker.taking_back and pool.short() <= 0
            pool.release_asked = max(0, pool.release_asked - 1)
            pool.make_idle(worker, now_ns)
            if surplus:
                self._retire(pool, worker)
        self._settle(pool, now_ns)
        self._serve_starved(now_ns)

    def taken_back(self, worker_topic: str, taken: bool, now_ns: int) -> None:
        """The answer to `TakeBack`."""
        worker = self._worker(worker_topic)
        if worker is None or not worker.taking_back:
            return
        pool = self.pools[worker.function_topic]
        if taken:
            pool.make_idle(worker, now_ns)
        else:
            worker.taking_back = False
            worker.refused_ns = now_ns
        self._settle(pool, now_ns)
        if pool.ahead and pool.coming() == 0:
            while pool.ahead:  # nothing cheap was to be had: a guess does not wait for more
                self.outcomes.append(Denied(pool.ahead.popleft(), "no worker is idle"))

    def demand(self, topic: str, waiting: int, members: int, now_ns: int) -> None:
        """Requests wait on a topic that had `members`; workers it was lent since then will serve some of them."""
        pool = self._pool_of_topic(topic)
        if pool is not None:
            lent = pool.lent_recently(topic, now_ns) if topic != pool.topic else len(pool.lent) - members
            pool.waiting[topic] = max(0, waiting - max(0, lent))
            pool.last_used_ns = now_ns
            self._settle(pool, now_ns)

    def usage(self, topic: str, busy_peak: int, waiting: int, now_ns: int) -> None:
        """What a topic did in the last second."""
        pool = self._pool_of_topic(topic)
        if pool is None:
            return
        pool.last_used_ns = now_ns
        pool.waiting[topic] = waiting
        if topic == pool.topic:
            pool.note_peak(busy_peak, now_ns)
        self._settle(pool, now_ns)

    # --- facts from the supervisor ---------------------------------------------------------------------------------

    def process_started(self, worker_topic: str, topic: str, pid: int, start_kind: str, now_ns: int) -> None:
        """A worker's process exists; it has yet to report itself."""
        pool = self.pools.get(topic)
        if pool is not None and worker_topic not in pool.workers:
            self._expect(pool, worker_topic, pid, start_kind, now_ns)

    def start_failed(self, topic: str, start_kind: str, detail: str, now_ns: int) -> None:
        """An instance that was asked for will not come."""
        pool = self.pools.get(topic)
        if pool is None:
            return
        pool.take_start(start_kind)
        pool.failures += 1
        backoff_ns = START_BACKOFF_NS << min(pool.failures - 1, 10)
        pool.not_before_ns = now_ns + min(backoff_ns, MAX_START_BACKOFF_NS)
        if pool.failures >= MAX_START_FAILURES and not pool.starts:
            self._give_up(pool, detail)
        self._serve_starved(now_ns)

    def cannot_start(self, topic: str, detail: str) -> None:
        """A function's template cannot be made: what waits for it fails, unless workers that are alive serve it."""
        if topic in self.pools:
            self._give_up(self.pools[topic], detail)

    def reconcile(self, known: set[str], asked_ns: int, now_ns: int) -> None:
        """Forget workers that the LocalQueue did not have at `asked_ns` although they had reported before."""
        for pool in self.pools.values():
            for worker in list(pool.workers.values()):
                settled = asked_ns - worker.born_ns > STUCK_NS and worker.phase != lifecycle.REPORTING
                if settled and worker.topic not in known:
                    self.gone(worker.topic, now_ns)

    # --- time ------------------------------------------------------------------------------------------------------

    def next_due_ns(self) -> int | None:
        """When `tick` is worth calling before its regular second: a back-off ends."""
        due = [pool.not_before_ns for pool in self.pools.values() if pool.not_before_ns and pool.is_wanted()]
        return min(due, default=None)

    def tick(self, now_ns: int) -> None:
        """About once a second, and when `next_due_ns` says so: shrink, lend back, look after what is stuck."""
        for pool in list(self.pools.values()):
            if pool.not_before_ns and pool.not_before_ns <= now_ns:
                pool.not_before_ns = 0
            pool.release_asked = 0
            if self._connected:
                self._shrink(pool, now_ns)
            self._check_stuck(pool, now_ns)
            self._settle(pool, now_ns)
        self._serve_starved(now_ns)

    # --- as seen from outside --------------------------------------------------------------------------------------

    def kill(self, worker_topic: str, reason: str) -> None:
        """End a worker now, whatever it does."""
        worker = self._worker(worker_topic)
        if worker is not None and self.pools[worker.function_topic].workers.get(worker_topic) is worker:
            self._kill(self.pools[worker.function_topic], worker, reason)

    def ending(self, worker_topic: str) -> None:
        """A worker is known to have lost its connection; its end is only awaited."""
        worker = self._worker(worker_topic)
        if worker is not None:
            worker.claim = None
            self.pools[worker.function_topic].let_go(worker)

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

    def total(self) -> int:
        """Instances on the node, with those asked for."""
        return sum(pool.size for pool in self.pools.values())

    def check_invariants(self) -> None:
        """Raise InvariantViolation when a limit is broken, a worker is lost, or somebody waits for nothing."""
        unasked = sum(worker.unasked for pool in self.pools.values() for worker in pool.workers.values())
        if self.total() - unasked > self._max_workers:
            raise InvariantViolation(f"{self.total()} workers, {self._max_workers} allowed")
        for pool in self.pools.values():
            pool.check_invariants()
            stalled = pool.short() > 0 and not pool.starts and self._room(pool) > 0
            if stalled and self._connected and pool.ready and not pool.not_before_ns:
                raise InvariantViolation(f"{pool.topic}: requests wait, there is room, and nothing is started")

    # --- growing ---------------------------------------------------------------------------------------------------

    def _settle(self, pool: Pool, now_ns: int) -> None:
        """Give idle workers to whoever waits, then see to it that more come."""
        self._hand_out(pool, now_ns)
        if not self._connected:
            return
        if pool.short() > 0:
            self._recruit(pool, now_ns)
        for kind in pool.fresh_claims:
            self._start(pool, pool.fresh_short(kind), Start(kind, True, now_ns), now_ns)
        guess = 1 if pool.ahead and pool.staying() == 0 else 0
        spare = max(guess, pool.warm - pool.staying())
        if spare > 0 and not self._starved:
            self._start(pool, spare, Start("fork", False, now_ns), now_ns)
        if self._is_short(pool):
            self._make_room(pool, now_ns)
            self._starved.setdefault(pool.topic, now_ns)
        else:
            self._starved.pop(pool.topic, None)

    def _is_short(self, pool: Pool) -> bool:
        return pool.short() > 0 or any(pool.fresh_short(kind) > 0 for kind in pool.fresh_claims)

    def _hand_out(self, pool: Pool, now_ns: int) -> None:
        while pool.idle:
            plain = pool.waiting[pool.topic] > 0
            worker = pool.idle[next(reversed(pool.idle))]
            if pool.needed and not (plain and not pool.lent):
                claim = pool.needed.popleft()
            elif plain and self._connected:
                self._lend(pool, worker, pool.topic, now_ns)
                continue
            elif pool.needed:
                claim = pool.needed.popleft()
            elif pool.ahead:
                claim = pool.ahead.popleft()
            else:
                return
            pool.grant(worker, claim, now_ns)
            self.outcomes.append(Granted(claim))

    def _recruit(self, pool: Pool, now_ns: int) -> None:
        """Workers that are short: from far reservations, from the topic, new ones, from near reservations."""
        claims = min(len(pool.needed), pool.short())
        claims -= self._revoke(pool, claims, beyond=1)
        if claims > 0:
            self._take_back(pool, claims, now_ns)
        self._start(pool, pool.short(), Start("fork", False, now_ns), now_ns)
        self._revoke(pool, min(len(pool.needed), pool.short()), beyond=0)

    def _revoke(self, pool: Pool, count: int, beyond: int) -> int:
        """Call back up to `count` reservations more than `beyond` states ahead, the farthest first."""
        if count <= 0:
            return 0
        guesses = [
            worker
            for worker in pool.workers.values()
            if worker.claim is not None and worker.claim.distance > beyond and worker.phase == lifecycle.RESERVED
        ]
        guesses.sort(key=lambda worker: -worker.claim.distance if worker.claim else 0)
        for worker in guesses[:count]:
            claim = worker.claim
            assert claim is not None  # it was chosen for having one
            worker.claim = None
            worker.releasing = True
            worker.idle_since_ns = pool.last_used_ns
            self.outcomes.append(Revoked(claim, worker.topic))
        return min(count, len(guesses))

    def _take_back(self, pool: Pool, count: int, now_ns: int) -> int:
        asked = 0
        if pool.waiting[pool.topic]:
            return 0  # no member is idle
        for worker in pool.lent.values():
            if asked == count:
                break
            if worker.taking_back or now_ns - worker.refused_ns < BUSY_HINT_NS:
                continue
            worker.taking_back = True
            self.effects.append(TakeBack(worker.topic))
            asked += 1
        return asked

    def _room(self, pool: Pool) -> int:
        return min(pool.concurrency - pool.size, self._max_workers - self.total())

    def _start(self, pool: Pool, count: int, start: Start, now_ns: int) -> None:
        if count <= 0 or not pool.ready or pool.not_before_ns > now_ns:
            return
        count = min(count, self._room(pool))
        if count > 0:
            pool.starts += [start] * count
            self.effects.append(
                Tell(
                    "fw_supervisor",
                    StartWorkers(function_topic=pool.topic, start_kind=start.kind, count=count),
                )
            )

    def _make_room(self, pool: Pool, now_ns: int) -> None:
        if not pool.ready or pool.not_before_ns > now_ns:
            return
        if pool.size >= pool.concurrency:
            self._make_room_inside(pool)
        elif self.total() >= self._max_workers:
            self._make_room_outside(pool, now_ns)

    def _make_room_inside(self, pool: Pool) -> None:
        """At its own limit a pool gives up a reusable worker for whoever cannot use one as it is."""
        if any(worker.leaving for worker in pool.workers.values()):
            return
        fresh = any(pool.fresh_short(kind) > 0 for kind in pool.fresh_claims)
        held = any(worker.claim is not None or worker.releasing for worker in pool.workers.values())
        if fresh and pool.idle:
            self._retire(pool, pool.idle[next(iter(pool.idle))])
        elif (fresh and not held) or (pool.needed and not held and not pool.coming()):
            for worker in pool.lent.values():
                if not worker.taking_back:
                    self._retire(pool, worker)
                    return

    def _make_room_outside(self, pool: Pool, now_ns: int) -> None:
        """At the node's limit another pool gives up an idle worker: first those above their warm number."""
        if any(worker.leaving for other in self.pools.values() for worker in other.workers.values()):
            return
        destitute = pool.staying() == 0
        waited = self._starved.get(pool.topic, now_ns)
        others = sorted((p for p in self.pools.values() if p is not pool), key=lambda p: p.last_used_ns)
        for other in others:
            if other.staying() <= (0 if destitute else other.warm):
                continue
            if other.idle:
                self._retire(other, other.idle[next(iter(other.idle))])
                return
            if other.lent and not other.release_asked:
                other.release_asked += 1
                self._tell_queue(ReleaseIdle(topic=other.topic, count=1))
        if now_ns - waited >= STARVED_NS:
            fullest = max(others, key=lambda p: len(p.lent), default=None)
            if fullest is not None and fullest.lent:
                self._retire(fullest, next(iter(fullest.lent.values())))

    def _serve_starved(self, now_ns: int) -> None:
        for topic in list(self._starved):
            pool = self.pools.get(topic)
            if pool is not None:
                self._settle(pool, now_ns)

    # --- shrinking -------------------------------------------------------------------------------------------------

    def _shrink(self, pool: Pool, now_ns: int) -> None:
        surplus = pool.staying() - pool.warm
        for worker in list(pool.idle.values()):
            idle_ns = now_ns - worker.idle_since_ns
            if surplus > 0 and idle_ns >= pool.idle_timeout_ns:
                self._retire(pool, worker)
                surplus -= 1
            elif idle_ns >= LEND_BACK_NS:
                self._lend(pool, worker, pool.topic, now_ns)
        unused = min(surplus, pool.unused_members(now_ns))
        if unused > 0:
            pool.release_asked = unused
            self._tell_queue(ReleaseIdle(topic=pool.topic, count=unused))
        for worker in list(pool.workers.values()):
            stale = worker.fresh and worker.lent_to and now_ns - worker.lent_since_ns >= pool.idle_timeout_ns
            if stale and not worker.leaving:
                self._retire(pool, worker)

    def _check_stuck(self, pool: Pool, now_ns: int) -> None:
        for worker in list(pool.workers.values()):
            if worker.leaving:
                continue
            unheard = worker.releasing and now_ns - worker.idle_since_ns >= STUCK_NS
            mute = worker.phase == lifecycle.REPORTING and now_ns - worker.born_ns >= START_PATIENCE_NS
            if unheard or mute:
                self._kill(pool, worker, "stuck")
        for start in [one for one in pool.starts if now_ns - one.asked_ns >= START_PATIENCE_NS]:
            self.start_failed(pool.topic, start.kind, "nothing was heard of it", now_ns)

    def _shed(self, pool: Pool) -> None:
        """Workers that came unasked (a start thought lost) may exceed a limit: let idle ones go."""
        while pool.idle and (len(pool.workers) > pool.concurrency or self.total() > self._max_workers):
            worker = pool.idle[next(iter(pool.idle))]
            self._retire(pool, worker)
            if len(pool.workers) - sum(w.leaving for w in pool.workers.values()) <= pool.concurrency:
                return

    # --- single workers --------------------------------------------------------------------------------------------

    def _worker(self, worker_topic: str) -> Worker | None:
        pool = self.pools.get(worker_topic.rpartition("_")[0])
        return None if pool is None else pool.workers.get(worker_topic)

    def _pool_of_topic(self, topic: str) -> Pool | None:
        return self.pools.get(topic.partition("!")[0])

    def _new_worker(self, pool: Pool, topic: str, pid: int, kind: str, now_ns: int) -> Worker:
        worker = Worker(topic=topic, function_topic=pool.topic, pid=pid, start_kind=kind, born_ns=now_ns)
        worker.become(lifecycle.REPORTING)
        pool.workers[topic] = worker
        return worker

    def _expect(self, pool: Pool, topic: str, pid: int, kind: str, now_ns: int) -> Worker:
        """The worker that one of the starts under way has become."""
        start = pool.take_start(kind)
        worker = self._new_worker(pool, topic, pid, kind, now_ns)
        worker.fresh = start.fresh if start is not None else kind == "cold"
        worker.unasked = start is None
        return worker

    def _place_fresh(self, pool: Pool, worker: Worker, now_ns: int) -> None:
        kind = worker.start_kind
        topic = request_topic(pool.topic, kind)
        claims = pool.fresh_claims.get(kind)
        if claims:
            claim = claims.popleft()
            pool.grant(worker, claim, now_ns)
            self.outcomes.append(Granted(claim))
        elif pool.waiting.get(topic, 0) > 0:
            self._lend(pool, worker, topic, now_ns)
        elif kind == "fork":
            worker.fresh = False  # nobody needs it any more; unused, it is as good as any
            pool.make_idle(worker, now_ns)
        else:
            self._retire(pool, worker)

    def _lend(self, pool: Pool, worker: Worker, topic: str, now_ns: int) -> None:
        pool.lend(worker, topic, now_ns)
        self._tell_queue(Subscribe(worker_topic=worker.topic, topic=topic))

    def _retire(self, pool: Pool, worker: Worker) -> None:
        pool.let_go(worker)
        self._tell_queue(RetireWorker(worker_topic=worker.topic))

    def _kill(self, pool: Pool, worker: Worker, reason: str) -> None:
        pool.let_go(worker)
        message = KillWorker(function_topic=pool.topic, pid=worker.pid, reason=reason)
        self.effects.append(Tell("fw_supervisor", message))

    def _remove(self, pool: Pool, worker: Worker, *, platform: bool) -> None:
        claim = worker.claim
        pool.forget(worker)
        if claim is not None:
            self.outcomes.append(Lost(claim, worker.topic, platform))

    def _tell_queue(self, message: Message) -> None:
        self.effects.append(Tell("local_queue", message))

    # --- giving up -------------------------------------------------------------------------------------------------

    def _give_up(self, pool: Pool, detail: str) -> None:
        """Workers do not start: fail what waits, unless workers that are alive will serve it."""
        if any(not worker.leaving for worker in pool.workers.values()):
            return
        self._deny_all(pool, f"no worker of {pool.topic} can be started: {detail}")
        declared = {message.topic: message for message in declarations(pool.topic, pool.queue_limit)}
        for topic, waiting in pool.waiting.items():
            if waiting:
                pool.waiting[topic] = 0
                self._tell_queue(DropTopic(topic=topic, reason="unavailable"))
                self.effects.append(Declare(declared[topic]))
        self._starved.pop(pool.topic, None)

    def _deny_all(self, pool: Pool, cause: str) -> None:
        for queue in (pool.needed, pool.ahead, *pool.fresh_claims.values()):
            while queue:
                self.outcomes.append(Denied(queue.popleft(), cause))
