"""Which executions can go on after their end, and with what: the event, the time limit, the journal.

What the states do then is decided by `states.engine`; the journal is given to a new engine as after a restart.
"""

from __future__ import annotations

from dataclasses import replace

from actorfaas.messages import HistoryEvent, Journal, Refused, ReopenExecution, UnfinishedExecution

MAX_REDRIVES = 1_000
"""As on AWS."""

EVENT = "ExecutionRedriven"


def refusal(journal: Journal) -> Refused | None:
    """Why an execution cannot be redriven, if so."""
    execution_id = journal.execution.execution_id
    if journal.durability != "standard":
        return Refused("conflict", f"execution {execution_id} is express: its states were not kept, start it anew")
    if journal.status == "running":
        return Refused("conflict", f"execution {execution_id} is running")
    if journal.status == "succeeded":
        return Refused("conflict", f"execution {execution_id} has succeeded: there is nothing to do again")
    if journal.redrive_count >= MAX_REDRIVES:
        return Refused("conflict", f"execution {execution_id} was redriven {MAX_REDRIVES} times: start it anew")
    return None


def reopening(journal: Journal, at_ms: int) -> ReopenExecution:
    """What has to be stored before the execution goes on. Its time limit begins anew."""
    one = journal.execution
    count = journal.redrive_count + 1
    seq = max((event.seq for event in one.events), default=0) + 1
    deadline_at_ms = at_ms + one.deadline_at_ms - journal.limited_since_ms if one.deadline_at_ms else 0
    event = HistoryEvent(seq, at_ms, EVENT, "", count, "", "", 0, 0, 0, 0, "", "", b"")
    return ReopenExecution(one.execution_id, event, count, deadline_at_ms)


def reopened(journal: Journal, stored: ReopenExecution) -> UnfinishedExecution:
    """The execution as it is to be resumed."""
    one = journal.execution
    return replace(one, events=(*one.events, stored.event), deadline_at_ms=stored.deadline_at_ms)
