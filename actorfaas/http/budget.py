"""How many bytes of requests and results the Frontend may hold at once. Pure.

Owns the one number that bounds its memory whatever the clients send: bodies from their first byte on, results until
the client has taken them. Bodies beyond it are refused; what a worker returned is counted, but never refused.
"""

from __future__ import annotations

from actorfaas.http.problems import Problem


class Budget:
    """All bytes that are held for requests under way."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def share(self) -> Share:
        """What one request holds, nothing yet."""
        return Share(self)


class Share:
    """The bytes held for one request; `release` ends it."""

    __slots__ = ("_budget", "_held_bytes")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Hold more of a body. Raises Problem "overloaded" when others hold too much; a lone request never is."""
        budget = self._budget
        used_bytes = budget.used_bytes
        if used_bytes + size_bytes > budget.limit_bytes and used_bytes > self._held_bytes:
            detail = f"the requests under way hold {used_bytes} bytes; max_in_flight_bytes is {budget.limit_bytes}"
            raise Problem("overloaded", detail)
        self.add(size_bytes)

    def add(self, size_bytes: int) -> None:
        """Hold what is there already: a result, or a piece of one."""
        self._held_bytes += size_bytes
        self._budget.used_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """A part of what was held is gone."""
        self.add(-size_bytes)

    def release(self) -> None:
        """Nothing is held any more."""
        self.add(-self._held_bytes)
