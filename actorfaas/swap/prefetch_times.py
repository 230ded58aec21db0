"""When which reserved worker is to be brought in. Pure."""

from __future__ import annotations

from heapq import heappop, heappush


class PrefetchTimes:
    """At most one instant for a worker; the last one set counts."""

    __slots__ = ("_due_ns", "_heap")

    def __init__(self) -> None:
        self._due_ns: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._due_ns)

    def set(self, worker_topic: str, at_ns: int) -> None:
        """Bring the worker in at this instant."""
        self._due_ns[worker_topic] = at_ns
        heappush(self._heap, (at_ns, worker_topic))

    def forget(self, worker_topic: str) -> None:
        """It is not to be brought in any more, or was."""
        self._due_ns.pop(worker_topic, None)

    def clear(self) -> None:
        """Forget all."""
        self._due_ns.clear()
        self._heap.clear()

    def due(self, now_ns: int) -> list[str]:
        """The workers whose time has come, in order; each is told once."""
        found = []
        while self._heap and self._heap[0][0] <= now_ns:
            at_ns, worker_topic = heappop(self._heap)
            if self._due_ns.get(worker_topic) == at_ns:
                del self._due_ns[worker_topic]
                found.append(worker_topic)
        return found

    def next_due_ns(self) -> int | None:
        """When the next one is due."""
        while self._heap and self._due_ns.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None
