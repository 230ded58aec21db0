"""What a handler can say of tasks that wait for an answer from outside: `Context.tasks`.

Owns the interface (`Tasks`) and one for unit tests; the worker brings the one that talks to the platform. Imported only
by handlers that use it.
"""

from __future__ import annotations

from typing import Any, Protocol

Json = Any  # a decoded JSON document: the caller's business


class Tasks(Protocol):
    """Tasks of executions (`.waitForTaskToken`, activities) by their tokens.

    Every method raises RequestRefused, whose `code` says why: task_timed_out (answered before, or over),
    task_does_not_exist, invalid_token.
    """

    def succeed(self, token: str, output: Json = None) -> None:
        """Give a task its result."""
        raise NotImplementedError

    def fail(self, token: str, error: str = "", cause: str = "") -> None:
        """Let a task fail; without an `error` it is States.TaskFailed."""
        raise NotImplementedError

    def heartbeat(self, token: str) -> None:
        """Say that a task goes on, for states with HeartbeatSeconds."""
        raise NotImplementedError


class MemoryTasks(Tasks):
    """What a `Context` has in a unit test: `answers` keeps what was said last by each token."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[Json, ...]] = {}

    def succeed(self, token: str, output: Json = None) -> None:
        self.answers[token] = ("succeed", output)

    def fail(self, token: str, error: str = "", cause: str = "") -> None:
        self.answers[token] = ("fail", error, cause)

    def heartbeat(self, token: str) -> None:
        self.answers[token] = ("heartbeat",)
