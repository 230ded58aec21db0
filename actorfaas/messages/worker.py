"""One worker's connection: FunctionWorker ↔ LocalQueue."""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct


@message(60)
class AttachWorker(Message):
    """FunctionWorker supervisor → LocalQueue, on the handover socket with one end of a worker's connection.

    `app`: the application the function belongs to; the namespace of its key-value data.
    """

    worker_topic: str
    function_topic: str
    app: str
    pid: int
    start_kind: str


@message(61)
class NewFunctionWorker(Message):
    """FunctionWorker → LocalQueue, first, topic `new_fw_reporting`: this instance is initialised and waits."""

    pid: int


@message(62)
class Task(Message):
    """LocalQueue → FunctionWorker, on its own topic: call the handler with `payload` (JSON).

    `next_topic`: where the result must be published; rights allow nothing else. `credit`: how many chunks may be sent
    before `TaskCredit` grants more; 0: a generator's items are collected into a JSON array instead of streamed.
    """

    request_id: str
    execution_id: str
    state: str
    attempt: int
    deadline_ns: int
    next_topic: str
    credit: int
    traceparent: str
    payload: bytes


@message(63)
class TaskResult(Message):
    """FunctionWorker → LocalQueue: the handler returned; publish `payload` (JSON) to `topic`, its `next_topic`."""

    request_id: str
    topic: str
    started_ns: int
    ended_ns: int
    payload: bytes


@struct
class AddedState:
    """A state that a task has run next, and its input (JSON)."""

    state: str
    input: bytes


@message(70)
class TaskEffects(Message):
    """Never sent by itself: what a task of an execution did besides returning, as the bytes that other messages carry.

    `added`: the states to run next. `payload`: its changes of functions' data (a `KvBatch`), or nothing.
    """

    added: tuple[AddedState, ...]
    payload: bytes


@message(71)
class TaskResultAndEffects(Message):
    """FunctionWorker → LocalQueue: as `TaskResult`, of a task of an execution that did more than return. The last
    `effects_bytes` of `payload` are its `TaskEffects`. It is handed on to nobody but the ExecutionManager."""

    request_id: str
    topic: str
    started_ns: int
    ended_ns: int
    effects_bytes: int
    payload: bytes


@message(64)
class TaskError(Message):
    """FunctionWorker → LocalQueue: the handler failed. `reason`: handler_error, bad_payload, bad_result, memory,
    unavailable (a part of the platform that the handler needed was away, which the handler did not catch).

    `exiting`: the worker ends itself after this message (the handler called `sys.exit`, memory ran out)."""

    request_id: str
    started_ns: int
    ended_ns: int
    reason: str
    error_type: str
    error_message: str
    traceback: str
    exiting: bool


@message(65)
class TaskChunk(Message):
    """FunctionWorker → LocalQueue: one piece of a streamed response. `content` says what the payload is: json (one
    encoded value), bytes or text (UTF-8); it is the same for all pieces of a response."""

    request_id: str
    content: str
    payload: bytes


@message(66)
class TaskCredit(Message):
    """LocalQueue → FunctionWorker: `chunks` more pieces may be sent."""

    request_id: str
    chunks: int


@message(68)
class Heartbeat(Message):
    """FunctionWorker → LocalQueue: the handler says that its call goes on."""

    request_id: str


@message(67)
class Retire(Message):
    """LocalQueue → FunctionWorker: exit now; nothing is under way."""
