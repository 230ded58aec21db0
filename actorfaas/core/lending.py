"""What the LocalQueue reports about topics and the workers lent to them. Base of `core.dispatch`."""

from __future__ import annotations

from collections.abc import Mapping

from actorfaas.core import lifecycle
from actorfaas.core.effects import Denied, Granted
from actorfaas.core.paged import Paged
from actorfaas.core.pool import NS_PER_S, Pool
from actorfaas.core.worker import Worker
from actorfaas.messages import ConnectedWorker, TopicUsage

SERVED_NS = NS_PER_S // 2
"""Calls of a function that follow each other more closely count as one arrival."""


class Lending(Paged):
    """Events about lent workers and waiting requests."""

    def released(self, worker_topic: str, topic: str, now_ns: int) -> None:
        """A worker is no longer lent to `topic`; with topic "": its armed task was released before it came."""
        worker = self._worker(worker_topic)
        if worker is None or worker.leaving:
            return
        pool = self.pools[worker.function_topic]
        if not topic:
            if worker.releasing and worker.phase in (lifecycle.SWAPPED, lifecycle.PAGING_IN):
                self._stay_out(pool, worker)
            elif worker.releasing:
                self._idle(pool, worker, now_ns)
        elif worker.lent_to != topic:
            return
        elif worker.fresh:
            worker.lent_to = ""
            self._retire(pool, worker)
        else:
            self._returned(pool, worker, topic, now_ns)
        self._settle(pool, now_ns)
        self._serve_starved(now_ns)

    def reconcile_lent(self, found: Mapping[str, ConnectedWorker], asked_ns: int, now_ns: int) -> None:
        """Workers lent before `asked_ns` that the LocalQueue had free then are back, although nothing said so."""
        for worker_topic, one in found.items():
            worker = self.worker(worker_topic)
            if worker is None or not worker.lent_to or worker.taking_back or worker.lent_since_ns >= asked_ns:
                continue
            if not one.lent_to and one.activity == "idle":
                self.released(worker_topic, worker.lent_to, now_ns)

    def _returned(self, pool: Pool, worker: Worker, topic: str, now_ns: int) -> None:
        if topic != pool.topic:  # of the pool's own topic, TopicUsage tells who was called
            worker.uses += 1
            self.pager.call_ended(worker)
        asked = topic == pool.topic and pool.release_asked > 0 and not worker.returning
        surplus = asked and not worker.taking_back and pool.short() <= 0
        pool.release_asked = max(0, pool.release_asked - asked)
        to_go = worker.to_go
        self._idle(pool, worker, now_ns)
        if surplus:
            self._dismiss(pool, worker, now_ns)
        elif to_go:
            self._settle(pool, now_ns)
            self._let_out(pool, worker, now_ns)

    def taken_back(self, worker_topic: str, taken: bool, now_ns: int) -> None:
        """The answer to `TakeBack`."""
        worker = self._worker(worker_topic)
        if worker is None or not worker.taking_back:
            return
        pool = self.pools[worker.function_topic]
        to_go, worker.to_go = worker.to_go, False
        if taken:
            self._idle(pool, worker, now_ns)
        else:
            worker.taking_back = False
            worker.refused_ns = now_ns
        self._settle(pool, now_ns)
        if to_go:
            self._let_out(pool, worker, now_ns)
        if pool.ahead and pool.coming() == 0:
            while pool.ahead:  # nothing cheap was to be had: a guess does not wait for more
                claim = pool.ahead.popleft()
                out = pool.swapped()
                if out is None:
                    self.outcomes.append(Denied(claim, "no worker is idle"))
                else:
                    self._grant(pool, out, claim, now_ns)
                    self.outcomes.append(Granted(claim))

    def demand(self, topic: str, waiting: int, members: int, now_ns: int) -> None:
        """Requests wait on a topic that had `members`; workers it was lent since then will serve some of them."""
        pool = self._pool_of_topic(topic)
        if pool is not None:
            lent = pool.lent_recently(topic, now_ns) if topic != pool.topic else len(pool.lent) - members
            pool.waiting[topic] = max(0, waiting - max(0, lent))
            pool.last_used_ns = now_ns
            self._settle(pool, now_ns)

    def usage(self, usage: TopicUsage, now_ns: int) -> None:
        """What a topic did in the last second, and which members it used."""
        topic = usage.topic
        pool = self._pool_of_topic(topic)
        if pool is None:
            return
        pool.last_used_ns = now_ns
        if usage.delivered:  # calls that go on came in an earlier second
            self._was_called(pool, topic.partition("!")[2], now_ns)
        pool.waiting[topic] = usage.waiting
        if topic == pool.topic:
            pool.note_peak(usage.busy_peak, now_ns)
            for name in usage.used:
                worker = pool.workers.get(name)
                if worker is not None and not worker.leaving:
                    worker.uses += 1
                    self.pager.call_ended(worker)
                    self.pager.changed(worker)
        self._settle(pool, now_ns)

    def _was_called(self, pool: Pool, kind: str, now_ns: int) -> None:
        """By a strategy of its own (`kind`) or the pool's. Calls that are to meet a worker that is out, or a new one,
        say nothing about when one should be in memory."""
        pool.last_used_ns = now_ns
        if now_ns - pool.served_ns >= SERVED_NS and not (kind or pool.paged or pool.stays_in):
            pool.served_ns = now_ns
            self.pager.served(pool.topic, now_ns)
