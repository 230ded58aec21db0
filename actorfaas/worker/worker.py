"""A FunctionWorker: one instance of one function, serving one task at a time until it is told to exit.

Owns the loop (blocking receive, call, publish) and what each way of failing becomes. A handler may change the
working folder, the environment, `sys.stdout` or signal handlers; as in any process, that stays for later calls.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NoReturn

from actorfaas import trace_context
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused, WireError
from actorfaas.messages import (
    Message,
    NewFunctionWorker,
    Retire,
    Task,
    TaskChunk,
    TaskCredit,
    TaskError,
    TaskResult,
    Tend,
)
from actorfaas.worker.channel import Channel
from actorfaas.worker.context import TaskPlatform, build_context
from actorfaas.worker.encoding import BadPayload, BadResult, Json, dumps, loads
from actorfaas.worker.handlers import STREAMING_KINDS, call_of, encode_chunk
from actorfaas.worker.output import Output
from actorfaas.worker.process import MemoryLimit
from actorfaas.worker.tracebacks import (
    MESSAGE_LIMIT_BYTES,
    bounded,
    error_message,
    error_type,
    report_failure,
    user_traceback,
)

if TYPE_CHECKING:
    from actorfaas.declarations import AnyFunction
    from actorfaas.worker.tending import Tending

EXIT_OK = 0
EXIT_CONNECTION_LOST = 71
"""The worker's own connection broke while it had something to say; a handler may have closed it."""
EXIT_LOAD_FAILED = 72
"""A worker that loads for itself (cold, or of a bare template) could not; standard error says why."""
EXIT_OUT_OF_MEMORY = 73
"""The handler ran out of memory; its caller was told."""

_STREAMED = b"null"


