"""What the ExecutionManager hears about topics: demand when requests wait in vain, usage about once a second.

Both repeat for as long as they hold, so that one may be lost without harm. What is done about them is decided there.
"""

from __future__ import annotations

from actorfaas.core.queue.board import Board
from actorfaas.core.queue.records import STAY, Topic
from actorfaas.messages import StartUsage, TopicDemand, TopicUsage

USAGE_PERIOD_NS = 1_000_000_000

UNCHANGED_DEMAND_NS = 100_000_000
"""A demand that says nothing new is repeated at most this often."""


class Reports:
    """Watches topics with waiting requests and topics that were used."""

    __slots__ = ("_board", "_grow_after_ns", "_hungry", "_next_usage_ns", "_used")

    def __init__(self, board: Board, grow_after_ns: int) -> None:
        self._board = board
        self._grow_after_ns = max(1_000_000, grow_after_ns)
        self._hungry: dict[Topic, None] = {}
        self._used: list[Topic] = []
        self._next_usage_ns = 0

    @property
    def is_watching(self) -> bool:
        """Whether `tick` has anything to do, now or later."""
        return bool(self._hungry or self._used)

    def waits(self, topic: Topic, now: int) -> None:
        """A request began to wait in `topic`. A topic without members, or whose members serve once, asks at once."""
        self._hungry[topic] = None
        if topic.members_do != STAY or (not topic.members and now >= topic.next_demand_ns):
            self._demand(topic, now)

    def used(self, topic: Topic, now: int) -> None:
        """`topic`, not `used` so far, belongs into the next usage report."""
        topic.used = True
        if not self._used:
            self._next_usage_ns = now + USAGE_PERIOD_NS
        self._used.append(topic)

    def ask_again(self) -> None:
        """A new ExecutionManager knows nothing of demands reported before."""
        for topic in self._hungry:
            topic.next_demand_ns = 0
            topic.last_demand = (0, 0)

    def tick(self, now: int) -> None:
        """Report the demand of topics whose requests have waited long enough, and usage when it is time."""
        for topic in list(self._hungry):
            if not topic.waiting:
                del self._hungry[topic]
            elif not topic.members or self._oldest_wait_ns(topic, now) >= self._grow_after_ns:
                self._repeat(topic, now)
        if self._used and now >= self._next_usage_ns:
            self._report_usage(now)

    def _repeat(self, topic: Topic, now: int) -> None:
        same = topic.last_demand == (len(topic.waiting), len(topic.members))
        pause_ns = max(0, UNCHANGED_DEMAND_NS - self._grow_after_ns) if same else 0
        if now >= topic.next_demand_ns + pause_ns:
            self._demand(topic, now)

    def _demand(self, topic: Topic, now: int) -> None:
        topic.next_demand_ns = now + self._grow_after_ns
        topic.last_demand = (len(topic.waiting), len(topic.members))
        self._board.tell_manager(
            TopicDemand(
                topic.name,
                len(topic.waiting),
                len(topic.members),
                topic.busy,
            )
        )

    @staticmethod
    def _oldest_wait_ns(topic: Topic, now: int) -> int:
        return now - next(iter(topic.waiting)).waiting_since_ns

    def _report_usage(self, now: int) -> None:
        used, self._used = self._used, []
        self._next_usage_ns = now + USAGE_PERIOD_NS
        for topic in used:
            topic.used = False
            if topic.dropped:
                continue
            self._board.tell_manager(
                TopicUsage(
                    topic.name,
                    len(topic.members),
                    topic.busy_peak,
                    len(topic.waiting),
                    topic.delivered,
                    topic.failed,
                    topic.ended,
                    topic.run_ns,
                    tuple(topic.served),
                    tuple(StartUsage(kind, count, took_ns) for kind, (count, took_ns) in topic.starts.items()),
                )
            )
            topic.busy_peak = topic.busy
            topic.delivered = topic.failed = topic.ended = topic.run_ns = 0
            topic.served.clear()
            topic.starts.clear()
            if topic.busy or topic.waiting:
                topic.used = True
                self._used.append(topic)
