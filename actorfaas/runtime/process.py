"""A process that hosts actors: `python -m actorfaas.runtime.process MODULE:CLASS [MODULE:CLASS ...]`.

The node starts it with the settings in the environment and one end of a control socket (ACTORFAAS_CONTROL_FD). It says
`Ready` there, obeys `Stop`, learns which processes the other actors are, and goes when the socket ends, for then the
node is dead. SIGTERM is a graceful stop too
(a second one ends the grace); SIGINT is ignored, since a terminal sends it to everybody and the node coordinates.
Exit status: 0 stopped, 1 an actor failed, 2 called wrongly or with settings that are not valid.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from actorfaas import config, logs
from actorfaas.config import Settings
from actorfaas.errors import ConfigError
from actorfaas.messages import ActorProcesses, Message, Ready, Stop
from actorfaas.runtime.actor import Actor
from actorfaas.runtime.allocator import give_free_memory_back
from actorfaas.runtime.channel import Connection, attach
from actorfaas.runtime.trust import Trust

CONTROL_FD = "ACTORFAAS_CONTROL_FD"
"""The environment variable that names the inherited control socket."""

EXIT_STOPPED, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

_ORPHAN_DEADLINE_S = 1.0


class ActorProcess:
    """The actors of one process, started in order and stopped in reverse."""

    def __init__(self, actors: Sequence[Actor], settings: Settings, control: socket.socket | None) -> None:
        self._actors = actors
        self._trust = Trust()
        for actor in actors:
            actor.trust = self._trust
        self._settings = settings
        self._log = logs.get("+".join(actor.name for actor in actors))
        self._control_socket = control
        self._control = Connection("node", self, self._log, ask_timeout_s=settings.ask_timeout_s)
        self._stop_asked = asyncio.Event()
        self._deadline_s = settings.stop_timeout_s
        self._status = EXIT_STOPPED
        self._main: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Host the actors until told to stop, or until one of them fails; the exit status comes back."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._terminated)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # a handler, not SIG_IGN: that would be inherited
        if self._control_socket is not None:
            self._trust.wait_for_the_node()
            await attach(self._control, self._control_socket)
        self._main = asyncio.create_task(self._host(), name="host")
        try:
            await self._main
        except asyncio.CancelledError:
            self._log.warning("stopped without grace")
            return EXIT_FAILED
        return self._status

    async def _host(self) -> None:
        started: list[Actor] = []
        try:
            if self._control_socket is not None:
                await self._learn_who_is_who()
            for actor in self._actors:
                started.append(actor)
                await actor.start()
            gc.collect()
            gc.freeze()  # what lives now lives until the end: later collections need not look at it
            give_free_memory_back()
            self._control.tell(Ready(actors=tuple(actor.name for actor in self._actors)))
            await self._until_stop_or_failure()
        except Exception as error:  # noqa: BLE001 - the guard of `set_up`: whatever it raises ends this process
            self._log.error("an actor could not be set up", exc_info=error)
            self._status, self._deadline_s = EXIT_FAILED, _ORPHAN_DEADLINE_S
        await self._stop(started)

    async def _learn_who_is_who(self) -> None:
        """The others have been told of this process when it is told of them: then it may call. Raises TimeoutError."""
        waits = [asyncio.create_task(event.wait()) for event in (self._trust.told, self._stop_asked)]
        try:
            async with asyncio.timeout(self._settings.ask_timeout_s):
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _until_stop_or_failure(self) -> None:
        waits = [asyncio.create_task(actor.run_until_failure()) for actor in self._actors]
        asked = asyncio.create_task(self._stop_asked.wait())
        done, pending = await asyncio.wait([*waits, asked], return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        if asked not in done:
            self._log.error("an actor failed; the process ends", error=repr(done.pop().result()))
            self._status, self._deadline_s = EXIT_FAILED, _ORPHAN_DEADLINE_S

    async def _stop(self, started: list[Actor]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._deadline_s
        for actor in reversed(started):
            await actor.stop(max(0.1, deadline - loop.time()))
        self._control.close()

    def _ask_to_stop(self, deadline_s: float) -> None:
        if not self._stop_asked.is_set():
            self._deadline_s = deadline_s
            self._stop_asked.set()

    def _terminated(self) -> None:
        if self._stop_asked.is_set() and self._main is not None:
            self._main.cancel()
        self._ask_to_stop(self._settings.stop_timeout_s)

    # --- the control socket's owner ------------------------------------------------------------------------------

    def message_arrived(self, connection: Connection, message: Message, ask_id: int) -> None:
        if isinstance(message, Stop):
            self._ask_to_stop(message.deadline_s)
        elif isinstance(message, ActorProcesses):
            self._trust.learn(message.pids)

    def burst_ended(self) -> None:
        pass

    def connection_closed(self, connection: Connection) -> None:
        if not self._stop_asked.is_set():
            self._log.warning("the node is gone; stopping")
        self._ask_to_stop(_ORPHAN_DEADLINE_S)


def allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one: each live instance takes a few descriptors here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def load_actor(location: str) -> type[Actor]:
    """The class at `MODULE:CLASS`. Raises ConfigError."""
    module, _, name = location.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{location!r} is not an actor: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Actor)):
        raise ConfigError(f"{location!r} is not an actor")
    return found


def main(arguments: Sequence[str]) -> int:
    """Run the actors named on the command line in this process."""
    if not arguments:
        print("usage: python -m actorfaas.runtime.process MODULE:CLASS ...", file=sys.stderr)  # noqa: T201 - no log yet
        return EXIT_USAGE
    control_fd = os.environ.pop(CONTROL_FD, "")
    control = socket.socket(fileno=int(control_fd)) if control_fd else None
    if control is not None:
        control.set_inheritable(False)
    try:
        settings = config.load(folder=Path(os.devnull))  # everything is in the environment; no file has a say here
        logs.configure(settings.log_level, settings.log_format)
        classes = [load_actor(location) for location in arguments]
    except ConfigError as error:
        print(f"actorfaas: {error}", file=sys.stderr)  # noqa: T201 - no log without settings
        return EXIT_USAGE

    allow_many_files()

    async def host() -> int:
        return await ActorProcess([cls(settings) for cls in classes], settings, control).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(host())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
