"""Messages between running functions of one execution: FunctionWorker ↔ LocalQueue, kept in its memory only.

An address is a name: of a state, or an alias that a function took; with an index, one branch or item of the state.
"""

from __future__ import annotations

from actorfaas.messages.base import Message, message


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
