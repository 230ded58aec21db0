"""The composition root: which actors a node has, in which order they start, and what they share.

Owns the folders, the lock that keeps a second node out, the HTTP socket (so that it survives the Frontend), the file
that tells clients where the node is, and the signals. Everything else is done by the actors it supervises.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import uvloop

from actorfaas import logs
from actorfaas.config import Settings
from actorfaas.errors import ConfigError
from actorfaas.runtime.places import NodeLock, listening_http_socket, make_places, remove_sockets, token_key
from actorfaas.runtime.supervisor import ChildFailed, ChildSpec, Supervisor
from actorfaas.swap.node_memory import NodeMemory

ACTORS: Mapping[str, str] = {
    "data_layer": "actorfaas.actors.data_layer:DataLayer",
    "swapper": "actorfaas.actors.swapper:Swapper",
    "local_queue": "actorfaas.actors.local_queue:LocalQueue",
    "fw_supervisor": "actorfaas.actors.fw_supervisor:FunctionWorkerSupervisor",
    "execution_manager": "actorfaas.actors.execution_manager:ExecutionManager",
    "frontend": "actorfaas.actors.frontend:Frontend",
}
"""Every actor and where its class is. The order is that of starting; stopping goes the other way."""

EXPORTER = "actorfaas.actors.exporter:Exporter"
"""Where a collector is configured, one more; it starts after the DataLayer, so that it stops after all the others."""

HTTP_FD = "ACTORFAAS_HTTP_FD"
"""The environment variable in which the Frontend finds the listening socket."""

EXIT_STOPPED, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130

OnReady = Callable[[str], None]
"""Called with the node's URL once every actor is set up."""


def groups(processes: str, actors: Mapping[str, str] = ACTORS) -> list[tuple[str, ...]]:
    """The actors of each process, from the setting `processes`. Raises ConfigError unless each is there once."""
    made = [tuple(group.split("+")) for group in processes.split()]
    named = [actor for group in made for actor in group]
    unknown = sorted(set(named) - set(actors))
    if unknown:
        raise ConfigError(f"processes: no actor is called {', '.join(unknown)}; there are {', '.join(actors)}")
    if missing := [actor for actor in actors if actor not in named]:
        raise ConfigError(f"processes does not name {', '.join(missing)}; add it to {processes!r}, or drop the setting")
    if sorted(named) != sorted(actors):
        raise ConfigError(f"processes must name each of {', '.join(actors)} exactly once, not {processes!r}")
    return made


def with_exporter(settings: Settings, actors: Mapping[str, str]) -> tuple[Settings, Mapping[str, str]]:
    """The settings and the actors of a node, with the Exporter if it has something to do."""
    if not settings.otlp_endpoint:
        return settings, actors
    processes = settings.processes
    if "exporter" not in processes.replace("+", " ").split():
        processes = re.sub(r"(\S*\bdata_layer\b\S*)", r"\1 exporter", processes)
    return replace(settings, processes=processes), {**actors, "exporter": EXPORTER}


