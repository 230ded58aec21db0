"""Actor kernel: any actor ↔ any actor."""

from __future__ import annotations

from actorfaas.messages.base import Message, message


@message(1)
class Hello(Message):
    """Connecting actor → listening actor, first on every connection: who is calling."""

    actor: str
    pid: int
    protocol: int


@message(2)
class Refused(Message):
    """Reply to any ask that will not be done.

    Codes: not_found, conflict, invalid, overloaded, unavailable, unauthorized, timeout, cancelled, busy,
    precondition_failed, data_refused, deploy_failed, stopping, internal; of task tokens task_does_not_exist,
    task_timed_out, invalid_token.
    """

    error: str
    detail: str
    retryable: bool = False
    retry_after_s: float = 0.0


@message(3)
class Done(Message):
    """Reply to an ask that has no other answer."""


@message(4)
class Ready(Message):
    """Actor process → node, once all its actors are set up and listening."""

    actors: tuple[str, ...]


@message(5)
class Stop(Message):
    """Node → actor process: finish what is under way and exit within `deadline_s`."""

    deadline_s: float


@message(8)
class ActorProcesses(Message):
    """Node → actor process, first of all and after every change: the processes of the node's actors now."""

    pids: tuple[int, ...]


@message(6)
class DescribeActor(Message):
    """Anyone → any actor (ask; answered by the kernel): `ActorDescription`."""


@message(7)
class ActorDescription(Message):
    """Reply to `DescribeActor`. `loop_lag_ns` is the largest since the last description; `restarts`: how often the node
    has started its process again."""

    actor: str
    pid: int
    mailbox_length: int
    mailbox_limit: int
    messages_handled: int
    messages_refused: int
    tasks: int
    open_files: int
    rss_bytes: int
    connections: int
    loop_lag_ns: int
    restarts: int = 0
