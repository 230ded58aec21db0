"""Which executions ended, for whoever sends their spans on: numbered as they end, the newest ones kept. Pure."""

from __future__ import annotations

from collections import deque
from itertools import islice

MOST_KEPT = 10_000


class EndedExecutions:
    """`number`: where counting begins; of a store that is opened again, above all that was counted before. What ended
    then is not known any more."""

    def __init__(self, number: int) -> None:
        self._first = self.last = number
        self._ids: deque[str] = deque(maxlen=MOST_KEPT)

    def note(self, execution_id: str) -> None:
        """One more ended, perhaps again."""
        self._ids.append(execution_id)
        self.last += 1

    def after(self, number: int, limit: int) -> tuple[int, tuple[str, ...], int]:
        """The number of the first one after a number, its id and the next ones', and how many before are forgotten."""
        number = max(number, self._first)
        oldest = self.last - len(self._ids) + 1
        first = max(number + 1, oldest)
        return first, tuple(islice(self._ids, first - oldest, first - oldest + limit)), first - number - 1
