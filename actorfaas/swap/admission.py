"""How many instances may be started now: what they will use is to have room in the budget first. Pure.

An instance that was asked for counts with what its function's instances use, as measured, or else with what those of
all functions do; until the measured usage has grown by that, or `YOUNG_NS` have passed since it reported itself. Where
there is no room, `LEAST_AT_ONCE` may start as soon as those before are in it, so that no function that is called waits
for ever. Instances for one request end with it, and are not counted.
"""

from __future__ import annotations

from collections import deque

from actorfaas.swap.budget import SECOND_NS, MemoryBudget
from actorfaas.swap.learning import Learning

YOUNG_NS = SECOND_NS // 2
"""Two measurements of memory: by then what its first call took has been seen."""
LEAST_AT_ONCE = 2


class Admission:
    """Instances of all functions that are not in the measured usage yet."""

    def __init__(self, learning: Learning) -> None:
        self._learning = learning
        self._coming: dict[str, int] = {}
        self._young: deque[tuple[int, int]] = deque()  # until when they count, and their bytes
        self._young_bytes = self._new_bytes = 0  # of them all, and of those that have come since time was told

    @property
    def bytes(self) -> int:
        """What is expected to be used beside the measured usage."""
        coming = (count * self._learning.worker_bytes(topic) for topic, count in self._coming.items())
        return self._young_bytes + sum(coming)

    def coming(self, topic: str, count: int) -> None:
        """So many instances of a function were asked for and have not reported themselves (any more)."""
        reported = self._coming.pop(topic, 0) - count
        if count:
            self._coming[topic] = count
        if reported > 0:
            size_bytes = reported * self._learning.worker_bytes(topic)
            self._young_bytes += size_bytes
            self._new_bytes += size_bytes

    def grown(self, size_bytes: int) -> None:
        """The measured usage is so much more than it was known to be: what came first is in it."""
        while size_bytes > 0 and self._young:
            until_ns, young_bytes = self._young.popleft()
            if young_bytes > size_bytes:
                self._young.appendleft((until_ns, young_bytes - size_bytes))
            self._young_bytes -= min(size_bytes, young_bytes)
            size_bytes -= young_bytes

    def pass_time(self, now_ns: int) -> bool:
        """What has been there for long enough is measured. Whether there was any."""
        if self._new_bytes:
            self._young.append((now_ns + YOUNG_NS, self._new_bytes))
            self._new_bytes = 0
        count = len(self._young)
        while self._young and self._young[0][0] <= now_ns:
            self._young_bytes -= self._young.popleft()[1]
        return len(self._young) < count

    def next_due_ns(self) -> int | None:
        """When to call `pass_time`."""
        return self._young[0][0] if self._young else None

    def room(self, topic: str, budget: MemoryBudget) -> int:
        """How many instances of a function may be asked for now."""
        free_bytes = budget.high_bytes - budget.usage_bytes - self.bytes
        least = 0 if self._young_bytes else LEAST_AT_ONCE - sum(self._coming.values())
        return max(0, least, free_bytes // self._learning.worker_bytes(topic))
