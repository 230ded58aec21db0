"""What a handler is told about its call: `Context`, and the functions' key-value data it reaches through it.

Owns the interface (`KeyValue`) and an in-memory implementation of it for unit tests; the worker brings the one that
talks to the platform. Every instance imports this module: only what is needed at once is imported at the top.
"""

from __future__ import annotations

import time

from actorfaas.errors import VersionConflict

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is; importing typing would cost every instance 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger
    from typing import Any, Protocol

    Json = Any  # a decoded JSON document: the caller's business
else:
    Protocol = object


class KeyValue(Protocol):
    """An application's data, shared by all its functions. Values are JSON documents; versions count from 1."""

    def get(self, key: str) -> Json:
        """The value, or None when there is none."""
        raise NotImplementedError

    def get_versioned(self, key: str) -> tuple[Json, int]:
        """The value and its version; (None, 0) when there is none."""
        raise NotImplementedError

    def put(self, key: str, value: Json, if_version: int | None = None) -> int:
        """Store a value; returns its version.

        `if_version`: only if the key has that version now (0: only if it is absent), else VersionConflict.
        """
        raise NotImplementedError

    def delete(self, key: str, if_version: int | None = None) -> None:
        """Remove a key; an absent one is no error. `if_version` as in `put`."""
        raise NotImplementedError

    def list(self, prefix: str = "", limit: int = 1000) -> list[str]:
        """The first `limit` keys that begin with `prefix`, in order."""
        raise NotImplementedError


class MemoryKeyValue(KeyValue):
    """Key-value data in this process only: what a `Context` has in a unit test."""

    def __init__(self) -> None:
        self._items: dict[str, tuple[str, int]] = {}  # JSON text, as the platform stores it: no shared objects

    def get(self, key: str) -> Json:
        return self.get_versioned(key)[0]

    def get_versioned(self, key: str) -> tuple[Json, int]:
        import json

        text, version = self._items.get(key, ("null", 0))
        return json.loads(text), version

    def put(self, key: str, value: Json, if_version: int | None = None) -> int:
        import json

        text = json.dumps(value)
        version = self._expect(key, if_version) + 1
        self._items[key] = (text, version)
        return version

    def delete(self, key: str, if_version: int | None = None) -> None:
        self._expect(key, if_version)
        self._items.pop(key, None)

    def list(self, prefix: str = "", limit: int = 1000) -> list[str]:
        return sorted(key for key in self._items if key.startswith(prefix))[:limit]

    def _expect(self, key: str, if_version: int | None) -> int:
        """The present version of `key`, once it is the expected one."""
        version = self._items.get(key, ("", 0))[1]
        if if_version is not None and if_version != version:
            raise VersionConflict(key, if_version)
        return version


class Context:
    """One call, as its handler sees it.

    `request_id`: this call. `execution_id` and `state`: the workflow execution and its state ("" outside one).
    `attempt`: 1 for the first delivery. `deadline`: when the call will be ended, in seconds of `time.monotonic()`.
    `traceparent`: the W3C trace header to pass on. `kv`: the application's key-value data.
    Build one without arguments to call a handler in a unit test.
    """

    __slots__ = (
        "_heartbeat",
        "_kv",
        "_logger",
        "attempt",
        "deadline",
        "execution_id",
        "function_name",
        "request_id",
        "state",
        "traceparent",
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
        kv: KeyValue | None = None,
        logger: Logger | None = None,
        heartbeat: Callable[[], None] | None = None,
    ) -> None:
        self.request_id = request_id
        self.execution_id = execution_id
        self.function_name = function_name
        self.state = state
        self.attempt = attempt
        self.deadline = deadline
        self.traceparent = traceparent
        self._kv = kv
        self._logger = logger
        self._heartbeat = heartbeat

    def remaining_time_s(self) -> float:
        """Seconds until the deadline; 0 when it has passed, infinity when there is none."""
        return max(0.0, self.deadline - time.monotonic())

    def heartbeat(self) -> None:
        """Say that this call goes on. A state with HeartbeatSeconds fails when it has not been said for so long. For
        the handler's own thread; without a platform it does nothing."""
        if self._heartbeat is not None:
            self._heartbeat()

    @property
    def kv(self) -> KeyValue:
        """The application's key-value data; kept in memory unless the platform gave the real one."""
        if self._kv is None:
            self._kv = MemoryKeyValue()
        return self._kv

    @property
    def logger(self) -> Logger:
        """A standard logger named after the function; its lines carry the request id in `actorfaas logs`."""
        if self._logger is None:
            import logging

            self._logger = logging.getLogger(self.function_name or "actorfaas")
        return self._logger

    def __repr__(self) -> str:
        return f"Context(function_name={self.function_name!r}, request_id={self.request_id!r})"
