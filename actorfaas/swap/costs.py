"""What each way to an instance costs, per function version, and which one is cheapest now. Pure.

Prices are the time a call waits for its instance plus what the way adds to the call, in nanoseconds, as measured;
until then as design measurements on an NVMe swapfile suggest (bench/kernel_facts.py has them for a machine). What a way
adds is how much longer calls take with it than with the way in which they take least: a fork copies pages at its first
call, a worker that was out may miss some. What is offered (an idle worker, a resident template, swap at all) is the
caller's knowledge.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

from actorfaas.core.learned_format import Numbers
from actorfaas.swap.durations import DurationHistogram, Estimate
from actorfaas.swap.ranges import PAGE_SIZE

MS = 1_000_000.0
_OF_SWAP_IN = 1.1  # a call that runs meanwhile still takes some of its faults, until measurements say more
_FIRST_TRIAL = 4


class Way(enum.StrEnum):
    """How a call gets its instance."""

    RESIDENT = "resident"
    """An idle worker whose memory is there."""
    PREFETCHED = "prefetched"
    """An idle worker whose working set was brought in ahead."""
    FORK = "fork"
    """A new worker from a template that is resident."""
    SWAP_IN = "swap_in"
    """A worker that is paged out: its working set is read in a batch, then it is called."""
    CONCURRENT = "concurrent"
    """A worker that is paged out: it is called while its working set is read."""
    DEMAND = "demand"
    """A worker that is paged out, called at once: every page is a fault."""
    COLD = "cold"
    """A new interpreter that imports everything."""


_WAYS = tuple(Way)

FREE_WAYS = (Way.RESIDENT, Way.PREFETCHED)
"""Paid for already: taken in this order before anything else is weighed."""


@dataclass(frozen=True, slots=True)
class Priors:
    """Prices before anything was measured, in ns.

    fork: 6 ms. swap_in: 0.5 ms + 1.8 ns a byte (8 MB: 15 ms
    with mapping). demand: 45 µs a page (8 MB: 92 ms). page_out: 2 ns a byte.
    """

    fork_ns: float = 6.0 * MS
    swap_in_ns: float = 0.5 * MS
    swap_in_ns_a_byte: float = 1.8
    demand_ns_a_page: float = 45_000.0
    prefetched_ns: float = 0.2 * MS
    resident_ns: float = 0.05 * MS
    cold_ns: float = 300.0 * MS
    page_out_ns_a_byte: float = 2.0
    working_set_bytes: float = 8e6


@dataclass(frozen=True, slots=True)
class ChoiceRules:
    """`keep_within`: the last choice stays while it costs at most this share more than the cheapest.

    Every `explore_every`-th choice takes the least measured alternative that costs at most `explore_within` times the
    cheapest: a price measured once under load would otherwise never be corrected. 0: never. So do the 4th, 8th, 16th
    and so on before: what was only assumed is to be known soon.
    """

    keep_within: float = 0.03
    explore_every: int = 128
    explore_within: float = 1.5


@dataclass(frozen=True, slots=True)
class LeadRules:
    """How early a prefetch starts before the expected end of the state before.

    The end is the smaller of the conditional mean and the conditional `early_share` quantile: being late delays a
    call, being early only holds memory a little longer.
    """

    early_share: float = 0.1
    margin_ns: float = 1.0 * MS


class FunctionCosts:
    """What is known of one function version. Observations in, prices and decisions out."""

    def __init__(
        self, priors: Priors | None = None, choice: ChoiceRules | None = None, lead: LeadRules | None = None
    ) -> None:
        self._priors = priors = priors or Priors()
        self._choice = choice or ChoiceRules()
        self._lead = lead or LeadRules()
        self.run = DurationHistogram()
        self.working_set_bytes = Estimate(priors.working_set_bytes)
        self.page_out = Estimate(priors.page_out_ns_a_byte * priors.working_set_bytes)
        self._prices = {
            Way.RESIDENT: Estimate(priors.resident_ns),
            Way.PREFETCHED: Estimate(priors.prefetched_ns),
            Way.FORK: Estimate(priors.fork_ns),
            Way.SWAP_IN: Estimate(priors.swap_in_ns),
            Way.CONCURRENT: Estimate(_OF_SWAP_IN * priors.swap_in_ns),
            Way.DEMAND: Estimate(priors.demand_ns_a_page),
            Way.COLD: Estimate(priors.cold_ns),
        }
        self._calls: dict[Way, Estimate] = {}
        self._last: Way | None = None
        self._choices = 0
        self._assume_sizes()

    def observe(self, way: Way, price_ns: float) -> None:
        """An instance was obtained this way: how long that took before it could be called."""
        self._prices[way].observe(price_ns)

    def observe_call(self, way: Way, took_ns: float) -> None:
        """A call whose instance was had this way took so long, from being handed to it to its end."""
        if way in self._calls:
            self._calls[way].observe(took_ns)
        else:  # as much as one observation
            self._calls[way] = Estimate(took_ns)

    def observe_working_set(self, size_bytes: int) -> None:
        """A working set was recorded."""
        self.working_set_bytes.observe(size_bytes)
        self._assume_sizes()

    def learned(self) -> Numbers:
        """What `restore` needs. Ways are told by their places in `Way`."""
        estimates = [self.working_set_bytes, self.page_out, *self._prices.values()]
        calls = [[_WAYS.index(way), call.learned()] for way, call in self._calls.items()]
        last = [] if self._last is None else [_WAYS.index(self._last)]
        return [self.run.learned(), [one.learned() for one in estimates], calls, last, self._choices]

    def restore(self, learned: Numbers) -> None:
        """Be as when this was `learned`. Raises TypeError, ValueError, IndexError or OverflowError: it never was."""
        run, estimates, calls, last, choices = learned
        self.run.restore(run)
        into = [self.working_set_bytes, self.page_out, *self._prices.values()]
        for one, state in zip(into, estimates, strict=True):
            one.restore(state)
        for index, state in calls:
            self._calls[_WAYS[index]] = call = Estimate(0.0)
            call.restore(state)
        self._last = _WAYS[last[0]] if last else None
        self._choices = int(choices)
        self._assume_sizes()

    def _assume_sizes(self) -> None:
        priors, size = self._priors, self.working_set_bytes.value
        self._prices[Way.SWAP_IN].assume(priors.swap_in_ns + priors.swap_in_ns_a_byte * size)
        self._prices[Way.CONCURRENT].assume(_OF_SWAP_IN * (priors.swap_in_ns + priors.swap_in_ns_a_byte * size))
        self._prices[Way.DEMAND].assume(priors.demand_ns_a_page * size / PAGE_SIZE)
        self.page_out.assume(priors.page_out_ns_a_byte * size)

    def price_ns(self, way: Way) -> float:
        """What to expect of a way: waiting, and what it adds to the call. Of those ways in which nothing is waited for,
        all of it is in the call as soon as one was measured."""
        call = self._calls.get(Way.PREFETCHED if way is Way.SWAP_IN else way)
        if call is None:
            return self._prices[way].value
        added_ns = call.value - min(each.value for each in self._calls.values())
        return added_ns + (0.0 if way in (Way.CONCURRENT, Way.DEMAND) else self._prices[way].value)

    def measured(self, way: Way) -> int:
        """How often a way was measured."""
        call = self._calls.get(way)
        return self._prices[way].count + (1 + call.count if call else 0)

    def cheapest(self, offered: Collection[Way]) -> Way | None:
        """The way to take of those offered; None when there are none.

        An instance that is there wins; the rest is weighed by price, with hysteresis and rare exploration.
        """
        for way in FREE_WAYS:
            if way in offered:
                return way
        ranked = sorted(set(offered), key=lambda way: (self.price_ns(way), way.value))
        if not ranked:
            return None
        best_ns = self.price_ns(ranked[0])
        self._choices += 1
        if self._is_trial():
            near = [way for way in ranked if self.price_ns(way) <= self._choice.explore_within * best_ns]
            return min(near, key=lambda way: (self.measured(way), way.value))  # `_last` stays: a trial is no choice
        last = self._last
        if last is None or last not in offered or self.price_ns(last) > (1.0 + self._choice.keep_within) * best_ns:
            self._last = ranked[0]
            return ranked[0]
        return last

    def _is_trial(self) -> bool:
        number, every = self._choices, self._choice.explore_every
        return every > 0 and (number % every == 0 or (_FIRST_TRIAL <= number < every and number.bit_count() == 1))

    def bring_back_ns(self, *, can_fork: bool = False) -> float:
        """What a call loses when an idle worker has been paged out: the cost in `policy`'s victims."""
        ways = [Way.SWAP_IN, Way.DEMAND, *([Way.FORK] if can_fork else [])]
        return max(0.0, min(self.price_ns(way) for way in ways) - self.price_ns(Way.RESIDENT))

    def prefetch_at_ns(self, started_ns: int, now_ns: int, prefetch_ns: float) -> int:
        """Just in time: when to begin a prefetch of `prefetch_ns` for the state after this one, which began at
        `started_ns` and still runs. `now_ns` when it is due, or when nothing is known.

        begin = started + min(E[T | T > elapsed], early quantile of T | T > elapsed) - prefetch - margin. `prefetch_ns`
        is the next function's `prefetch_high_ns()`. Begin at that instant without asking again: with durations that
        have no memory, each answer would be later than the one before, and the prefetch never begin.
        """
        elapsed_ns = max(0, now_ns - started_ns)
        mean_ns = self.run.expected_ns(elapsed_ns)
        early_ns = self.run.quantile_ns(self._lead.early_share, elapsed_ns)
        if mean_ns is None or early_ns is None:
            return now_ns
        return max(now_ns, int(started_ns + min(mean_ns, early_ns) - prefetch_ns - self._lead.margin_ns))

    def prefetch_high_ns(self) -> float:
        """A cautious length of a prefetch: about its 90th percentile."""
        return self._prices[Way.SWAP_IN].high

    def guess_gain_ns(self, probability: float, offered: Collection[Way]) -> float:
        """What prefetching for a branch taken with this probability gains: p * (cheapest way without it - prefetched)
        - (1 - p) * (reading and writing back for nothing). Worth it above 0."""
        ways = [way for way in offered if way not in FREE_WAYS]
        if not ways:
            return 0.0
        saved_ns = min(self.price_ns(way) for way in ways) - self.price_ns(Way.PREFETCHED)
        return probability * saved_ns - (1.0 - probability) * (self.price_ns(Way.SWAP_IN) + self.page_out.value)
