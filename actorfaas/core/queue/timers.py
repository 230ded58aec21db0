"""Things that fall due at an instant, most of which are removed before: a timer wheel with slots of some milliseconds.

A heap alone would keep every answered request until its deadline would have come, half a minute later. Here adding
and removing take constant time and nothing stays of what was removed. Items must be hashable by identity.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")

SLOT_BITS = 22
"""A slot spans 2**22 ns, about 4 ms."""


class TimerWheel(Generic[T]):
    """Items by the instant they are due; `due` takes out those whose instant has come, earliest first."""

    __slots__ = ("_order", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, dict[T, int]] = {}
        self._order: list[int] = []  # a heap of slot keys; may name slots that are gone, or name one twice

    def __bool__(self) -> bool:
        return bool(self._slots)

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def add(self, due_ns: int, item: T) -> None:
        """Put `item` in; it must not be there already with another instant."""
        key = due_ns >> SLOT_BITS
        slot = self._slots.get(key)
        if slot is None:
            self._slots[key] = {item: due_ns}
            heappush(self._order, key)
            if len(self._order) > 64 + 2 * len(self._slots):
                self._order = list(self._slots)
                heapify(self._order)
        else:
            slot[item] = due_ns

    def discard(self, due_ns: int, item: T) -> None:
        """Take `item`, put in for `due_ns`, out again; nothing happens when it is not there."""
        key = due_ns >> SLOT_BITS
        slot = self._slots.get(key)
        if slot is not None and slot.pop(item, None) is not None and not slot:
            del self._slots[key]

    def due(self, now: int) -> list[T]:
        """Take out every item due at or before `now`."""
        found: list[tuple[int, T]] = []
        current = now >> SLOT_BITS
        while self._order and self._order[0] < current:
            slot = self._slots.pop(heappop(self._order), None)
            if slot is not None:
                found += [(at, item) for item, at in slot.items()]
        slot = self._slots.get(current)
        if slot is not None:
            ready = [(at, item) for item, at in slot.items() if at <= now]
            for at, item in ready:
                self.discard(at, item)
            found += ready
        found.sort(key=lambda entry: entry[0])
        return [item for _, item in found]
