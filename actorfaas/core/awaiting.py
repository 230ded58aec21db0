"""What a branch waits for that no worker of the node holds: an answer under a token, or the end of an execution.

Owns what is remembered of it and its time limits. What starts it is in `core.outside`, what ends it in `core.answers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest

from actorfaas.states.instructions import RunTask
from actorfaas.states.resources import Resource

NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class Recalled:
    """What a journal tells of the attempt under way in a branch. `asked_ms`: since when; `is_noted`: that it waits is
    written; `is_taken`: what it waits for has begun (see `Awaited`)."""

    asked_ms: int
    is_noted: bool = False
    is_taken: bool = False


@dataclass(frozen=True, slots=True)
class Unasked:
    """An attempt that could not begin; it fails once the event under way is handled. `type_`: its event's."""

    execution_id: str
    token: str
    type_: str
    error: str
    cause: str


@dataclass(slots=True, eq=False)
class Awaited:
    """One attempt that is answered apart. `child`: the execution that it starts, or "".

    `is_noted`: an activity's history says that it waits for a worker. `is_taken`: the function that was given the token
    has returned, the execution was begun, the activity's worker has the task: a restart does not do it again. Instants
    are 0 where there is none; `silent_until_ns`: when a heartbeat is missing.
    """

    run: RunTask
    child: str = ""
    is_noted: bool = False
    is_taken: bool = False
    deadline_ns: int = 0
    silent_until_ns: int = 0

    @property
    def token(self) -> str:
        """What names it."""
        return self.run.token

    @property
    def resource(self) -> Resource:
        """What is called."""
        return self.run.task.resource

    @property
    def is_followed(self) -> bool:
        """Whether the end of the execution that it starts is its answer."""
        return self.resource.kind == "start-execution" and self.resource.pattern in ("sync", "sync:2")

    @property
    def has_token(self) -> bool:
        """Whether somebody outside answers it."""
        return self.resource.has_token

    def is_answered_under(self, token: str) -> bool:
        """Whether somebody outside who has this token answers it."""
        return self.has_token and compare_digest(self.token.encode(), token.encode())

    @property
    def family(self) -> str:
        """What its events are called after, as in Step Functions."""
        return "Activity" if self.resource.kind == "activity" else "Task"

    def begin(self, asked_ns: int, now_ns: int) -> None:
        """Its time limits run, the whole since `asked_ns`."""
        if self.run.timeout_s:
            self.deadline_ns = max(1, asked_ns + int(self.run.timeout_s * NS_PER_S))
        self.goes_on(now_ns)

    def goes_on(self, now_ns: int) -> None:
        """It was heard of."""
        heartbeat_ns = int(self.run.heartbeat_s * NS_PER_S)
        self.silent_until_ns = now_ns + heartbeat_ns if heartbeat_ns else 0

    def due_ns(self) -> int:
        """When it will have taken too long, or been silent for too long."""
        if self.deadline_ns and self.silent_until_ns:
            return min(self.deadline_ns, self.silent_until_ns)
        return self.deadline_ns or self.silent_until_ns
