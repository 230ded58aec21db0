"""Child processes in order: started one after the other, restarted when they die, stopped in reverse.

Owns processes, their control sockets and their signals. When to restart is decided by `core.restart`; what the
children are is said by their specifications. A child has a session of its own, so that a terminal's Ctrl-C does not
reach it behind the node's back and whatever it leaves behind can be killed as one group. It imports nothing from the
folder in which the node was started (python -P): a function's file may be called queue.py there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from actorfaas.core.restart import GiveUp, RestartPolicy, RestartRules
from actorfaas.errors import ActorFaasError
from actorfaas.logs import Logger
from actorfaas.messages import ActorProcesses, Message, Ready, Stop
from actorfaas.runtime.channel import Connection, attach
from actorfaas.runtime.introspect import RESTARTS
from actorfaas.runtime.process import CONTROL_FD

REQUEST_GRACE_S = 2.5
"""Beyond the deadline in `Stop`: for refusing what is open, closing files and leaving Python."""

TERM_GRACE_S = 1.0
_REAP_TIMEOUT_S = 5.0


class ChildFailed(ActorFaasError):
    """A child did not start, or died more often than the rules allow."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child: its actors' locations, what it inherits, and how patient to be with it."""

    name: str
    actors: tuple[str, ...]
    environment: Mapping[str, str]
    start_timeout_s: float
    pass_fds: tuple[int, ...] = ()
    rules: RestartRules = field(default_factory=RestartRules)


class Child:
    """One supervised process: launched, watched, relaunched, stopped."""

    def __init__(self, spec: ChildSpec, log: Logger, changed: Callable[[], None]) -> None:
        """`changed` is called when there is another process, or none any more."""
        self.spec = spec
        self.restarts = 0
        self._changed = changed
        self._log = log.bind(child=spec.name)
        self._policy = RestartPolicy(spec.rules)
        self._process: asyncio.subprocess.Process | None = None
        self._exited: asyncio.Task[int] | None = None
        self._control: Connection | None = None
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._began_s = 0.0
        self._group = 0  # the process group that is to be killed when its leader has ended; 0 once it was

    @property
    def pid(self) -> int:
        """The process, or 0 while there is none."""
        running = self._process is not None and self._exited is not None and not self._exited.done()
        return self._process.pid if running and self._process is not None else 0

    async def launch(self) -> None:
        """Start the process and wait for `Ready`. Raises ChildFailed; no process is left then."""
        loop = asyncio.get_running_loop()
        self._ready.clear()
        self._began_s = loop.time()
        ours, theirs = socket.socketpair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "actorfaas.runtime.process", *self.spec.actors,
                env={
                    **self.spec.environment,
                    CONTROL_FD: str(theirs.fileno()),
                    RESTARTS: str(self.restarts),
                },
                pass_fds=(theirs.fileno(), *self.spec.pass_fds),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=2,  # an actor's stray output belongs to the log; standard output is the command's
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise ChildFailed(f"{self.spec.name} could not be started: {error}") from error
        finally:
            theirs.close()
        self._group = self._process.pid
        self._exited = asyncio.create_task(self._process.wait(), name=f"exit of {self.spec.name}")
        self._control = Connection(self.spec.name, self, self._log, ask_timeout_s=self.spec.start_timeout_s)
        self._changed()  # all know of the process, and it of all, before it can call anybody
        await attach(self._control, ours)
        await self._first_of(self._exited, self._ready, self._stopping, timeout_s=self.spec.start_timeout_s)
        if self._ready.is_set() and not self._exited.done():
            self._log.info("started", pid=self._process.pid, took_s=round(loop.time() - self._began_s, 3))
            return
        if self._stopping.is_set():
            return  # `stop` ends it
        why = self._how_it_ended() if self._exited.done() else f"was not ready in {self.spec.start_timeout_s:g} s"
        await self._kill()
        raise ChildFailed(f"{self.spec.name} {why}; the log before this says more")

    async def keep_running(self) -> None:
        """Launch again after every death until `stop` is called. Raises ChildFailed when the policy gives up."""
        loop = asyncio.get_running_loop()
        while self._exited is not None:
            await self._first_of(self._exited, self._stopping)
            if self._stopping.is_set():
                return
            how = self._how_it_ended()
            self._changed()
            self._kill_group()
            decision = self._policy.died(loop.time(), loop.time() - self._began_s)
            if isinstance(decision, GiveUp):
                self._log.error("died too often; not restarted", how=how, deaths=decision.deaths)
                raise ChildFailed(
                    f"{self.spec.name} {how}, {decision.deaths} times within {decision.window_s:g} s; "
                    "the log before this says why"
                )
            self._log.warning("died; restarting", how=how, delay_s=decision.delay_s, in_a_row=decision.in_a_row)
            await self._first_of(self._stopping, timeout_s=decision.delay_s)
            if self._stopping.is_set():
                return
            self.restarts += 1
            try:
                await self.launch()
            except ChildFailed as error:
                self._log.error("did not restart", error=str(error))

    def tell(self, message: Message) -> None:
        """Say something to the process, if there is one."""
        if self._control is not None:
            self._control.tell(message)

    def begin_stop(self) -> None:
        """No restart from now on; a launch under way returns early."""
        self._stopping.set()

    async def stop(self, deadline_s: float, hurry: asyncio.Event) -> None:
        """By request, then SIGTERM, then SIGKILL. `hurry` skips the request and cuts its deadline short."""
        self.begin_stop()
        process, exited = self._process, self._exited
        if process is None or exited is None:
            return
        if not exited.done() and not hurry.is_set():
            self.tell(Stop(deadline_s=deadline_s))
            await self._first_of(exited, hurry, timeout_s=deadline_s + REQUEST_GRACE_S)
        if not exited.done():
            if not hurry.is_set():
                self._log.warning("did not stop when asked; terminating", pid=process.pid)
            self._signal(signal.SIGTERM)
            await self._first_of(exited, timeout_s=TERM_GRACE_S)
        if not exited.done():
            self._log.warning("did not stop on SIGTERM; killing", pid=process.pid)
        await self._kill()
        self._log.info("stopped", how=self._how_it_ended())

    async def _kill(self) -> None:
        assert self._exited is not None  # only called after a launch
        if not self._exited.done():
            self._signal(signal.SIGKILL)
            await self._first_of(self._exited, timeout_s=_REAP_TIMEOUT_S)
        self._kill_group()
        if self._control is not None:
            self._control.abort()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _kill_group(self) -> None:
        """Whatever the dead process left in its group goes too; once, for later the number may be somebody else's."""
        group, self._group = self._group, 0
        if group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)

    def _how_it_ended(self) -> str:
        if self._exited is None or not self._exited.done():
            return "does not end"
        status = self._exited.result()
        if status < 0:
            return f"was killed by signal {-status} ({signal.Signals(-status).name})"
        return f"exited with status {status}"

    @staticmethod
    async def _first_of(*events: asyncio.Event | asyncio.Task[int], timeout_s: float | None = None) -> None:
        """Wait until one of them has happened, or the time is over."""
        waits = {asyncio.ensure_future(_happened(event)) for event in events}
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # --- the control socket's owner ------------------------------------------------------------------------------

    def message_arrived(self, connection: Connection, message: Message, ask_id: int) -> None:
        if isinstance(message, Ready) and connection is self._control:
            self._ready.set()

    def burst_ended(self) -> None:
        pass

    def connection_closed(self, connection: Connection) -> None:
        pass  # the exit itself is what counts


