"""Whoever answers tasks from outside, asks for an activity's, or sends one a message: the ExecutionManager's side.

Owns who asked under which number, the time for which a poll waits, and the list of activities on its way to the
DataLayer. What an answer does is decided in `core.answers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorfaas.core.activities import Poll
from actorfaas.core.answers import NO_TASK, execution_of
from actorfaas.core.effects import Reply
from actorfaas.core.executions import Executions
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused
from actorfaas.messages import (
    ActivityRecords,
    BeatTask,
    CreateActivity,
    DeleteActivity,
    Done,
    ExecutionState,
    FailTask,
    GetExecution,
    KeepMessage,
    ListActivities,
    Message,
    PollActivity,
    Refused,
    StopPolling,
    SucceedTask,
)
from actorfaas.runtime.actor import Actor, Connection, Sender

NS_PER_S = 1_000_000_000

MAX_POLLS = 10_000
"""Workers outside that may wait for tasks at once; more are refused as overloaded."""

AnsweringMessage = (
    SucceedTask | FailTask | BeatTask | PollActivity | StopPolling | CreateActivity | DeleteActivity | KeepMessage
)


class Answering:
    """`changed`: carry out what the core decided."""

    def __init__(self, actor: Actor, executions: Executions, changed: Callable[[], None]) -> None:
        self._actor = actor
        self._executions = executions
        self._changed = changed
        self._senders: dict[int, tuple[Sender, str]] = {}
        self._polls: dict[str, int] = {}
        self._timers: dict[int, tuple[str, asyncio.TimerHandle]] = {}
        self._numbers = 0

    @property
    def polls(self) -> int:
        """Workers outside that wait for tasks."""
        return len(self._polls)

    async def load(self) -> None:
        """Learn which activities there are."""
        found = await self._actor.ask("data_layer", ListActivities(), ActivityRecords)
        self._executions.activities.know(one.activity for one in found.activities)

    def take(self, message: AnsweringMessage, sender: Sender, now_ns: int) -> None:
        """Handle one message to the end; what needs the DataLayer is spawned."""
        match message:
            case SucceedTask() | FailTask():
                self._executions.task_answered(message, self._number(sender, message.token), now_ns)
            case KeepMessage():
                self._executions.message_sent(message, self._number(sender), now_ns)
            case BeatTask(token):
                self._answer(self._executions.task_beats(token, now_ns) or Done(), token, sender)
            case PollActivity():
                self._poll(message, sender, now_ns)
            case StopPolling(poll_id):
                self._stop(poll_id)
            case CreateActivity() | DeleteActivity():
                self._actor.spawn(self._change(message, sender), "activities")

    def reply(self, effect: Reply) -> None:
        """What was asked under a number is answered."""
        sender, token = self._senders.pop(effect.number)
        if effect.number in self._timers:
            poll_id, timer = self._timers.pop(effect.number)
            timer.cancel()
            del self._polls[poll_id]
        self._answer(effect.message, token, sender)

    def disconnected(self, connection: Connection) -> None:
        """Nobody waits on a connection that ended."""
        for poll_id, number in list(self._polls.items()):
            if self._senders[number][0].connection is connection:
                self._stop(poll_id)

    def _number(self, sender: Sender, token: str = "") -> int:
        """Who asked, and about which token, under a new number."""
        self._numbers += 1
        self._senders[self._numbers] = sender, token
        return self._numbers

    # --- tokens ------------------------------------------------------------------------------------------------------

    def _answer(self, answer: Message, token: str, sender: Sender) -> None:
        """Give an answer. Of executions that have ended only the DataLayer knows."""
        if isinstance(answer, Refused) and answer.error == "task_does_not_exist":
            self._actor.spawn(self._look_up(answer, token, sender), "look for a task")
        else:
            sender.reply(answer)

    async def _look_up(self, refused: Refused, token: str, sender: Sender) -> None:
        execution_id, _ = execution_of(token)
        try:
            await self._actor.ask("data_layer", GetExecution(execution_id, event_payloads=False), ExecutionState)
        except RequestRefused as error:
            sender.reply(refused if error.code == "not_found" else Refused(error.code, error.detail, error.retryable))
        except (PeerUnavailable, AskTimeout) as error:
            sender.reply(Refused("unavailable", str(error), True, 1.0))
        else:
            sender.reply(Refused("task_timed_out", f"the execution of the task with the token {token} has ended"))

    # --- activities --------------------------------------------------------------------------------------------------

    def _poll(self, wanted: PollActivity, sender: Sender, now_ns: int) -> None:
        if self.polls >= MAX_POLLS:
            sender.reply(Refused("overloaded", f"{MAX_POLLS} workers wait for tasks", True, 1.0))
            return
        number = self._number(sender)
        seconds = max(0.0, (wanted.wait_until_ns - now_ns) / NS_PER_S)
        timer = asyncio.get_running_loop().call_later(seconds, self._stop, wanted.poll_id)
        self._polls[wanted.poll_id], self._timers[number] = number, (wanted.poll_id, timer)
        refused = self._executions.poll_activity(wanted.activity, Poll(number, wanted.worker), now_ns)
        if refused is not None:
            self.reply(Reply(number, refused))

    def _stop(self, poll_id: str) -> None:
        """A worker waits no longer; one that is given a task in this moment gets it."""
        number = self._polls.get(poll_id, 0)
        if number and self._executions.activities.stop(number):
            self.reply(Reply(number, NO_TASK))

    async def _change(self, wanted: CreateActivity | DeleteActivity, sender: Sender) -> None:
        """Make or remove an activity, first where that lasts."""
        try:
            if isinstance(wanted, CreateActivity):
                record = await self._actor.ask("data_layer", wanted, ActivityRecords)
                self._executions.activities.know((wanted.activity,))
                sender.reply(record)
            else:
                await self._actor.ask("data_layer", wanted, Done)
                for poll in self._executions.activities.remove(wanted.activity):
                    detail = f"the activity {wanted.activity!r} was removed"
                    self.reply(Reply(poll.number, Refused("not_found", detail)))
                sender.reply(Done())
        except RequestRefused as error:
            sender.refuse(error.code, error.detail, retryable=error.retryable, retry_after_s=error.retry_after_s)
        except (PeerUnavailable, AskTimeout) as error:
            sender.refuse("unavailable", str(error), retryable=True, retry_after_s=1.0)
        self._changed()
