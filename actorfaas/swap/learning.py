"""What has been learned about each function version: prices, sizes, durations, arrivals. Pure; bounded per function."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from actorfaas.core import learned_format
from actorfaas.core.learned_format import Numbers
from actorfaas.swap.arrivals import Arrivals, Window
from actorfaas.swap.costs import FunctionCosts, Way
from actorfaas.swap.durations import Estimate

FORMAT = 1
"""Of `Known.to_bytes`: to be raised with every change of what `learned` of anything in here gives."""

_WORKER_BYTES = 32e6
_TEMPLATE_BYTES = 40e6
"""Before anything was measured: what paging out frees of a worker, and of what a template shares with its workers."""
_OTHERS_STEP = 0.02
"""All functions' workers are an average of more than one function's."""

_WAY_OF_KIND = {
    "resident": Way.RESIDENT,
    "prefetched": Way.PREFETCHED,
    "concurrent": Way.CONCURRENT,
    "swapped": Way.DEMAND,
    "fork": Way.FORK,
    "cold": Way.COLD,
}
"""Of a start kind, see `messages.InvocationResult`."""

MOST_ABREAST = 8
"""So many expected page-ins, at most, are allowed for by each other's times."""


class Known:
    """One function version."""

    __slots__ = ("arrivals", "costs", "is_recorded", "new_bytes", "size_bytes", "template_bytes")

    def __init__(self) -> None:
        self.costs = FunctionCosts()
        self.arrivals = Arrivals()
        self.size_bytes = Estimate(_WORKER_BYTES)
        self.new_bytes = Estimate(_WORKER_BYTES)
        self.template_bytes = Estimate(_TEMPLATE_BYTES)
        self.is_recorded = False

    def to_bytes(self) -> bytes:
        """All of it but for instants, in at most a few kilobytes."""
        sizes = [self.size_bytes.learned(), self.new_bytes.learned(), self.template_bytes.learned()]
        return learned_format.to_bytes(
            FORMAT, [self.costs.learned(), self.arrivals.learned(), sizes, int(self.is_recorded)]
        )

    @classmethod
    def from_bytes(cls, record: bytes) -> Known:
        """The same as it was. Raises ValueError: no such record, or in another format."""
        return learned_format.from_bytes(FORMAT, record, cls._restored)

    @classmethod
    def _restored(cls, learned: Numbers) -> Known:
        known = cls()
        costs, arrivals, sizes, is_recorded = learned
        known.costs.restore(costs)
        known.arrivals.restore(arrivals)
        for one, size in zip((known.size_bytes, known.new_bytes, known.template_bytes), sizes, strict=True):
            one.restore(size)
        known.is_recorded = bool(is_recorded)
        return known


