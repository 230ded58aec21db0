"""How many instances may be started now: what they will use is to have room in the budget first. Pure.

An instance that was asked for counts with what its function's instances use, as measured, or else with what those of
all functions do; until the measured usage has grown by that, or `YOUNG_NS` have passed since it reported itself. So
does a worker that is read back for a call, with what its function's workers have in memory when they go out. Where
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


class Unseen:
    """Memory that is used, or will be in a moment, and that no measurement has seen yet."""

    def __init__(self) -> None:
        self.bytes = 0
        self._parts: deque[tuple[int, int]] = deque()  # until when they count, and their bytes

    def add(self, size_bytes: int, now_ns: int) -> None:
        """So much is being taken."""
        self._parts.append((now_ns + YOUNG_NS, size_bytes))
        self.bytes += size_bytes

    def seen(self, size_bytes: int) -> int:
        """So much more was measured: what came first is in it. What is left of that."""
        while size_bytes > 0 and self._parts:
            until_ns, part_bytes = self._parts.popleft()
            if part_bytes > size_bytes:
                self._parts.appendleft((until_ns, part_bytes - size_bytes))
            self.bytes -= min(size_bytes, part_bytes)
            size_bytes -= part_bytes
        return size_bytes

    def pass_time(self, now_ns: int) -> bool:
        """What has been there for long enough is measured. Whether there was any."""
        count = len(self._parts)
        while self._parts and self._parts[0][0] <= now_ns:
            self.bytes -= self._parts.popleft()[1]
        return len(self._parts) < count

    def next_due_ns(self) -> int | None:
        """When to call `pass_time`."""
        return self._parts[0][0] if self._parts else None


class Admission:
    """Instances of all functions that are not in the measured usage yet."""

    def __init__(self, learning: Learning) -> None:
        self._learning = learning
        self._coming: dict[str, int] = {}
        self._reported_bytes = 0  # since time was told
        self._young = Unseen()
        self._woken = Unseen()

    @property
    def bytes(self) -> int:
        """What is expected to be used beside the measured usage."""
        coming = (count * self._learning.new_bytes(topic) for topic, count in self._coming.items())
        return self._reported_bytes + self._young.bytes + self._woken.bytes + sum(coming)

    def coming(self, topic: str, count: int) -> None:
        """So many instances of a function were asked for and have not reported themselves (any more)."""
        reported = self._coming.pop(topic, 0) - count
        if count:
            self._coming[topic] = count
        if reported > 0:
            self._reported_bytes += reported * self._learning.new_bytes(topic)

    def waking(self, topic: str, now_ns: int) -> None:
        """A worker that was out is called, or read back for a call."""
        self._woken.add(self._learning.worker_bytes(topic), now_ns)

    def grown(self, size_bytes: int) -> None:
        """The measured usage is so much more than it was known to be."""
        self._woken.seen(self._young.seen(size_bytes))

    def pass_time(self, now_ns: int) -> bool:
        """What has been there for long enough is measured. Whether there was any."""
        if self._reported_bytes:
            self._young.add(self._reported_bytes, now_ns)
            self._reported_bytes = 0
        passed = [unseen.pass_time(now_ns) for unseen in (self._young, self._woken)]
        return any(passed)

    def next_due_ns(self) -> int | None:
        """When to call `pass_time`."""
        due = (self._young.next_due_ns(), self._woken.next_due_ns())
        return min((ns for ns in due if ns is not None), default=None)

    def room(self, topic: str, budget: MemoryBudget) -> int:
        """How many instances of a function may be asked for now."""
        free_bytes = budget.high_bytes - budget.usage_bytes - self.bytes
        is_young = self._reported_bytes or self._young.bytes
        least = 0 if is_young else LEAST_AT_ONCE - sum(self._coming.values())
        return max(0, least, free_bytes // self._learning.new_bytes(topic))