class Node:
    """One node, from taking its lock to removing its last file."""

    def __init__(self, settings: Settings, on_ready: OnReady, actors: Mapping[str, str]) -> None:
        self._given = settings
        self._on_ready = on_ready
        self._actors = actors
        self._log = logs.get("node")
        self._signals: deque[signal.Signals] = deque()
        self._signalled = asyncio.Event()

    async def run(self) -> int:
        """Start, serve until a signal or a failure, stop. Raises ConfigError when it cannot even begin."""
        groups(self._given.processes, self._actors)
        settings = make_places(self._given, self._actors)
        self._listen_to_signals()
        async with NodeLock(settings) as lock:
            return await self._run_locked(settings, lock)

    async def _run_locked(self, settings: Settings, lock: NodeLock) -> int:
        with listening_http_socket(settings.host, settings.port) as http:
            settings = replace(settings, port=http.getsockname()[1])
            self._tidy(settings)  # what a node that was killed left behind
            token_key(settings.data_dir)  # if it is damaged, the person who starts the node is told
            memory = NodeMemory(settings, self._log)
            try:
                environment = await asyncio.to_thread(memory.open)
                supervisor = Supervisor(self._specs(settings, environment, lock.fds, http.fileno()), self._log)
                return await self._serve(supervisor, settings)
            finally:
                await asyncio.to_thread(memory.close)
                self._tidy(settings)

    @staticmethod
    def _tidy(settings: Settings) -> None:
        _state_file(settings).unlink(missing_ok=True)
        remove_sockets(settings.run_path)

    async def _serve(self, supervisor: Supervisor, settings: Settings) -> int:
        starting = asyncio.create_task(supervisor.start(), name="start")
        failed = asyncio.create_task(supervisor.failed.wait(), name="failed")
        signalled = asyncio.create_task(self._signalled.wait(), name="signalled")
        try:
            await asyncio.wait({starting, failed, signalled}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done() and starting.exception() is None and not failed.done():
                self._announce(settings)
                await asyncio.wait({failed, signalled}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried = await self._stop(supervisor, settings.stop_timeout_s)
            for task in (failed, signalled):
                task.cancel()
        try:
            await starting
            if supervisor.failure is not None:
                raise supervisor.failure
        except ChildFailed as error:
            self._log.error("the node cannot go on", error=str(error))
            return EXIT_FAILED
        return EXIT_INTERRUPTED if hurried else EXIT_STOPPED

    def _announce(self, settings: Settings) -> None:
        url = settings.url
        state = {"pid": os.getpid(), "url": url, "started": time.time(), "run_dir": str(settings.run_path)}
        path = _state_file(settings)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(state) + "\n", "utf-8")
        draft.replace(path)  # readers see the whole file or none
        self._log.info("ready", url=url, pid=os.getpid())
        self._on_ready(url)

    async def _stop(self, supervisor: Supervisor, deadline_s: float) -> bool:
        """Stop everything; whether somebody could not wait for it (a second signal)."""
        self._log.info("stopping", signal=self._signals.popleft().name if self._signals else "")
        stopping = asyncio.create_task(supervisor.stop(deadline_s), name="stop")
        hurried = False
        while not stopping.done():
            self._signalled.clear()
            if self._signals:
                self._signals.clear()
                hurried = True
                supervisor.hurry()
            again = asyncio.create_task(self._signalled.wait(), name="second signal")
            await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
            again.cancel()
        await stopping
        return hurried

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signal_arrived, number)

    def _signal_arrived(self, number: signal.Signals) -> None:
        self._signals.append(number)
        self._signalled.set()

    def _specs(
        self, settings: Settings, more: Mapping[str, str], lock_fds: tuple[int, ...], http_fd: int
    ) -> list[ChildSpec]:
        environment = {**os.environ, **settings.to_environment(), **more}
        specs = []
        for group in groups(settings.processes, self._actors):
            serves_http = "frontend" in group
            specs.append(
                ChildSpec(
                    name="+".join(group),
                    actors=tuple(self._actors[actor] for actor in group),
                    environment=environment | ({HTTP_FD: str(http_fd)} if serves_http else {}),
                    start_timeout_s=settings.start_timeout_s,
                    pass_fds=(*lock_fds, http_fd) if serves_http else lock_fds,
                )
            )
        return specs


def _state_file(settings: Settings) -> Path:
    return settings.data_dir / "node.json"


async def run(settings: Settings, on_ready: OnReady = lambda url: None, actors: Mapping[str, str] = ACTORS) -> int:
    """Run a node until a signal ends it; the exit status comes back. Raises ConfigError when it cannot begin."""
    settings, actors = with_exporter(settings, actors)
    return await Node(settings, on_ready, actors).run()


def main(settings: Settings, on_ready: OnReady = lambda url: None, actors: Mapping[str, str] = ACTORS) -> int:
    """`run` in an event loop of its own, with the log set up."""
    logs.configure(settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(settings, on_ready, actors))
