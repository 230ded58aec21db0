"""What a handler is told about its call, and what it can say to the platform: `Context`.

The worker brings the `Platform` behind it; without one, as in unit tests, a context does what can be done in this
process. Every instance imports this module: only what is needed at once is imported at the top.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is; importing typing would cost every instance 3 ms
if TYPE_CHECKING:
    from logging import Logger
    from typing import Any, Protocol

    from actorfaas.data import Data
    from actorfaas.tasks import Tasks

    Json = Any  # a decoded JSON document: the caller's business
else:
    Protocol = object


class Platform(Protocol):
    """What a worker has behind its context. A context without one is that of a unit test."""

    def heartbeat(self) -> None:
        """Say that the call goes on."""

    def data(self) -> Data:
        """The application's data."""

    def tasks(self) -> Tasks:
        """Tasks that wait for an answer from outside."""

    def send(self, to: str, message: Json, index: int | None) -> None:
        """As `Context.send`."""

    def receive(self, timeout_s: float | None) -> Json:
        """As `Context.receive`."""

    def take_alias(self, alias: str) -> None:
        """As `Context.take_alias`."""

    def add_next(self, state: str, value: Json) -> None:
        """As `Context.add_next`."""


class Context:
    """One call, as its handler sees it.

    `request_id`: this call. `execution_id` and `state`: the workflow execution and its state ("" outside one).
    `attempt`: 1 for the first delivery. `deadline`: when the call will be ended, in seconds of `time.monotonic()`.
    `traceparent` and `tracestate`: the W3C trace headers to pass on (`actorfaas.client` does so by itself). `data`: the
    application's data, see `actorfaas.data.Data`.
    `tasks`: tasks of executions that wait for an answer from outside, see `actorfaas.tasks.Tasks`.
    Build one without arguments to call a handler in a unit test.
    """

    __slots__ = (
        "_data",
        "_logger",
        "_platform",
        "_tasks",
        "attempt",
        "deadline",
        "execution_id",
        "function_name",
        "request_id",
        "state",
        "traceparent",
        "tracestate",
    )

    def __init__(
        self,
        *,
        request_id: str = "",
        execution_id: str = "",
        function_name: str = "",
        state: str = "",
        attempt: int = 1,
        deadline: float = float("inf"),
        traceparent: str = "",
        tracestate: str = "",
        data: Data | None = None,
        logger: Logger | None = None,
        platform: Platform | None = None,
        tasks: Tasks | None = None,
    ) -> None:
        self.request_id = request_id
        self.execution_id = execution_id
        self.function_name = function_name
        self.state = state
        self.attempt = attempt
        self.deadline = deadline
        self.traceparent = traceparent
        self.tracestate = tracestate
        self._data = data
        self._logger = logger
        self._platform = platform
        self._tasks = tasks

    def remaining_time_s(self) -> float:
        """Seconds until the deadline; 0 when it has passed, infinity when there is none."""
        return max(0.0, self.deadline - time.monotonic())

    def heartbeat(self) -> None:
        """Say that this call goes on. A state with HeartbeatSeconds fails when it has not been said for so long. For
        the handler's own thread; without a platform it does nothing."""
        if self._platform is not None:
            self._platform.heartbeat()

    def send(self, to: str, message: Json, *, index: int | None = None) -> None:
        """Send a message (JSON) to a running function of the same execution, or to one that has not started yet.

        `to`: the name of its state, or an alias that it took. Of several that run the state the first to ask gets the
        message; `index`: the one in this branch of the Parallel state, or with this item of the Map state.
        In a standard execution it is journalled when this returns. Raises MessageRefused: outside an execution, or when
        too much waits already.
        """
        self._session("send").send(to, message, index)

    def receive(self, timeout_s: float | None = None) -> Json:
        """The oldest message sent to this function's state, its branch or one of its aliases; waits until one comes.

        `timeout_s`: how long at most; None: until the call's deadline. In a standard execution, a call that does not
        return leaves what it received to the next attempt. Raises ReceiveTimeout, MessageRefused.
        """
        return self._session("receive").receive(timeout_s)

    def take_alias(self, alias: str) -> None:
        """Receive what is sent to this name, too, until this call ends. Raises MessageRefused while another has it."""
        self._session("take_alias").take_alias(alias)

    def add_next(self, state: str, value: Json = None) -> None:
        """Have a state run next, with this input (JSON), when this call returns: one of the task's PotentialNext.

        One takes the place of the declared next state. Several run at once, in this order, each to an end or up to the
        declared next state, which then gets the list of their outputs. None: the declared next state, as ever.
        Another state fails the task as `NextNotAllowed`. Raises MessageRefused outside an execution.
        """
        self._session("add_next").add_next(state, value)

    def _session(self, what: str) -> Platform:
        if self._platform is None or not self.execution_id:
            from actorfaas.errors import MessageRefused

            raise MessageRefused(f"context.{what} is for functions of one execution; this call belongs to none")
        return self._platform

    @property
    def data(self) -> Data:
        """The application's data; kept in memory unless the platform gave the real one."""
        if self._data is None:
            if self._platform is not None:
                self._data = self._platform.data()
            else:
                from actorfaas.data.memory import MemoryData

                self._data = MemoryData()
        return self._data

    @property
    def tasks(self) -> Tasks:
        """Tasks that wait for an answer from outside; answers are only kept unless the platform gave the real ones."""
        if self._tasks is None:
            if self._platform is not None:
                self._tasks = self._platform.tasks()
            else:
                from actorfaas.tasks import MemoryTasks

                self._tasks = MemoryTasks()
        return self._tasks

    @property
    def logger(self) -> Logger:
        """A standard logger named after the function; its lines carry the request id in `actorfaas logs`."""
        if self._logger is None:
            import logging

            self._logger = logging.getLogger(self.function_name or "actorfaas")
        return self._logger

    def __repr__(self) -> str:
        return f"Context(function_name={self.function_name!r}, request_id={self.request_id!r})"
