"""How pools grow and shrink: idle workers handed out, others called back or started, room made at a limit.

The rules are in the docstring of `core.dispatch`, whose base this is.
"""

from __future__ import annotations

from actorfaas.core import lifecycle
from actorfaas.core.effects import Declare, Denied, Granted, Revoked, TakeBack, Tell
from actorfaas.core.pool import NS_PER_S, Pool
from actorfaas.core.waking import Waking
from actorfaas.core.worker import Start, Worker
from actorfaas.ids import FRESH_STRATEGIES, PAGED_STRATEGIES, request_topic
from actorfaas.messages import (
    DeclareTopic,
    DropTopic,
    ReleaseIdle,
    ReleaseWorker,
    StartWorkers,
)

MAX_START_FAILURES = 3
START_BACKOFF_NS = NS_PER_S // 10
MAX_START_BACKOFF_NS = 5 * NS_PER_S
LEND_BACK_NS = NS_PER_S
"""A worker held idle this long, and not to go out, goes to its topic: there plain calls find it by themselves."""
KEPT_OUT_NS = 3600 * NS_PER_S
"""A worker above the function's `warm` costs next to nothing while it is out, so it is kept for so long."""
BUSY_HINT_NS = 20_000_000
"""A lent worker that was busy is not asked for again so soon."""
STARVED_NS = NS_PER_S
STUCK_NS = 10 * NS_PER_S
MOVE_PATIENCE_NS = 60 * NS_PER_S
"""A page-out or page-in must have been answered by then."""
START_PATIENCE_NS = 60 * NS_PER_S
"""An instance that was asked for must have reported itself by then (strategy cold imports everything anew)."""

REVOCABLE = (lifecycle.RESERVED, lifecycle.SWAPPED, lifecycle.PAGING_IN)
"""Where a worker can be that is reserved for a state that has not come."""


def declarations(topic: str, queue_limit: int) -> list[DeclareTopic]:
    """The topics of one function version: its pool's, and one for each strategy whose workers serve one request."""
    pooled = DeclareTopic(topic=topic, queue_limit=queue_limit, members="stay")
    return [
        pooled,
        *(
            DeclareTopic(topic=request_topic(topic, kind), queue_limit=queue_limit, members="retire")
            for kind in sorted(FRESH_STRATEGIES)
        ),
        *(
            DeclareTopic(topic=request_topic(topic, kind), queue_limit=queue_limit, members="return")
            for kind in sorted(PAGED_STRATEGIES)
        ),
    ]


