"""Cancelling executions: the answer waits until the end is stored, so that what was told to be cancelled never goes on
after a restart."""

from __future__ import annotations

from actorfaas.core.executions import Executions
from actorfaas.messages import CancelExecution, Done, Refused
from actorfaas.runtime.actor import Sender


class Cancels:
    """Who waits for the stored end of which execution."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions
        self._waiting: dict[str, list[Sender]] = {}

    def cancel(self, wanted: CancelExecution, sender: Sender, now_ns: int) -> None:
        """End an execution; one that is being cancelled already is waited for, too."""
        execution_id = wanted.execution_id
        if self._executions.cancel(execution_id, wanted.reason, now_ns) or execution_id in self._waiting:
            self._waiting.setdefault(execution_id, []).append(sender)
        elif self._executions.execution(execution_id) is not None:
            sender.reply(Refused("conflict", f"execution {execution_id} has ended"))
        else:
            sender.reply(Refused("not_found", f"no execution {execution_id} is running"))

    def stored(self, execution_id: str) -> None:
        """A request to the DataLayer was answered; perhaps it was the last one."""
        if execution_id in self._waiting and self._executions.execution(execution_id) is None:
            for sender in self._waiting.pop(execution_id):
                sender.reply(Done())