class Worker:
    """One instance. `limit` holds while the handler runs; `folder` is the bundle's, for tracebacks."""

    def __init__(
        self, function: AnyFunction, channel: Channel, output: Output, limit: MemoryLimit, folder: str
    ) -> None:
        self._function = function
        self._channel = channel
        self._output = output
        self._limit = limit
        self._folder = folder
        self._call = call_of(function)
        self._takes_context = function.takes_context
        self._streams = function.kind in STREAMING_KINDS
        self._pid = os.getpid()
        self._exit_status: int | None = None
        self._tending: Tending | None = None

    def serve(self) -> int:
        """Report the worker, then serve tasks; returns the exit status."""
        try:
            self._tell(NewFunctionWorker(pid=self._pid))
            while self._exit_status is None:
                match self._channel.receive():
                    case Task() as task:
                        self._serve(task)
                    case Retire():
                        return EXIT_OK
                    case Tend() as order:
                        self._tend(order)
                    case TaskCredit():
                        pass  # for a stream that has ended
                    case other:
                        report_failure(f"actorfaas: a worker has no use for {type(other).__name__}")
        except PeerUnavailable:
            return EXIT_OK  # the LocalQueue is gone, and with it every request of this worker
        except (OSError, WireError) as error:
            report_failure(f"actorfaas: the worker's connection broke: {error}")
            return EXIT_CONNECTION_LOST
        return self._exit_status

    def _serve(self, task: Task) -> None:
        self._output.begin(task.request_id, task.execution_id, trace_context.trace_id(task.traceparent))
        trace_context.current = task.traceparent
        context = platform = None
        started_ns = ended_ns = 0
        reply: Message
        try:
            event = loads(task.payload)
            if self._takes_context:
                platform = TaskPlatform(task, self._channel, self._limit)
                context = build_context(task, self._function.name, platform)
            self._limit.apply()
            started_ns = time.monotonic_ns()
            result = self._call(event, context)
            if self._streams:
                result = self._drain(task, result)
            ended_ns = time.monotonic_ns()
            self._limit.lift()
            payload = result if result is _STREAMED else dumps(result)
            if platform is not None:
                reply = platform.result(payload, started_ns, ended_ns)
            else:
                reply = TaskResult(task.request_id, task.next_topic, started_ns, ended_ns, payload)
        except BaseException as error:  # noqa: BLE001  # the guard around user code: whatever it raises is a reply
            self._limit.lift()  # there must be room for the report
            reply = self._failure(task, error, started_ns, ended_ns)
        if platform is not None:
            platform.close()
        self._output.end()
        trace_context.current = ""
        self._tell(reply)

    def _tend(self, order: Tend) -> None:
        if self._tending is None:
            from actorfaas.worker.tending import Tending

            self._tending = Tending()
        self._tell(self._tending.tend(order.action))

    def _drain(self, task: Task, items: Json) -> Json:
        """Send the items of a generator as they come, or gather them when nobody takes a stream."""
        if task.credit <= 0:
            return list(items)
        content = ""
        credit = task.credit
        try:
            for item in items:
                self._limit.lift()
                content, data = encode_chunk(item, content)
                while credit <= 0:
                    credit += self._await_credit(task)
                credit -= 1
                self._tell(TaskChunk(task.request_id, content, data))
                self._limit.apply()
        finally:
            items.close()
        return _STREAMED

    def _await_credit(self, task: Task) -> int:
        message = self._channel.receive_before(task.deadline_ns)
        if isinstance(message, TaskCredit) and message.request_id == task.request_id:
            return message.chunks
        return 0  # credit for a stream before this one

    def _failure(self, task: Task, error: BaseException, started_ns: int, ended_ns: int) -> TaskError:
        """What the caller is told about `error`; decides whether the worker can go on."""
        reason, traceback = "handler_error", ""
        kind, message = error_type(error), ""
        if isinstance(error, BadPayload):
            reason, kind = "bad_payload", "BadPayload"
        elif isinstance(error, BadResult):
            reason, kind = "bad_result", "BadResult"
        elif isinstance(error, MemoryError):
            reason, message = "memory", self._memory_message(error)
            self._exit_status = EXIT_OUT_OF_MEMORY
        elif isinstance(error, SystemExit):
            message = bounded(f"the handler called sys.exit({_exit_argument(error)})", MESSAGE_LIMIT_BYTES)
            self._exit_status = _exit_status(error)
        elif isinstance(error, RequestRefused) and error.code == "unavailable":
            reason, message = "unavailable", error.detail  # no fault of the handler: it may be run again
        elif isinstance(error, AskTimeout):
            self._exit_status = EXIT_CONNECTION_LOST  # the channel is closed: its reply may still come
        if reason in ("handler_error", "memory"):
            traceback = user_traceback(error, self._folder)
        now_ns = time.monotonic_ns()
        return TaskError(
            request_id=task.request_id,
            started_ns=started_ns or now_ns,
            ended_ns=ended_ns or now_ns,
            reason=reason,
            error_type=kind,
            error_message=message or error_message(error),
            traceback=traceback,
            exiting=self._exit_status is not None,
        )

    def _memory_message(self, error: MemoryError) -> str:
        said = error_message(error)
        limit = f"the function's limit of {self._function.memory_mb} MB (memory_mb) was exceeded"
        return f"{limit}: {said}" if said else limit

    def _tell(self, message: Message) -> None:
        if os.getpid() != self._pid:
            self._end_fork(message)
        self._channel.tell(message)

    def forked_by_handler(self) -> None:
        """To be called in a child of the handler: without the connection there, the worker's end is seen at once."""
        self._channel.close()
        self._output.after_fork()

    def _end_fork(self, message: Message) -> NoReturn:
        """A process forked by the handler came back here: the reply is its parent's to give, so it just ends."""
        self._output.flush()
        if self._exit_status is not None:
            os._exit(self._exit_status)
        os._exit(1 if isinstance(message, TaskError) else EXIT_OK)


def _exit_argument(error: SystemExit) -> str:
    return "" if error.code is None else repr(error.code)


def _exit_status(error: SystemExit) -> int:
    """The process's status as the interpreter would have it."""
    if error.code is None:
        return EXIT_OK
    return error.code & 0xFF if isinstance(error.code, int) else 1
