"""The `Context` of one task, and the platform behind it, reached over the worker's own connection.

What a handler may do with either is said in `actorfaas.context` and `actorfaas.data`; keeping the data is the
DataLayer's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import get_ident
from typing import TYPE_CHECKING, TypeVar

from actorfaas.batches import packed, with_effects
from actorfaas.context import Context, Platform
from actorfaas.data import Data, Keeper, Pending
from actorfaas.errors import DataRefused, MessageRefused, ReceiveTimeout, RequestRefused, VersionConflict
from actorfaas.messages import (
    AddedState,
    BeatTask,
    Done,
    FailTask,
    Heartbeat,
    KvCommit,
    KvCommitted,
    KvGet,
    KvKeys,
    KvList,
    KvValue,
    KvWrite,
    Message,
    MessageReceived,
    ReceiveMessage,
    SendMessage,
    SucceedTask,
    TakeAlias,
    Task,
    TaskResult,
    TaskResultAndEffects,
)
from actorfaas.worker.channel import Channel
from actorfaas.worker.encoding import BadResult, Json, dumps, loads
from actorfaas.worker.process import MemoryLimit
from actorfaas.writes import ADD, ANY_VERSION

if TYPE_CHECKING:
    from actorfaas.tasks import Tasks

M = TypeVar("M", bound=Message)
_PAGE = 1000


class TaskPlatform(Platform, Keeper):
    """The platform as the handler of one task reaches it. For the thread that runs the handler, while it runs.

    Every method raises RequestRefused when the platform says no, AskTimeout at the task's deadline.
    """

    __slots__ = ("_added", "_channel", "_is_over", "_limit", "_pending", "_task", "_thread")

    def __init__(self, task: Task, channel: Channel, limit: MemoryLimit) -> None:
        self._task = task
        self._channel = channel
        self._limit = limit
        self._thread = get_ident()
        self._pending: Pending | None = None
        self._added: list[AddedState] = []
        self._is_over = False

    # --- the handler -------------------------------------------------------------------------------------------------

    def heartbeat(self) -> None:
        self._check("ctx.heartbeat")
        self._channel.tell(Heartbeat(request_id=self._task.request_id))

    def data(self) -> Data:
        self._pending = Pending()
        return Data(self, self._pending)

    def tasks(self) -> Tasks:
        from actorfaas.worker.task_answers import PlatformTasks

        return PlatformTasks(self)

    def answer(self, message: SucceedTask | FailTask | BeatTask) -> None:
        """Answer a task that waits for somebody outside; back when that is on disk."""
        self._check("ctx.tasks")
        reply = self._channel.ask(message, self._task.deadline_ns)
        if not isinstance(reply, Done):
            raise RequestRefused("internal", f"{type(reply).__name__} is no answer to {type(message).__name__}")

    def send(self, to: str, message: Json, index: int | None) -> None:
        payload = self.encode(message, f"message for {to!r}")
        self._talk(SendMessage(to, -1 if index is None else index, payload), Done)

    def receive(self, timeout_s: float | None) -> Json:
        left_ns = self._task.deadline_ns - time.monotonic_ns()
        timeout_ns = left_ns if timeout_s is None else int(timeout_s * 1e9)
        return loads(self._talk(ReceiveMessage(timeout_ns), MessageReceived).payload)

    def take_alias(self, alias: str) -> None:
        self._talk(TakeAlias(alias), Done)

    def add_next(self, state: str, value: Json) -> None:
        self._check("ctx.add_next")
        self._added.append(AddedState(state, self.encode(value, f"input of state {state!r}")))

    def _talk(self, message: SendMessage | ReceiveMessage | TakeAlias, expect: type[M]) -> M:
        self._check("sending and receiving")
        try:
            return self._asked(message, expect)
        except RequestRefused as refused:
            if refused.code == "timeout" and isinstance(message, ReceiveMessage):
                waited_s = message.timeout_ns / 1e9
                raise ReceiveTimeout(f"no message for state {self._task.state!r} within {waited_s:g} s") from None
            if refused.code in ("invalid", "conflict", "overloaded", "unauthorized", "busy", "cancelled"):
                raise MessageRefused(refused.detail) from None
            raise

    # --- the end of its call -----------------------------------------------------------------------------------------

    def result(self, result: bytes, started_ns: int, ended_ns: int) -> TaskResult | TaskResultAndEffects:
        """What to say when the handler has returned. What it changed is committed by whoever runs the execution; where
        there is none, here. Raises VersionConflict, DataRefused."""
        task = self._task
        writes = self._pending.writes() if self._pending is not None else ()
        if writes and not task.execution_id:
            self.commit(writes)
        elif writes or self._added:
            try:
                changes = packed(writes) if writes else b""
                payload, effects_bytes = with_effects(result, self._added, changes)
            except RequestRefused as refused:
                raise DataRefused(refused.detail) from None
            return TaskResultAndEffects(task.request_id, task.next_topic, started_ns, ended_ns, effects_bytes, payload)
        return TaskResult(task.request_id, task.next_topic, started_ns, ended_ns, result)

    def close(self) -> None:
        """The call is over: a context that user code kept no longer reaches the connection."""
        self._is_over = True

    # --- data --------------------------------------------------------------------------------------------------------

    def read(self, namespace: str, key: str) -> tuple[bytes, int]:
        found = self._ask(KvGet(namespace, key), KvValue)
        return bytes(found.payload), found.version

    def keys(self, namespace: str, prefix: str, after: str, limit: int) -> list[str]:
        found: list[str] = []
        while len(found) < limit:
            wanted = min(limit - len(found), _PAGE)
            page = self._ask(KvList(namespace, prefix, found[-1] if found else after, wanted), KvKeys)
            found.extend(page.keys)
            if len(page.keys) < wanted:
                break
        return found

    def commit(self, writes: Sequence[KvWrite]) -> Sequence[int]:
        try:
            payload = packed(writes)
        except RequestRefused as refused:
            raise DataRefused(refused.detail) from None
        done = self._ask(KvCommit("", all(map(_is_repeatable, writes)), payload), KvCommitted)
        if 0 <= done.conflict < len(writes):
            conflict = writes[done.conflict]
            raise VersionConflict(conflict.key, conflict.expected_version)
        return done.numbers

    def encode(self, value: Json, what: str) -> bytes:
        self._limit.lift()
        try:
            return dumps(value, what)
        except BadResult as error:
            raise TypeError(str(error)) from None
        finally:
            self._limit.apply()

    def decode(self, payload: bytes) -> Json:
        return loads(payload)

    def _ask(self, message: KvGet | KvCommit | KvList, expect: type[M]) -> M:
        self._check("ctx.data")
        try:
            return self._asked(message, expect)
        except RequestRefused as refused:
            if refused.code in ("invalid", "unauthorized"):
                raise DataRefused(refused.detail) from None
            raise

    def _asked(self, message: Message, expect: type[M]) -> M:
        reply = self._channel.ask(message, self._task.deadline_ns)
        if not isinstance(reply, expect):
            raise RequestRefused("internal", f"{type(reply).__name__} is no answer to {type(message).__name__}")
        return reply

    def _check(self, what: str) -> None:
        if self._is_over:
            raise RuntimeError("this context's request has ended; use the context of the present call")
        if get_ident() != self._thread:
            raise RuntimeError(f"{what} works in the handler's own thread only; use it there")


def _is_repeatable(write: KvWrite) -> bool:
    """Whether a change that is made twice is as if made once."""
    return write.action != ADD and write.expected_version == ANY_VERSION


def build_context(task: Task, function_name: str, platform: TaskPlatform) -> Context:
    """What the handler of `task` is given."""
    traceparent, _, tracestate = task.traceparent.partition(" ")
    return Context(
        request_id=task.request_id,
        execution_id=task.execution_id,
        function_name=function_name,
        state=task.state,
        attempt=task.attempt,
        deadline=task.deadline_ns / 1e9,
        traceparent=traceparent,
        tracestate=tracestate,
        platform=platform,
    )
