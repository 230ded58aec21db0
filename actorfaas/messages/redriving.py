"""Going on with executions that ended without success: Frontend → ExecutionManager → DataLayer."""

from __future__ import annotations

from actorfaas.messages.base import Message, message
from actorfaas.messages.executions import HistoryEvent, UnfinishedExecution


@message(400)
class RedriveExecution(Message):
    """Frontend → ExecutionManager (ask → ExecutionRedriven once that is committed, or Refused "not_found" or
    "conflict" with why it cannot be redriven)."""

    execution_id: str


@message(401)
class ExecutionRedriven(Message):
    """Reply to `RedriveExecution`: it runs again, for the `redrive_count`-th time, from what failed."""

    execution_id: str
    redrive_count: int


@message(402)
class GetJournal(Message):
    """ExecutionManager → DataLayer (ask → Journal or Refused "not_found")."""

    execution_id: str


@message(403)
class Journal(Message):
    """Reply to `GetJournal`: an execution, whether it has ended or not, with its journal. `limited_since_ms`: from when
    on its time limit counts, its start or its last redrive."""

    execution: UnfinishedExecution
    status: str
    durability: str
    redrive_count: int
    limited_since_ms: int


@message(404)
class ReopenExecution(Message):
    """ExecutionManager → DataLayer (ask → Done once committed): an execution that ended without success runs again.

    `event` follows its history, `redrive_count` is one more than it was. A repeat is answered Done and ignored,
    anything else is Refused "conflict".
    """

    execution_id: str
    event: HistoryEvent
    redrive_count: int
    deadline_at_ms: int
