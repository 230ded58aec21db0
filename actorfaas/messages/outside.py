"""Tasks that are answered from outside: Frontend or LocalQueue (for functions) ↔ ExecutionManager ↔ DataLayer.

Refusals of a token have Step Functions' names: task_does_not_exist, task_timed_out (used, or its task is over),
invalid_token.
"""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct


@message(230)
class SucceedTask(Message):
    """Frontend or LocalQueue → ExecutionManager (ask → Done once it is on disk): `payload` (JSON) is the result of the
    task that `token` names."""

    token: str
    payload: bytes


@message(231)
class FailTask(Message):
    """Frontend or LocalQueue → ExecutionManager (ask → Done once it is on disk): the task that `token` names failed."""

    token: str
    error: str
    cause: str


@message(232)
class BeatTask(Message):
    """Frontend or LocalQueue → ExecutionManager (ask → Done): the task that `token` names goes on."""

    token: str


@message(233)
class PollActivity(Message):
    """Frontend → ExecutionManager (ask → ActivityTask, or Refused "not_found"): the next task of an activity, waited
    for until `wait_until_ns`. `worker`: who asks, for the history; `poll_id`: what `StopPolling` calls it."""

    poll_id: str
    activity: str
    worker: str
    wait_until_ns: int


@message(234)
class ActivityTask(Message):
    """Reply to `PollActivity`: a task's token and input; an empty token: there was none in time."""

    token: str
    payload: bytes


@message(235)
class StopPolling(Message):
    """Frontend → ExecutionManager: whoever polled is gone; nothing is to be given to it."""

    poll_id: str


@message(236)
class CreateActivity(Message):
    """Frontend → ExecutionManager → DataLayer (ask → ActivityRecords: it alone). One that is there stays as it is."""

    activity: str


@message(237)
class DeleteActivity(Message):
    """Frontend → ExecutionManager → DataLayer (ask → Done, or Refused "not_found")."""

    activity: str


@message(238)
class ListActivities(Message):
    """Frontend or ExecutionManager → DataLayer (ask → ActivityRecords)."""


@struct
class ActivityRecord:
    """One activity."""

    activity: str
    created_at_ms: int


@message(239)
class ActivityRecords(Message):
    """Reply to `ListActivities`, by name."""

    activities: tuple[ActivityRecord, ...]
