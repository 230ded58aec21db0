"""The `Context` of one task, and the key-value data behind it, reached over the worker's own connection.

What a handler may do with either is said in `actorfaas.context`; keeping the data is the DataLayer's.
"""

from __future__ import annotations

from threading import get_ident
from typing import TypeVar

from actorfaas.context import Context, KeyValue
from actorfaas.errors import RequestRefused, VersionConflict
from actorfaas.messages import Done, Heartbeat, KvDelete, KvGet, KvKeys, KvList, KvPut, KvValue, Message, Task
from actorfaas.worker.channel import Channel
from actorfaas.worker.encoding import BadResult, Json, dumps, loads
from actorfaas.worker.process import MemoryLimit

M = TypeVar("M", bound=Message)
_ANY_VERSION = -1
_PAGE = 1000


class SocketKeyValue(KeyValue):
    """The application's data through the LocalQueue. For the thread that runs the handler, while it runs.

    Every method raises RequestRefused when the platform says no, AskTimeout at the request's deadline.
    """

    __slots__ = ("_channel", "_deadline_ns", "_limit", "_thread", "open")

    def __init__(self, channel: Channel, limit: MemoryLimit, deadline_ns: int) -> None:
        self._channel = channel
        self._limit = limit
        self._deadline_ns = deadline_ns
        self._thread = get_ident()
        self.open = True

    def get(self, key: str) -> Json:
        return self.get_versioned(key)[0]

    def get_versioned(self, key: str) -> tuple[Json, int]:
        value = self._ask(KvGet(namespace="", key=key), KvValue)
        return (loads(value.payload), value.version) if value.version else (None, 0)

    def put(self, key: str, value: Json, if_version: int | None = None) -> int:
        expected = _ANY_VERSION if if_version is None else if_version
        self._limit.lift()
        try:
            payload = dumps(value, f"value for key {key!r}")
        except BadResult as error:
            raise TypeError(str(error)) from None
        finally:
            self._limit.apply()
        stored = self._ask(KvPut(namespace="", key=key, expected_version=expected, payload=payload), KvValue)
        return stored.version

    def delete(self, key: str, if_version: int | None = None) -> None:
        expected = _ANY_VERSION if if_version is None else if_version
        self._ask(KvDelete(namespace="", key=key, expected_version=expected), Done)

    def list(self, prefix: str = "", limit: int = 1000) -> list[str]:
        keys: list[str] = []
        while len(keys) < limit:
            wanted = min(limit - len(keys), _PAGE)
            after = keys[-1] if keys else ""
            page = self._ask(KvList(namespace="", prefix=prefix, after=after, limit=wanted), KvKeys)
            keys.extend(page.keys)
            if len(page.keys) < wanted:
                break
        return keys

    def _ask(self, message: KvGet | KvPut | KvDelete | KvList, expect: type[M]) -> M:
        if not self.open:
            raise RuntimeError("this context's request has ended; use the context of the present call")
        if get_ident() != self._thread:
            raise RuntimeError("ctx.kv works in the handler's own thread only; read and write there")
        try:
            reply = self._channel.ask(message, self._deadline_ns)
        except RequestRefused as refused:
            if refused.code == "precondition_failed" and isinstance(message, KvPut | KvDelete):
                raise VersionConflict(message.key, message.expected_version) from None
            raise
        if not isinstance(reply, expect):
            raise RequestRefused("internal", f"{type(reply).__name__} is no answer to {type(message).__name__}")
        return reply


class SocketHeartbeat:
    """Says over the worker's connection that a call goes on. For the thread that runs the handler, while it runs."""

    __slots__ = ("_channel", "_request_id", "_thread", "open")

    def __init__(self, channel: Channel, request_id: str) -> None:
        self._channel = channel
        self._request_id = request_id
        self._thread = get_ident()
        self.open = True

    def __call__(self) -> None:
        if not self.open:
            raise RuntimeError("this context's request has ended; use the context of the present call")
        if get_ident() != self._thread:
            raise RuntimeError("ctx.heartbeat works in the handler's own thread only; call it there")
        self._channel.tell(Heartbeat(request_id=self._request_id))


def build_context(task: Task, function_name: str, channel: Channel, limit: MemoryLimit) -> Context:
    """What the handler of `task` is given."""
    return Context(
        request_id=task.request_id,
        execution_id=task.execution_id,
        function_name=function_name,
        state=task.state,
        attempt=task.attempt,
        deadline=task.deadline_ns / 1e9,
        traceparent=task.traceparent,
        kv=SocketKeyValue(channel, limit, task.deadline_ns),
        heartbeat=SocketHeartbeat(channel, task.request_id),
    )


def close_context(context: Context) -> None:
    """The request is over: a context that user code kept no longer reaches the connection."""
    for part in (context.kv, context._heartbeat):
        if isinstance(part, SocketKeyValue | SocketHeartbeat):
            part.open = False
