"""Pool policy: which worker serves what, when pools grow and shrink, and who makes room on a full node.

Owns every worker from the moment it is asked for until it has ended. A worker is lent to one topic, or held: idle,
or claimed by a state of an execution (`Claim`). What an execution does with a worker is left to `core.executions`.

Answers to a claim that could not be granted at once are appended to `outcomes`; what is to be done is appended to
`effects`. Rules that keep everybody moving:

- A state that waits (`distance` 0) gets, in this order: an idle held worker, one reserved far ahead by somebody else,
  an idle lent one, a new one, one reserved for the next state by somebody else. A reservation therefore never starves
  a state, and reserving starts a new instance only when the function has none at all.
- States and plain requests share a function's workers: neither side can hold all of them while the other waits. So do
  calls by strategies of paging (swap, reap, faasnap): while these wait, lent workers come back after their calls, and
  every other one that is free is theirs.
- At the node's limit the longest unused idle workers of other functions make room; a function with nothing at all
  may take even their warm ones, as may any after `STARVED_NS`, or else a member that is busy, once its request is done.
- A function whose workers fail to start `MAX_START_FAILURES` times in a row fails what waits for it (claims are
  denied, its topics dropped and declared again) instead of letting it wait; starting is tried again with back-off.
"""

from __future__ import annotations

from collections.abc import Iterable

from actorfaas.core import lifecycle
from actorfaas.core.effects import Denied, Lost
from actorfaas.core.lending import Lending
from actorfaas.core.paging import CONCURRENT, FAASNAP, SWAPPED
from actorfaas.core.pool import Pool
from actorfaas.core.recruiting import STUCK_NS
from actorfaas.core.worker import NO_PAGE_IN, Claim
from actorfaas.ids import FRESH_STRATEGIES
from actorfaas.messages import ConnectedWorker, FunctionSpec, RetireWorker