class Learning:
    """All function versions, by topic."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._changed: dict[str, None] = {}
        self._new_bytes = Estimate(_WORKER_BYTES, _OTHERS_STEP)

    def of(self, topic: str) -> Known:
        """What is known of a function version, at first only assumptions."""
        known = self._known.get(topic)
        if known is None:
            known = self._known[topic] = Known()
        return known

    def _learn_of(self, topic: str) -> Known:
        """What is known, to be added to."""
        self._changed[topic] = None
        return self.of(topic)

    def forget(self, topic: str) -> None:
        """A function version is gone."""
        self._known.pop(topic, None)
        self._changed.pop(topic, None)

    def take_changed(self) -> list[str]:
        """The function versions of which something was learned since this was last asked."""
        changed, self._changed = self._changed, {}
        return list(changed)

    def to_bytes(self, topic: str) -> bytes:
        """What is known of a function version; nothing of one that is gone."""
        known = self._known.get(topic)
        return b"" if known is None else known.to_bytes()

    def restore(self, topic: str, record: bytes) -> None:
        """What an earlier process knew of a function version. Raises ValueError: no such record, or another format."""
        self._known[topic] = known = Known.from_bytes(record)
        if known.new_bytes.count:
            self._new_bytes.observe(known.new_bytes.value)

    def is_recorded(self, topic: str) -> bool:
        """Whether its working set has been recorded."""
        known = self._known.get(topic)
        return known is not None and known.is_recorded

    def recorded(self, topic: str, size_bytes: int) -> None:
        """A call was measured after a page-in; the record it left has this size, 0 for none."""
        known = self._learn_of(topic)
        known.is_recorded = size_bytes > 0
        if size_bytes > 0:
            known.costs.observe_working_set(size_bytes)

    def worker_bytes(self, topic: str) -> int:
        """What a worker has in memory: as measured at page-outs of its function's or else, cautiously, of all."""
        known = self._known.get(topic)
        return int(known.size_bytes.value) if known is not None and known.size_bytes.count else self.new_bytes(topic)

    def new_bytes(self, topic: str) -> int:
        """The same of one that was never out. What came back may be only what calls touch."""
        known = self._known.get(topic)
        measured = known is not None and known.new_bytes.count
        return int(known.new_bytes.value if known is not None and measured else self._new_bytes.value)

    def paged_out(self, topic: str, size_bytes: int, *, is_whole: bool) -> None:
        """A page-out freed so much, more than nothing; `is_whole`: no page-out of that worker freed more before."""
        known = self._learn_of(topic)
        known.size_bytes.assume(self._new_bytes.value)
        known.size_bytes.observe(size_bytes)
        if is_whole:
            known.new_bytes.assume(self._new_bytes.value)
            known.new_bytes.observe(size_bytes)
            self._new_bytes.observe(size_bytes)

    def template_paged_out(self, topic: str, size_bytes: int) -> None:
        """So much of what a function's workers share with their template was paged out."""
        self._learn_of(topic).template_bytes.observe(size_bytes)

    def observe(self, topic: str, way: Way, price_ns: int) -> None:
        """An instance was had this way, in this time."""
        self._learn_of(topic).costs.observe(way, price_ns)

    def ran(self, topic: str, run_ns: int) -> None:
        """A call ran this long."""
        self._learn_of(topic).costs.run.observe(run_ns)

    def arrived(self, topic: str, now_ns: int) -> Window | None:
        """A call came, or several; when the next is expected."""
        arrivals = self._learn_of(topic).arrivals
        arrivals.arrived(now_ns)
        return arrivals.window()

    def returned(self, topic: str, start_kind: str, took_ns: int) -> None:
        """A call took this long from its delivery to its end."""
        way = _WAY_OF_KIND.get(start_kind)
        if way is not None:
            self._learn_of(topic).costs.observe_call(way, took_ns)

    def cheapest(self, topic: str, offered: Collection[Way]) -> Way:
        """The way of those offered (at least one) that costs a call least."""
        way = self.of(topic).costs.cheapest(offered)
        assert way is not None
        return way

    def guess_gains(self, topic: str, share: float, *, can_fork: bool) -> bool:
        """Whether bringing in a worker for what comes with this likelihood is expected to save time."""
        known = self.of(topic)
        ways = [Way.SWAP_IN if known.is_recorded else Way.DEMAND]
        return known.costs.guess_gain_ns(share, [*ways, Way.FORK] if can_fork else ways) > 0

    def page_in_at_ns(self, topic: str, before: Sequence[str], began_ns: int, now_ns: int, others: int = 0) -> int:
        """When to begin to bring in a worker of `topic`, which runs after `before`: the function running since
        `began_ns`, then those between. At once when nothing is known of these. `others` are expected, too: all are
        read from one disk, so each takes as long as some of them together."""
        prefetch_ns = self.of(topic).costs.prefetch_high_ns() * (1 + min(others, MOST_ABREAST))
        running, *between = before
        for one in between:
            early_ns = self.of(one).costs.run.quantile_ns(0.1)
            if early_ns is None:
                return now_ns
            prefetch_ns -= early_ns
        return self.of(running).costs.prefetch_at_ns(began_ns, now_ns, prefetch_ns)