async def _happened(event: asyncio.Event | asyncio.Task[int]) -> None:
    if isinstance(event, asyncio.Event):
        await event.wait()
    else:
        await asyncio.wait({event})


class Supervisor:
    """All children of a node."""

    def __init__(self, specs: Sequence[ChildSpec], log: Logger) -> None:
        self.children = [Child(spec, log, self._tell_who_is_who) for spec in specs]
        self.failure: ChildFailed | None = None
        self.failed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopping = False
        self._starting = asyncio.Lock()
        self._watches: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the children in order, each when the one before is ready. Raises ChildFailed for the first that is not.

        `stop` must follow, also after a failure. A `stop` meanwhile makes this return early.
        """
        async with self._starting:
            for child in self.children:
                if self._stopping:
                    return
                await child.launch()
                self._watches.append(asyncio.create_task(self._watch(child), name=f"watch {child.spec.name}"))

    async def stop(self, deadline_s: float) -> None:
        """Stop the children in reverse order; `deadline_s` is for all of them together."""
        self._stopping = True
        for child in self.children:
            child.begin_stop()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_s
        async with self._starting:  # nobody launches from here on, so that no process can be overlooked
            if self._watches:
                await asyncio.wait(self._watches)
        for child in reversed(self.children):
            await child.stop(max(1.0, deadline - loop.time()), self._hurry)

    def hurry(self) -> None:
        """End the patience of a stop under way, and of one to come."""
        self._hurry.set()

    def _tell_who_is_who(self) -> None:
        message = ActorProcesses(tuple(child.pid for child in self.children if child.pid))
        for child in self.children:
            child.tell(message)

    async def _watch(self, child: Child) -> None:
        try:
            await child.keep_running()
        except ChildFailed as error:
            self.failure = error
            self.failed.set()
