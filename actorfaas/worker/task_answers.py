"""What a handler answers to tasks that wait for somebody outside, over the worker's own connection.

Imported only by handlers that do so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actorfaas.messages import BeatTask, FailTask, SucceedTask
from actorfaas.tasks import Tasks
from actorfaas.worker.encoding import Json

if TYPE_CHECKING:
    from actorfaas.worker.context import TaskPlatform


class PlatformTasks(Tasks):
    """Tasks as the platform has them. Every method also raises AskTimeout, at the deadline of the handler's own."""

    def __init__(self, platform: TaskPlatform) -> None:
        self._platform = platform

    def succeed(self, token: str, output: Json = None) -> None:
        payload = self._platform.encode(output, "output of a task")
        self._platform.answer(SucceedTask(token=token, payload=payload))

    def fail(self, token: str, error: str = "", cause: str = "") -> None:
        self._platform.answer(FailTask(token=token, error=error, cause=cause))

    def heartbeat(self, token: str) -> None:
        self._platform.answer(BeatTask(token=token))
