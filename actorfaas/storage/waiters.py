"""Who waits for what, until when. Pure: an instant goes in, whoever is due comes out."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, NamedTuple, TypeVar

from actorfaas.errors import InvariantViolation, RequestRefused

W = TypeVar("W")

LIMIT = 20_000
"""Most waiters at once; more are refused as overloaded."""

_STALE_ALLOWED = 64


class Waiting(NamedTuple, Generic[W]):
    """One that waits for `key`; `ticket` identifies it."""

    ticket: int
    key: str
    waiter: W


class Waiters(Generic[W]):
    """Waiters by key, by ticket and by deadline."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._tickets = count(1)
        self._all: dict[int, Waiting[W]] = {}
        self._by_key: dict[str, dict[int, None]] = {}
        self._deadlines: list[tuple[int, int]] = []  # a heap; entries of those who left go when they come up

    def __len__(self) -> int:
        return len(self._all)

    def add(self, key: str, deadline_ns: int, waiter: W) -> int:
        """Wait for `key` until `deadline_ns`; the ticket. Raises RequestRefused "overloaded"."""
        if len(self._all) >= self._limit:
            raise RequestRefused(
                "overloaded", f"{len(self._all)} requests are waiting already", retryable=True, retry_after_s=1.0
            )
        ticket = next(self._tickets)
        self._all[ticket] = Waiting(ticket, key, waiter)
        self._by_key.setdefault(key, {})[ticket] = None
        heappush(self._deadlines, (deadline_ns, ticket))
        return ticket

    def of(self, key: str) -> list[Waiting[W]]:
        """Everybody who waits for `key`, the longest waiting first."""
        return [self._all[ticket] for ticket in self._by_key.get(key, ())]

    def remove(self, ticket: int) -> bool:
        """Stop waiting; False when it had stopped already."""
        waiting = self._all.pop(ticket, None)
        if waiting is None:
            return False
        tickets = self._by_key[waiting.key]
        del tickets[ticket]
        if not tickets:
            del self._by_key[waiting.key]
        if len(self._deadlines) > 2 * len(self._all) + _STALE_ALLOWED:
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._all]
            heapify(self._deadlines)
        return True

    def remove_where(self, gone: Callable[[W], bool]) -> int:
        """Remove every waiter for which `gone` holds; how many."""
        tickets = [ticket for ticket, waiting in self._all.items() if gone(waiting.waiter)]
        for ticket in tickets:
            self.remove(ticket)
        return len(tickets)

    def due(self, now_ns: int) -> list[Waiting[W]]:
        """Remove and return everybody whose deadline has come, the earliest first."""
        found = []
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            _, ticket = heappop(self._deadlines)
            if ticket in self._all:
                found.append(self._all[ticket])
                self.remove(ticket)
        return found

    def next_deadline_ns(self) -> int | None:
        """When `due` should be called next; None while nobody waits."""
        while self._deadlines and self._deadlines[0][1] not in self._all:
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def check_invariants(self) -> None:
        """Raise InvariantViolation when the three views contradict each other."""
        by_key = {ticket: key for key, tickets in self._by_key.items() for ticket in tickets}
        if by_key != {ticket: waiting.key for ticket, waiting in self._all.items()}:
            raise InvariantViolation("waiters by key are not the waiters")
        if not all(self._by_key.values()):
            raise InvariantViolation("a key without waiters is kept")
        timed = {ticket for _, ticket in self._deadlines}
        if not self._all.keys() <= timed:
            raise InvariantViolation("a waiter has no deadline")
