"""What an execution is held to from its start to its end, whatever the node's settings are when it goes on.

Kept in the journal's first event, so that a replay gives the same. Executions of versions before have none there.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from actorfaas.config import MAX_DATA_BYTES
from actorfaas.messages import HistoryEvent

STARTED = "ExecutionStarted"
"""The event that has them."""

DATA_WARNED = "DataLimitWarned"
"""The event that tells, once in an execution, of data larger than `warn_data_bytes`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """`max_data_bytes`: how large a result or output may be. `has_secret_tokens`: task tokens are made with the node's
    key. The defaults are what held in versions before."""

    max_data_bytes: int = MAX_DATA_BYTES
    has_secret_tokens: bool = False

    def journalled(self) -> bytes:
        """What the first event has of them."""
        return orjson.dumps(self)


def terms_of(started: HistoryEvent) -> Terms:
    """Those of an execution, by its first event."""
    return Terms(**orjson.loads(started.payload)) if started.payload else Terms()