class Recruiting(Waking):
    """Decides, after every event, who gets a worker and where more come from."""

    def _settle(self, pool: Pool, now_ns: int) -> None:
        """Give idle workers to whoever waits, then see to it that more come."""
        self._hand_out(pool, now_ns)
        if not self._connected:
            return
        if pool.broken:
            self._give_up(pool, pool.broken)
            return
        self._serve_paged(pool, now_ns)
        rest = pool.paged_rest()
        if pool.short() > 0 or rest > 0:
            self._recruit(pool, rest, now_ns)
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
        if pool.rested:
            self._send_out_rested(pool, now_ns)

    def _is_short(self, pool: Pool) -> bool:
        return (
            pool.short() > 0 or pool.paged_rest() > 0 or any(pool.fresh_short(kind) > 0 for kind in pool.fresh_claims)
        )

    def _hand_out(self, pool: Pool, now_ns: int) -> None:
        while pool.idle:
            plain = pool.waiting[pool.topic] > 0
            worker = pool.idle[next(reversed(pool.idle))]
            if self._connected and pool.paged_turn and (kind := pool.paged_next()):
                self._serve_with(pool, pool.swapped() or worker, kind, now_ns)
                continue
            if pool.needed and not (plain and not pool.lent):
                claim = pool.needed.popleft()
            elif plain and self._connected:
                self._lend(pool, worker, pool.topic, now_ns)
                pool.paged_turn = True
                continue
            elif pool.needed:
                claim = pool.needed.popleft()
            elif pool.ahead:
                claim = pool.ahead.popleft()
            else:
                return
            self._grant(pool, worker, claim, now_ns)
            pool.paged_turn = True
            self.outcomes.append(Granted(claim))

    def _recruit(self, pool: Pool, rest: int, now_ns: int) -> None:
        """Workers that are short: from far reservations, from the topic, from those that are out, new ones, from near
        reservations; for strategies of paging (`rest`: how many more they need) also busy ones, after their calls."""
        claims = min(len(pool.needed), max(0, pool.short())) + rest
        claims -= self._revoke(pool, claims, now_ns, beyond=1)
        if claims > 0:
            self._take_back(pool, claims, now_ns)
        self._wake(pool, now_ns)
        self._hand_out(pool, now_ns)
        self._start(pool, max(0, pool.short()) + pool.paged_rest(), Start("fork", False, now_ns), now_ns)
        self._revoke(pool, max(0, pool.short()) + pool.paged_rest(), now_ns, beyond=0)
        if pool.paged_rest() > 0:
            self._ask_back(pool)

    def _revoke(self, pool: Pool, count: int, now_ns: int, *, beyond: int) -> int:
        """Call back up to `count` reservations more than `beyond` states ahead, the farthest first."""
        if count <= 0:
            return 0
        guesses = [
            worker
            for worker in pool.workers.values()
            if worker.claim is not None and worker.claim.distance > beyond and worker.phase in REVOCABLE
        ]
        guesses.sort(key=lambda worker: -worker.claim.distance if worker.claim else 0)
        for worker in guesses[:count]:
            claim = worker.claim
            assert claim is not None  # it was chosen for having one
            worker.claim = None
            worker.releasing = True
            worker.idle_since_ns = now_ns
            self.outcomes.append(Revoked(claim, worker.topic))
        return min(count, len(guesses))

    def _take_back(self, pool: Pool, count: int, now_ns: int) -> int:
        asked = 0
        if pool.waiting[pool.topic]:
            return 0  # no member is idle
        for worker in pool.lent.values():
            if asked == count:
                break
            if worker.taking_back or worker.returning or now_ns - worker.refused_ns < BUSY_HINT_NS:
                continue
            worker.taking_back = True
            self.effects.append(TakeBack(worker.topic))
            asked += 1
        return asked

    def _ask_back(self, pool: Pool) -> None:
        """Have lent workers come back after their calls: where plain requests always wait, none is ever idle. The first
        is given to a strategy of paging; which that will be nobody knows, so all are asked."""
        for worker in pool.lent.values():
            if not (worker.taking_back or worker.returning):
                worker.returning = True
                self._tell_queue(ReleaseWorker(worker_topic=worker.topic))

    def _start(self, pool: Pool, count: int, start: Start, now_ns: int) -> None:
        if count <= 0 or not pool.ready or pool.not_before_ns > now_ns:
            return
        count = min(count, self._room(pool))
        if not start.fresh:
            count = min(count, self._memory_room(pool))
        if count > 0:
            pool.starts += [start] * count
            self.pager.template_changed(pool.topic)
            self.effects.append(
                Tell(
                    "fw_supervisor",
                    StartWorkers(pool.topic, start.kind, count, pooled=not start.fresh),
                )
            )

    def _make_room(self, pool: Pool, now_ns: int) -> None:
        if not pool.ready or pool.not_before_ns > now_ns:
            return
        if pool.staying() == 0 and not self.pager.room(pool.topic):
            self.pager.make_room(pool.topic)
        if pool.size >= pool.concurrency or not self._may_grow(pool):
            self._make_room_inside(pool)
        elif self.total() >= self._max_workers:
            self._make_room_outside(pool, now_ns)

    def _make_room_inside(self, pool: Pool) -> None:
        """At its own limit a pool gives up a reusable worker for whoever cannot use one as it is."""
        if any(worker.leaving for worker in pool.workers.values()):
            return
        fresh = any(pool.fresh_short(kind) > 0 for kind in pool.fresh_claims)
        held = any(worker.claim is not None or worker.releasing for worker in pool.workers.values())
        spare = pool.spare()
        if fresh and spare is not None:
            self._retire(pool, spare)
        elif not held and (fresh or (pool.needed and not pool.coming())):
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
            spare = other.spare()
            if spare is not None:
                self._retire(other, spare)
                return
            if other.lent and not other.release_asked:
                other.release_asked += 1
                self._tell_queue(ReleaseIdle(topic=other.topic, count=1))
        if now_ns - waited >= STARVED_NS:
            for one in (pool, *others):
                spare = one.spare()
                if spare is not None:
                    self._retire(one, spare)
                    return
            fullest = max(others, key=lambda p: len(p.lent), default=None)
            if fullest is not None and fullest.lent:
                self._retire(fullest, next(iter(fullest.lent.values())))

    def _serve_starved(self, now_ns: int) -> None:
        for topic in list(self._starved):
            pool = self.pools.get(topic)
            if pool is not None:
                self._settle(pool, now_ns)

    def _place_fresh(self, pool: Pool, worker: Worker, now_ns: int) -> None:
        kind = worker.start_kind
        topic = request_topic(pool.topic, kind)
        claims = pool.fresh_claims.get(kind)
        if claims:
            claim = claims.popleft()
            self._grant(pool, worker, claim, now_ns)
            self.outcomes.append(Granted(claim))
        elif pool.waiting.get(topic, 0) > 0:
            self._lend(pool, worker, topic, now_ns)
        elif kind == "fork":
            worker.fresh = False  # nobody needs it any more; unused, it is as good as any
            self._idle(pool, worker, now_ns)
        else:
            self._retire(pool, worker)

    def _shrink(self, pool: Pool, now_ns: int) -> None:
        surplus = pool.staying() - pool.out() - pool.warm
        for worker in list(pool.idle.values()):
            idle_ns = now_ns - worker.idle_since_ns
            if surplus > 0 and idle_ns >= pool.idle_timeout_ns:
                self._dismiss(pool, worker, now_ns)
                surplus -= 1
            elif idle_ns >= LEND_BACK_NS and not worker.goes_out:
                self._lend(pool, worker, pool.topic, now_ns)
        for worker in list(pool.away.values()):
            old = now_ns - worker.idle_since_ns >= max(pool.idle_timeout_ns, KEPT_OUT_NS)
            if old and worker.phase == lifecycle.SWAPPED and pool.staying() > pool.warm:
                self._retire(pool, worker)
        unused = min(surplus, pool.unused_members(now_ns))
        if unused > 0:
            pool.release_asked = unused
            self._tell_queue(ReleaseIdle(topic=pool.topic, count=unused))
        self._send_out_forgotten(pool, now_ns)
        for worker in list(pool.workers.values()):
            stale = worker.fresh and worker.lent_to and now_ns - worker.lent_since_ns >= pool.idle_timeout_ns
            if stale and not worker.leaving:
                self._retire(pool, worker)

    def _send_out_forgotten(self, pool: Pool, now_ns: int) -> None:
        """Workers that should be out and are not: they could not go at first, or are lent and nobody calls them."""
        pool.rested = [worker for worker in pool.idle.values() if worker.goes_out]
        lent: dict[str, int] = {}
        for worker in pool.workers.values():
            rests = worker.goes_out and not worker.leaving and not worker.taking_back
            if rests and worker.lent_to and now_ns - worker.lent_since_ns >= LEND_BACK_NS:
                lent[worker.lent_to] = lent.get(worker.lent_to, 0) + 1
        for topic, count in lent.items():
            self._tell_queue(ReleaseIdle(topic=topic, count=count))

    def _check_stuck(self, pool: Pool, now_ns: int) -> None:
        for worker in list(pool.workers.values()):
            if worker.leaving:
                continue
            unheard = worker.releasing and now_ns - worker.idle_since_ns >= STUCK_NS
            mute = worker.phase == lifecycle.REPORTING and now_ns - worker.born_ns >= START_PATIENCE_NS
            moving = worker.phase in (lifecycle.PAGING_OUT, lifecycle.PAGING_IN)
            lost = moving and now_ns - worker.moving_since_ns >= MOVE_PATIENCE_NS
            if unheard or mute or lost:
                self._kill(pool, worker, "stuck")
        for start in [one for one in pool.starts if now_ns - one.asked_ns >= START_PATIENCE_NS]:
            self._fail_start(pool, start.kind, "nothing was heard of it", now_ns)

    def _shed(self, pool: Pool) -> None:
        """Workers that came unasked (a start thought lost) may exceed a limit: let idle ones go."""
        while pool.idle and (len(pool.workers) > pool.concurrency or self.total() > self._max_workers):
            worker = pool.idle[next(iter(pool.idle))]
            self._retire(pool, worker)
            if len(pool.workers) - sum(w.leaving for w in pool.workers.values()) <= pool.concurrency:
                return

    def _fail_start(self, pool: Pool, start_kind: str, detail: str, now_ns: int) -> None:
        """An instance that was asked for will not come."""
        pool.take_start(start_kind)
        self.pager.template_changed(pool.topic)
        if not pool.ready and start_kind == "fork":
            self._serve_starved(now_ns)
            return  # its template is being restarted, after which it is tried anew
        pool.failures += 1
        backoff_ns = START_BACKOFF_NS << min(pool.failures - 1, 10)
        pool.not_before_ns = now_ns + min(backoff_ns, MAX_START_BACKOFF_NS)
        if pool.failures >= MAX_START_FAILURES and not pool.starts:
            self._give_up(pool, detail)
        self._serve_starved(now_ns)

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
        for queue in pool.queues():
            while queue:
                self.outcomes.append(Denied(queue.popleft(), cause))
