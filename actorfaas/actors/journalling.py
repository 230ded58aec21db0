"""Histories of executions on their way to the DataLayer, as the ExecutionManager sends them.

Owns the asks, and which of their outcomes a person should hear of. What is sent when, and what follows from the
outcome, is decided in `core.history` and `core.executions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorfaas.actors.cancelling import Cancels
from actorfaas.core.executions import Executions
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused
from actorfaas.messages import Done, KvCommit, KvCommitted, Message
from actorfaas.runtime.actor import Actor


class Journal:
    """`progress` is set whenever a request has an outcome; `changed`: carry out what the core decided."""

    def __init__(self, actor: Actor, executions: Executions, cancels: Cancels, changed: Callable[[], None]) -> None:
        self.progress = asyncio.Event()
        self._actor = actor
        self._executions = executions
        self._cancels = cancels
        self._changed = changed

    async def store(self, execution_id: str, request: Message) -> None:
        """Ask the DataLayer, and tell the core what came of it."""
        try:
            if isinstance(request, KvCommit):
                done = await self._actor.ask("data_layer", request, KvCommitted)
                if done.conflict >= 0:
                    raise RequestRefused("precondition_failed", "what the task changed has other versions by now")
            else:
                await self._actor.ask("data_layer", request, Done)
        except RequestRefused as error:
            self._not_stored(execution_id, request, error.code, error.detail)
        except (PeerUnavailable, AskTimeout) as error:
            self._not_stored(execution_id, request, "unavailable", str(error))
        else:
            self._executions.stored(execution_id, self._actor.clock.monotonic_ns())
        self._cancels.stored(execution_id)
        self._changed()
        self.progress.set()

    def _not_stored(self, execution_id: str, request: Message, code: str, detail: str) -> None:
        again = self._executions.not_stored(execution_id, code, detail, self._actor.clock.monotonic_ns())
        kind = type(request).__name__
        log = self._actor.log
        if again:
            return
        if code == "conflict":  # the Frontend asked again because this actor restarted; the first one was kept
            log.info("an execution was asked for twice", execution_id=execution_id)
        else:
            log.error("history given up", execution_id=execution_id, request=kind, code=code, detail=detail)
