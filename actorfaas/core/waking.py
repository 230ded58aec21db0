"""Workers whose memory is out: brought in, called as they are, or sent out; one at a time.

Above `core.roster`, below `core.recruiting`, which says when. What is asked of paging and what it says is in
`core.paging`.
"""

from __future__ import annotations

from actorfaas.core import lifecycle
from actorfaas.core.effects import Granted
from actorfaas.core.paging import FAASNAP, HOW_OF_STRATEGY, REAP, SWAPPED
from actorfaas.core.pool import Pool
from actorfaas.core.roster import Roster
from actorfaas.core.worker import Worker
from actorfaas.ids import request_topic


class Waking(Roster):
    """What can be done with a worker that is out."""

    def _serve_paged(self, pool: Pool, now_ns: int) -> None:
        """Give workers to requests and states whose strategy wants one that was out; one that is in will do as well."""
        while kind := pool.paged_next():
            worker = pool.swapped() or pool.last_idle()
            if worker is None:
                return
            self._serve_with(pool, worker, kind, now_ns)

    def _serve_with(self, pool: Pool, worker: Worker, kind: str, now_ns: int) -> None:
        pool.serve_paged(kind)
        how = HOW_OF_STRATEGY[kind]
        out = worker.phase == lifecycle.SWAPPED
        waits = False
        if out:
            worker.next_kind = SWAPPED
        if out and self.pager.is_active:
            worker.next_kind = self.pager.page_in(worker, how, now_ns)
            waits = how == REAP
        worker.goes_out = self._goes_out(pool, kind)
        topic = request_topic(pool.topic, kind)
        if pool.paged_claims[kind]:
            claim = pool.paged_claims[kind].popleft()
            self._grant(pool, worker, claim, now_ns)
            if not waits:
                self.outcomes.append(Granted(claim))
        elif waits:
            pool.keep_for(worker, topic)
        else:
            self._lend(pool, worker, topic, now_ns)
        if waits:
            worker.become(lifecycle.PAGING_IN)
            worker.moving_since_ns = now_ns
            self.pager.changed(worker)

    def _wake(self, pool: Pool, now_ns: int) -> None:
        """Bring in as many workers as are short, unless new ones cost less, or memory is short and requests can wait
        for one that is in."""
        if self._is_squeezed and pool.lent and not pool.needed:
            return
        for _ in range(pool.short()):
            worker = pool.swapped()
            if worker is None:
                return
            if not self.pager.is_active:
                worker.next_kind = SWAPPED
                self._idle(pool, worker, now_ns)  # whoever asks hands it out
                continue
            how = self.pager.way_in(pool.topic, can_start=self._can_start(pool, now_ns))
            if not how:
                return
            if how == FAASNAP:
                worker.next_kind = self.pager.page_in(worker, FAASNAP, now_ns)
                self._idle(pool, worker, now_ns)
            else:
                self._bring_in(worker, now_ns)

    def _bring_in(self, worker: Worker, now_ns: int) -> None:
        worker.become(lifecycle.PAGING_IN)
        worker.moving_since_ns = now_ns
        worker.next_kind = self.pager.page_in(worker, REAP, now_ns)

    def _take_out(self, pool: Pool, worker: Worker, now_ns: int) -> None:
        pool.send_out(worker)
        worker.moving_since_ns = now_ns
        self.pager.page_out(worker, now_ns)

    def _dismiss(self, pool: Pool, worker: Worker, now_ns: int) -> None:
        """An idle worker more than the function keeps warm: it goes out of memory, or, where that cannot be, exits."""
        if self.pager.is_active and not worker.stays_in and not worker.stays_until_ns:
            self._take_out(pool, worker, now_ns)
        else:
            self._retire(pool, worker)

    def _send_out_rested(self, pool: Pool, now_ns: int) -> None:
        """Idle workers of strategies in which these go out at once."""
        rested, pool.rested = pool.rested, []
        for worker in rested:
            if worker.topic in pool.idle and worker.stays_until_ns <= now_ns and self.pager.is_active:
                self._take_out(pool, worker, now_ns)
