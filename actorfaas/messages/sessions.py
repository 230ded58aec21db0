"""Messages between running functions of one execution: FunctionWorker ↔ LocalQueue, which has them in its memory.

Those of standard executions are in the journal, too: LocalQueue ↔ ExecutionManager. An address is a name: of a state,
or an alias that a function took; with an index, one branch or item of the state.
"""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct


@message(260)
class SendMessage(Message):
    """FunctionWorker → LocalQueue (ask → Done, or Refused "overloaded"/"invalid"/"unauthorized"): a message for whoever
    receives at an address of the same execution, now or later. `index` -1: any branch."""

    to: str
    index: int
    payload: bytes


@message(261)
class ReceiveMessage(Message):
    """FunctionWorker → LocalQueue (ask → MessageReceived, or Refused "timeout" after `timeout_ns`): the oldest message
    for one of this task's addresses, waited for if there is none."""

    timeout_ns: int


@message(262)
class MessageReceived(Message):
    """Reply to `ReceiveMessage`."""

    payload: bytes


@message(263)
class TakeAlias(Message):
    """FunctionWorker → LocalQueue (ask → Done, or Refused "conflict" while another task has it): also receive what is
    sent to this name, until the task ends."""

    alias: str


@message(264)
class SessionOpened(Message):
    """LocalQueue → ExecutionManager: functions of this execution send messages or wait for them."""

    execution_id: str


@message(265)
class EndSession(Message):
    """ExecutionManager → LocalQueue: the execution has ended; its messages are dropped."""

    execution_id: str


@message(266)
class KeepMessage(Message):
    """LocalQueue → ExecutionManager (ask → MessageKept once it is on disk; or Refused "cancelled" when the task is
    over, "invalid"): a task of a standard execution sends a message."""

    execution_id: str
    task_id: str
    to: str
    index: int
    payload: bytes


@message(267)
class MessageKept(Message):
    """Reply to `KeepMessage`: the number under which the execution has it; later ones have higher numbers."""

    number: int


@message(268)
class MessagesTaken(Message):
    """LocalQueue → ExecutionManager, before the task's `TaskFinished`: a task of a standard execution received these
    messages. They are gone once its success is journalled."""

    execution_id: str
    task_id: str
    numbers: tuple[int, ...]


@struct
class KeptMessage:
    """One message of a standard execution."""

    number: int
    to: str
    index: int
    payload: bytes


@message(269)
class RestoreMessages(Message):
    """ExecutionManager → LocalQueue: messages that no task has received, as after a restart of either; those that are
    there already stay as they are."""

    execution_id: str
    messages: tuple[KeptMessage, ...]
