"""What both kinds of template processes have in common: a control socket, a process, children and an end.

A template reports the exits of its children. When it ends itself, its children become the supervisor's, and their
exits are found by waiting for them here; either way each child's `exited` is called exactly once.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable

from actorfaas.errors import PeerUnavailable
from actorfaas.messages import ChildExited, Message
from actorfaas.templates.control import ControlChannel
from actorfaas.templates.exits import Exit, OomWatch, describe_exit
from actorfaas.templates.processes import Process

_EXIT_GRACE_S = 2.0
"""How long a template whose control socket is closed may take to exit before it is killed."""


class Child:
    """A process forked by a template. `process` is None when it ended before it could be held."""

    __slots__ = ("exited", "pid", "process")

    def __init__(self, pid: int, process: Process | None, exited: Callable[[Exit], None]) -> None:
        self.pid = pid
        self.process = process
        self.exited = exited


class Template:
    """A live template process. Subclasses say what its messages mean."""

    def __init__(self, what: str, oom_watch: OomWatch) -> None:
        self.what = what
        self.process: Process | None = None
        self.kill_reason = ""
        self.exit_detail = ""
        self.ended = asyncio.Event()
        self._channel: ControlChannel | None = None
        self._children: dict[int, Child] = {}
        self._oom_watch = oom_watch
        self._grace: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """Its process id, 0 before it has one."""
        return self.process.pid if self.process is not None else 0

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked to fork."""
        return not self.ended.is_set() and self._channel is not None and self._channel.can_send

    def end(self, reason: str) -> None:
        """Let it exit by closing its control socket; it is killed when it does not. `ended` is set at its end."""
        if self.ended.is_set():
            return
        self.kill_reason = self.kill_reason or reason
        if self._channel is not None:
            self._channel.finish_sending()
        self._kill_after_grace(reason)

    def kill(self, reason: str) -> None:
        """End it at once."""
        self.end(reason)
        if self.process is not None:
            self.process.kill()

    # --- for subclasses ------------------------------------------------------------------------------------------

    def _open(self, sock: socket.socket) -> None:
        self._channel = ControlChannel(sock, self._received, self._channel_closed)

    def _send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Tell the template something, with descriptors, closed here. Raises PeerUnavailable, MailboxFull."""
        if self._channel is None:
            for fd in fds:
                os.close(fd)
            raise PeerUnavailable(f"{self.what} is not running")
        self._channel.send(message, fds)

    def _received(self, message: Message) -> None:
        """One message on the control socket; subclasses handle theirs first."""
        if isinstance(message, ChildExited):
            child = self._children.pop(message.pid, None)
            if child is not None:
                _exited(child, Exit(message.pid, message.exit_code, message.signal, message.max_rss_bytes))

    def _adopt_child(self, pid: int, exited: Callable[[Exit], None]) -> Process | None:
        """Hold a process that this template says it has forked."""
        try:
            process = Process(pid, (self.pid, os.getpid()))
        except OSError:
            process = None  # it has ended (or too many files are open); the template says when
        self._children[pid] = Child(pid, process, exited)
        return process

    def _channel_closed(self) -> None:
        # Normally the process has just ended. If not (user code closed the descriptor), it is of no use any more.
        self._kill_after_grace("its control connection broke")

    def _kill_after_grace(self, reason: str) -> None:
        def kill() -> None:
            self.kill_reason = self.kill_reason or reason
            if self.process is not None:
                self.process.kill()

        if self._grace is None and self.process is not None:
            self._grace = asyncio.get_running_loop().call_later(_EXIT_GRACE_S, kill)

    def _process_ended(self, ended: Exit) -> None:
        """The process was reaped, by whomever."""
        if self._grace is not None:
            self._grace.cancel()
        reason = self.kill_reason if ended.signal else ""
        out_of_memory = self._oom_watch.suspects(ended, reason, time.monotonic_ns())
        self.exit_detail = describe_exit(ended, reason, out_of_memory)
        if self._channel is not None:
            self._channel.drain_and_close()
        self.ended.set()
        for child in list(self._children.values()):
            if child.process is None:
                _exited(child, Exit(child.pid, 0, 0, is_known=False))
            else:
                child.process.reap(child.exited)
        self._children.clear()
        self._after_end()

    def _after_end(self) -> None:
        """The very last thing in the life of a template."""


def _exited(child: Child, ended: Exit) -> None:
    if child.process is not None:
        child.process.close()
    child.exited(ended)
