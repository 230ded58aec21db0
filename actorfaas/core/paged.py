"""What paging reports about workers, and what it wants done with them. Base of `core.dispatch`."""

from __future__ import annotations

from actorfaas.core import lifecycle
from actorfaas.core.effects import Granted, TakeBack
from actorfaas.core.pool import NS_PER_S, Pool
from actorfaas.core.recruiting import Recruiting
from actorfaas.core.worker import NO_PAGE_IN, PageIn, Worker

RETRY_NS = 5 * NS_PER_S
"""A worker that could not be brought out is left in memory for so long."""


class Paged(Recruiting):
    """Events about memory."""

    def want_out(self, worker_topic: str, now_ns: int) -> bool:
        """An idle worker's memory is wanted elsewhere; one that is lent is asked back first. `Pager.kept`: it stays.
        False: it is leaving anyway."""
        worker = self.worker(worker_topic)
        if worker is None:
            return False
        pool = self.pools[worker.function_topic]
        if worker.lent_to == pool.topic and not worker.taking_back:
            worker.taking_back = worker.to_go = True
            self.effects.append(TakeBack(worker.topic))
        else:
            self._let_out(pool, worker, now_ns)
        return True

    def _let_out(self, pool: Pool, worker: Worker, now_ns: int) -> None:
        if worker.topic in pool.idle and self.pager.is_active:
            self._take_out(pool, worker, now_ns)
        else:
            self.pager.kept(worker, now_ns)

    def want_in(self, worker_topic: str, now_ns: int) -> bool:
        """A worker that is out, held or reserved, is to be brought in ahead of its call. False: it is not out."""
        worker = self.worker(worker_topic)
        if worker is None or worker.phase != lifecycle.SWAPPED or not self.pager.is_active:
            return False
        if worker.claim is None and (worker.releasing or self.pools[worker.function_topic].paged):
            return False
        worker.goes_out = worker.goes_out and worker.claim is not None
        self._bring_in(worker, now_ns)
        return True

    def paged_out(self, worker_topic: str, *, is_out: bool, now_ns: int) -> None:
        """A page-out is over."""
        worker = self.worker(worker_topic)
        if worker is None or worker.phase != lifecycle.PAGING_OUT:
            return
        pool = self.pools[worker.function_topic]
        if is_out:
            worker.become(lifecycle.SWAPPED)
            worker.stays_until_ns = 0
            self.pager.changed(worker)
        else:
            worker.stays_until_ns = now_ns + RETRY_NS
            self._idle(pool, worker, now_ns)
        self._settle(pool, now_ns)
        self._serve_starved(now_ns)

    def paged_in(self, worker_topic: str, start_kind: str, page_in: PageIn, now_ns: int) -> None:
        """A page-in is over, well or not: the worker can be called. One that was called meanwhile goes on."""
        worker = self.worker(worker_topic)
        if worker is None or worker.phase != lifecycle.PAGING_IN:
            return
        pool = self.pools[worker.function_topic]
        worker.next_kind, worker.page_in = start_kind, page_in
        worker.become(lifecycle.RESIDENT)
        if worker.releasing:
            return  # the LocalQueue has yet to say that it is free
        if worker.claim is not None:
            worker.become(lifecycle.RESERVED)
            self.pager.changed(worker)
            if worker.claim.kind:
                self.outcomes.append(Granted(worker.claim))
            return
        if worker.away_for and pool.waiting[worker.away_for] > 0:
            self._lend(pool, worker, worker.away_for, now_ns)
        else:  # for whoever waits, or because it is expected to be called
            self._idle(pool, worker, now_ns)
        self._settle(pool, now_ns)

    def squeeze(self, now_ns: int, *, is_on: bool) -> None:
        """Memory is short, or no longer: until it is not, functions get no instance beside one that they have.

        Otherwise calls that wait because memory is short would bring more and more instances into it.
        """
        self._is_squeezed = is_on
        self.start_waiting(now_ns)

    def start_waiting(self, now_ns: int) -> None:
        """There may be memory now for instances that were not started because it was short."""
        self._serve_starved(now_ns)

    def drop_surplus(self, most: int) -> None:
        """Swap is short: end up to `most` workers that are out and beyond what their function keeps warm, of the
        functions used longest ago first."""
        for pool in sorted(self.pools.values(), key=lambda pool: pool.last_used_ns):
            out = [worker for worker in pool.away.values() if worker.phase == lifecycle.SWAPPED]
            for worker in out[: max(0, min(most, pool.staying() - max(1, pool.warm)))]:
                self._retire(pool, worker)
                most -= 1

    def pager_lost(self, now_ns: int) -> None:
        """Whoever moves memory has gone: what was on its way is called as it is."""
        self.squeeze(now_ns, is_on=False)
        for pool in self.pools.values():
            for worker in list(pool.workers.values()):
                if worker.phase == lifecycle.PAGING_OUT:
                    self.paged_out(worker.topic, is_out=True, now_ns=now_ns)
                elif worker.phase == lifecycle.PAGING_IN:
                    self.paged_in(worker.topic, "swapped", NO_PAGE_IN, now_ns)
