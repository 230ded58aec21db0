"""Whom to page out first: GreedyDual-Size-Frequency. Pure.

    priority = clock + frequency * cost / size

The clock is the highest priority evicted so far: what has been idle for long ages because newcomers start from a later
clock. Cost is what a call loses when the instance was paged out, in ns; size what is freed, in bytes. Frequency is
the number of calls served, halved every `half_life_ns`, so that an old favourite does not stay for ever.

Sources: Cherkasova, "Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy" (HP Labs,
1998); Fuerst and Sharma, "FaasCache" (ASPLOS 2021), which sees instances kept alive as objects of a cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from actorfaas.errors import InvariantViolation

_SLACK_ENTRIES = 64


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """Place in the order of victims: the price per byte, then who has been idle longest, then who came first."""

    priority: float
    idle_since_ns: int
    number: int
    key: str = field(compare=False)


class GreedyDual:
    """What may be evicted, in order. O(log n) per operation, amortised."""

    def __init__(self) -> None:
        self.clock = 0.0
        self._ranks: dict[str, Rank] = {}
        self._heap: list[Rank] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._ranks)

    def __contains__(self, key: str) -> bool:
        return key in self._ranks

    def offer(self, key: str, *, frequency: float, cost_ns: float, size_bytes: int, idle_since_ns: int) -> Rank:
        """`key` may be evicted from now on."""
        self._number += 1
        worth = frequency * max(cost_ns, 0.0) / max(size_bytes, 1)
        rank = Rank(self.clock + worth, idle_since_ns, self._number, key)
        self._ranks[key] = rank
        heappush(self._heap, rank)
        if len(self._heap) > 2 * len(self._ranks) + _SLACK_ENTRIES:
            self._heap = list(self._ranks.values())
            heapify(self._heap)
        return rank

    def withdraw(self, key: str) -> None:
        """`key` may not be evicted any more, or is not there. Unknown keys are fine."""
        self._ranks.pop(key, None)

    def first(self) -> str | None:
        """The next victim, left in place. None when there is none."""
        while self._heap:
            rank = self._heap[0]
            if self._ranks.get(rank.key) is rank:
                return rank.key
            heappop(self._heap)
        return None

    def evict(self, key: str) -> None:
        """`key` is evicted: the clock moves on to its priority."""
        self.clock = max(self.clock, self._ranks.pop(key).priority)

    def rank(self, key: str) -> Rank:
        """The place of a key that may be evicted."""
        return self._ranks[key]

    def check_invariants(self) -> None:
        """Everything offered is in the heap once, and the heap is bounded. Raises InvariantViolation."""
        current = [rank.key for rank in self._heap if self._ranks.get(rank.key) is rank]
        if sorted(current) != sorted(self._ranks):
            raise InvariantViolation("the heap of victims does not hold what was offered")
        if len(self._heap) > 2 * len(self._ranks) + _SLACK_ENTRIES + 1 and len(self._heap) > 2 * _SLACK_ENTRIES:
            raise InvariantViolation(f"{len(self._heap)} entries for {len(self._ranks)} victims")
