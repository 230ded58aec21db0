"""The LocalQueue's link to the ExecutionManager: what is said while it restarts waits here, within bounds.

This is where the topics `new_fw_reporting` and `request_next_fw` are kept. At most `FACTS_LIMIT` facts and
`PAYLOADS_LIMIT_BYTES` of payloads wait; beyond that the oldest go. Nothing that a caller waits for is lost with them:
a new ExecutionManager asks `DescribeQueue` for what is true now, and a state whose `TaskFinished` went is run again
(tasks are at-least-once). Demand and usage do not wait at all, since they are repeated.
"""

from __future__ import annotations

from collections import deque
from typing import TypeVar

from actorfaas.errors import PeerUnavailable
from actorfaas.logs import Logger
from actorfaas.messages import Message, TaskFinished, TopicDemand, TopicUsage
from actorfaas.runtime.actor import Connection

M = TypeVar("M", bound=Message)

FACTS_LIMIT = 8192
PAYLOADS_LIMIT_BYTES = 64 * 1024 * 1024


class ManagerLink:
    """A place to tell the ExecutionManager something, connected or not."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._connection: Connection | None = None
        self._waiting: deque[Message] = deque()
        self._payload_bytes = 0
        self._dropped = 0

    def tell(self, message: Message, /) -> None:
        """Send now, or keep until the ExecutionManager is back."""
        if self._connection is not None and not self._connection.is_closed:
            self._connection.tell(message)
        elif not isinstance(message, TopicDemand | TopicUsage):
            self._keep(message)

    async def ask(self, message: Message, expect: type[M]) -> M:
        """Ask it something. Raises PeerUnavailable, AskTimeout, RequestRefused."""
        if self._connection is None:
            raise PeerUnavailable("the ExecutionManager is not connected")
        return await self._connection.ask(message, expect)

    def connected(self, connection: Connection) -> None:
        """A new ExecutionManager is here: it gets what waited, in order."""
        self._connection = connection
        if self._waiting or self._dropped:
            self._log.info("execution manager is back", waiting=len(self._waiting), dropped=self._dropped)
        while self._waiting:
            connection.tell(self._waiting.popleft())
        self._payload_bytes = self._dropped = 0

    def disconnected(self, connection: Connection) -> None:
        """A connection ended; it matters if it was the ExecutionManager's newest."""
        if connection is self._connection:
            self._connection = None

    def _keep(self, message: Message) -> None:
        self._waiting.append(message)
        self._payload_bytes += _payload_bytes(message)
        while len(self._waiting) > FACTS_LIMIT or self._payload_bytes > PAYLOADS_LIMIT_BYTES:
            self._payload_bytes -= _payload_bytes(self._waiting.popleft())
            self._dropped += 1


def _payload_bytes(message: Message) -> int:
    return len(message.payload) if isinstance(message, TaskFinished) else 0