class Dispatch(Lending):
    """Every pool of the node. Methods are events; `now_ns` is the monotonic clock."""

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
        """A function version is stopped: its workers are to finish what they have and exit; what waits is denied."""
        pool = self.pools.pop(topic, None)
        if pool is None:
            return
        self._starved.pop(topic, None)
        self._deny_all(pool, f"{topic} is no longer served")
        for worker in pool.workers.values():
            if worker.claim is not None:
                self.outcomes.append(Lost(worker.claim, worker.topic, platform=True))
            if not worker.leaving:
                self._retire(pool, worker)
            self.pager.gone(worker)
        self.pager.function_gone(topic)
        self._serve_starved(now_ns)

    def template_ready(self, topic: str, ready: bool, now_ns: int) -> None:
        """Workers of a function can (or cannot) be started."""
        pool = self.pools.get(topic)
        if pool is not None:
            pool.ready = ready
            if ready:
                pool.broken = ""
                pool.failures = 0
                pool.not_before_ns = 0
                self._settle(pool, now_ns)

    def connected(self, now_ns: int) -> None:
        """The LocalQueue and the supervisor can both be told things."""
        self._connected = True
        for pool in list(self.pools.values()):
            self._settle(pool, now_ns)

    def queue_lost(self, now_ns: int) -> None:
        """The LocalQueue has gone, and every worker with it. What the supervisor is asked to start may still come."""
        self._connected = False
        for pool in self.pools.values():
            for worker in list(pool.workers.values()):
                self.detached(worker.topic, now_ns)
                self._remove(pool, worker, platform=True)
            pool.waiting = dict.fromkeys(pool.waiting, 0)
            pool.release_asked = 0

    def supervisor_lost(self, now_ns: int) -> None:
        """The supervisor has gone: nothing it was starting will come, and its workers die with their templates.

        The LocalQueue may tell of their deaths only after the supervisor is back; so they count as lost at once. Or it
        told of them before: what they were given before `supervisor_lost_ns` is lost for the same reason.
        """
        self._connected = False
        self.supervisor_lost_ns = now_ns
        self._unreaped.clear()
        for pool in self.pools.values():
            pool.ready = False
            pool.starts.clear()
            self.pager.template_changed(pool.topic)
            for worker in list(pool.workers.values()):
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
                kind = one.lent_to.partition("!")[2]
                worker.fresh, worker.goes_out = kind in FRESH_STRATEGIES, self._goes_out(pool, kind)
                worker.lent_to, worker.lent_since_ns = one.lent_to, now_ns
                if one.lent_to == pool.topic:
                    pool.lent[worker.topic] = worker
                self.pager.changed(worker)
            elif one.activity == "idle":
                self._idle(pool, worker, now_ns)
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

    def claim(self, claim: Claim, now_ns: int) -> bool:
        """Wish for a worker. True: granted now; else an outcome follows (at once `Denied` for an unknown function)."""
        pool = self.pools.get(claim.function_topic)
        if pool is None:
            self.outcomes.append(Denied(claim, f"{claim.function_topic} is not served"))
            return False
        if claim.kind:
            pool.claims(claim.kind).append(claim)
            self._settle(pool, now_ns)
            return False
        if pool.idle and not pool.needed:
            self._grant(pool, pool.idle[next(reversed(pool.idle))], claim, now_ns)
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
            self._grant(pool, pool.idle[next(reversed(pool.idle))], claim, now_ns)
            return True
        if pool.ahead or pool.is_wanted() or not self._connected:
            return False
        if pool.staying() == 0:
            pool.ahead.append(claim)
            self._settle(pool, now_ns)
        elif self._take_back(pool, 1, now_ns):
            pool.ahead.append(claim)
        elif (worker := pool.swapped()) is not None:
            self._grant(pool, worker, claim, now_ns)  # it is brought in when its state is near
            return True
        return False

    def reserve_out(self, claim: Claim, now_ns: int) -> bool:
        """Wish for a worker that is out, to have it in by the time its state comes. False: none can be had."""
        pool = self.pools.get(claim.function_topic)
        worker = None if pool is None or pool.is_wanted() or not self.pager.is_active else pool.swapped()
        if pool is None or worker is None:
            return False
        self._grant(pool, worker, claim, now_ns)
        return True

    def gains(self, topic: str, share: float, now_ns: int) -> bool:
        """Whether it is worth its price to bring a worker in for a state that comes with this likelihood."""
        pool = self.pools.get(topic)
        if pool is None or not self.pager.is_active or pool.stays_in:
            return False
        return share >= 1.0 or self.pager.gains(topic, share, can_start=self._can_start(pool, now_ns))

    def at_hand(self, topic: str) -> int:
        """Workers of a function that are in memory and free, as far as is known: held idle, or lent."""
        pool = self.pools[topic]
        return len(pool.idle) + len(pool.lent)

    def holds(self, claim: Claim) -> bool:
        """Whether a claim still has its worker."""
        worker = self._worker(claim.worker)
        return worker is not None and worker.claim is claim

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
        for queue in pool.queues():
            if claim in queue:
                queue.remove(claim)
        worker = pool.workers.get(claim.worker)
        if worker is not None and worker.claim is claim and worker.phase == lifecycle.PAGING_IN:
            self._stay_out(pool, worker)

    def started(self, claim: Claim, now_ns: int) -> None:
        """The claim's worker has its task now."""
        worker = self._worker(claim.worker)
        if worker is None or worker.leaving:
            return
        if worker.phase == lifecycle.SWAPPED and not worker.next_kind:
            worker.next_kind = self.pager.page_in(worker, FAASNAP, now_ns) if self.pager.is_active else SWAPPED
        elif worker.phase == lifecycle.PAGING_IN:
            worker.next_kind = CONCURRENT
        claim.start_kind, claim.page_in = worker.next_kind, worker.page_in
        worker.next_kind, worker.page_in = "", NO_PAGE_IN
        worker.become(lifecycle.BUSY)
        worker.tasks += 1
        worker.uses += 1
        self.pager.changed(worker)
        self._was_called(self.pools[worker.function_topic], claim.kind, now_ns)

    def give_back(self, worker_topic: str, now_ns: int, *, reusable: bool) -> None:
        """A claimed worker has nothing to do any more. Not `reusable`: it exits (or made itself exit)."""
        worker = self._worker(worker_topic)
        if worker is None or worker.leaving or worker.phase == lifecycle.REPORTING:
            return
        pool = self.pools[worker.function_topic]
        worker.claim = None
        if worker.phase == lifecycle.BUSY:
            self.pager.call_ended(worker)
        if worker.fresh or not reusable:
            self._retire(pool, worker)
        elif worker.phase in (lifecycle.SWAPPED, lifecycle.PAGING_IN):  # a reservation that was not used
            self._stay_out(pool, worker)
            self._settle(pool, now_ns)
        else:
            self._idle(pool, worker, now_ns)
            if pool.is_wanted() or pool.ahead or pool.rested:
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

    def reported(self, worker_topic: str, topic: str, pid: int, start_kind: str, now_ns: int) -> None:
        """A new worker waits (`new_fw_reporting`)."""
        pool = self.pools.get(topic)
        if pool is None:
            self._tell_queue(RetireWorker(worker_topic=worker_topic))
            return
        worker = pool.workers.get(worker_topic)
        if worker is None and worker_topic in self._ended:
            return
        if worker is None:
            worker = self._expect(pool, worker_topic, pid, start_kind, now_ns)
        elif worker.phase != lifecycle.REPORTING:
            return
        worker.become(lifecycle.RESIDENT)
        if worker.asked_ns and worker.start_kind == "fork":
            self.pager.born(topic, now_ns - worker.asked_ns)
        self.pager.template_changed(topic)
        pool.failures = 0
        pool.not_before_ns = 0
        if worker.leaving:
            self._tell_queue(RetireWorker(worker_topic=worker_topic))
        elif not worker.fresh:
            self._idle(pool, worker, now_ns)
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
        self._serve_starved(now_ns)
        self._settle(pool, now_ns)

    def process_started(self, worker_topic: str, topic: str, pid: int, start_kind: str, now_ns: int) -> None:
        """A worker's process exists; it has yet to report itself."""
        pool = self.pools.get(topic)
        if pool is not None and worker_topic not in pool.workers and worker_topic not in self._ended:
            self._expect(pool, worker_topic, pid, start_kind, now_ns)

    def start_failed(self, topic: str, start_kind: str, detail: str, now_ns: int) -> None:
        """An instance that was asked for will not come."""
        pool = self.pools.get(topic)
        if pool is not None:
            self._fail_start(pool, start_kind, detail, now_ns)

    def cannot_start(self, topic: str, detail: str) -> None:
        """A function's template cannot be made: what waits for it fails, unless workers that are alive serve it."""
        pool = self.pools.get(topic)
        if pool is not None and not pool.ready:
            pool.broken = detail
            self._give_up(pool, detail)

    def reconcile(self, found: Iterable[ConnectedWorker], asked_ns: int, now_ns: int) -> None:
        """Forget workers that the LocalQueue did not have at `asked_ns` although they had reported before."""
        known = {one.worker_topic: one for one in found}
        for pool in self.pools.values():
            for worker in list(pool.workers.values()):
                settled = asked_ns - worker.born_ns > STUCK_NS and worker.phase != lifecycle.REPORTING
                if settled and worker.topic not in known:
                    self.gone(worker.topic, now_ns)
        self.reconcile_lent(known, asked_ns, now_ns)

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
        self._end_unreaped(now_ns)

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
