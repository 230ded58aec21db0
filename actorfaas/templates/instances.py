"""The workers of one function: forked or started cold, connected to the LocalQueue, read, reaped.

Owns the processes and the order of what is told about each: started (or not), then exited, once each.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Protocol

from actorfaas import ids, wire
from actorfaas.errors import AskTimeout, MailboxFull, PeerUnavailable, RequestRefused
from actorfaas.messages import (
    AttachWorker,
    BundleRef,
    ColdStart,
    FunctionSpec,
    WorkerExited,
    WorkerStarted,
    WorkerStartFailed,
)
from actorfaas.templates.exits import Exit, OomWatch, describe_exit
from actorfaas.templates.function import FunctionTemplate
from actorfaas.templates.homes import Home, Homes, killed_for_memory, limit_bytes
from actorfaas.templates.launching import OutputPipes, Start
from actorfaas.templates.pipes import PipeReader
from actorfaas.templates.processes import Process
from actorfaas.worker.launch import cold_command

_RESULT_BUFFER_BYTES = 1024 * 1024

FORK = "fork"
COLD = "cold"
_FORKS_UNDER_WAY = 16
"""Asked of one template at once: enough to keep it busy, few enough that descriptors stay few."""


class Owner(Protocol):
    """Whom the instances report to; the supervisor."""

    def worker_started(self, message: WorkerStarted) -> None: ...
    def worker_start_failed(self, message: WorkerStartFailed) -> None: ...
    def worker_exited(self, message: WorkerExited) -> None: ...
    def worker_wrote(self, topic: str, pid: int, stream: str, line: bytes) -> None: ...
    async def attach(self, message: AttachWorker, sock: socket.socket) -> None:
        """Hand a worker's connection to the LocalQueue. Raises PeerUnavailable, AskTimeout, RequestRefused."""

    def spawn_attach(self, work: Coroutine[None, None, None]) -> None: ...


@dataclass(slots=True)
class _Ends:
    """What is kept here of an instance: our end of its queue connection, its output, and its control group."""

    connection: socket.socket
    pipes: OutputPipes
    home: Home | None = None

    def close(self) -> None:
        if self.home is not None:
            self.home.leave()
        self.connection.close()
        self.pipes.close_reading_ends()


@dataclass(slots=True)
class _Worker:
    pid: int
    start_kind: str
    fork_ns: int
    process: Process | None = None
    home: Home | None = None
    readers: list[PipeReader] = field(default_factory=list)
    kill_reason: str = ""
    attached: bool | None = None  # None: being handed over
    ended: Exit | None = None


class Instances:
    """All live workers of one function version."""

    def __init__(
        self,
        topic: str,
        bundle: BundleRef,
        spec: FunctionSpec,
        owner: Owner,
        how: Start,
        oom_watch: OomWatch,
        homes: Homes,
        *,
        limit: int,
    ) -> None:
        self._topic = topic
        self._bundle = bundle
        self._spec = spec
        self._owner = owner
        self._how = how
        self._oom_watch = oom_watch
        self._homes = homes
        self._limit = limit
        self._workers: dict[int, _Worker] = {}
        self._wanted: deque[bool] = deque()  # forks asked for and not yet passed to the template; whether pooled
        self._forking: dict[int, _Ends] = {}
        self._last_serial = 0
        self._cold_wanted = 0
        self._cold_starting = False
        self.template: FunctionTemplate | None = None
        self.loaded_bytes: int | None = None
        """What workers share with their template; None: they load for themselves, nobody knows how much."""
        self.none_left = asyncio.Event()
        self.none_left.set()

    def __len__(self) -> int:
        return len(self._workers)

    def pids(self) -> list[int]:
        """The processes that are alive."""
        return list(self._workers)

    # --- starting --------------------------------------------------------------------------------------------------

    def start(self, start_kind: str, count: int, pooled: bool) -> None:
        """Begin to start `count` workers, to be kept or not; each is told as started or failed."""
        under_way = len(self._wanted) + len(self._forking) + self._cold_wanted
        room = max(0, self._limit - under_way)
        for _ in range(count - room):
            self._start_failed(start_kind, f"{under_way} starts of {self._topic} are under way already")
        count = min(count, room)
        if start_kind == COLD:
            self._cold_wanted += count
            if not self._cold_starting and count:
                self._cold_starting = True
                self._owner.spawn_attach(self._start_cold_ones())
        else:
            self._wanted += [pooled] * count
            self._fork_more()

    def refuse_waiting(self, detail: str) -> None:
        """No template, or no more workers wanted: every start that is under way fails."""
        wanted, self._wanted = self._wanted, deque()
        cold, self._cold_wanted = self._cold_wanted, 0
        forking, self._forking = self._forking, {}
        for ends in forking.values():
            ends.close()
        for _ in range(len(wanted) + len(forking)):
            self._start_failed(FORK, detail)
        for _ in range(cold):
            self._start_failed(COLD, detail)

    def _fork_more(self) -> None:
        template = self.template
        if template is None:
            self.refuse_waiting(f"the template of {self._topic} is being restarted")
            return
        while self._wanted and template.is_alive and len(self._forking) < _FORKS_UNDER_WAY:
            pooled = self._wanted.popleft()
            try:
                ends, theirs = _make_ends()
            except OSError as error:
                self._start_failed(FORK, f"no descriptors for it: {error.strerror or error}")
                continue
            self._last_serial = serial = self._last_serial + 1
            descriptors = (theirs.detach(), ends.pipes.stdout, ends.pipes.stderr)
            ends.home = self._new_home() if pooled else None
            try:
                template.fork_worker(serial, descriptors, ends.home.entrance if ends.home is not None else "")
            except (PeerUnavailable, MailboxFull) as error:
                ends.close()
                self._start_failed(FORK, str(error))
                continue
            self._forking[serial] = ends

    def _new_home(self) -> Home | None:
        limit = limit_bytes(self._spec.memory_mb, self.loaded_bytes) if self.loaded_bytes is not None else 0
        return self._homes.worker(self._topic, limit)

    def forked(self, serial: int, pid: int, fork_ns: int) -> None:
        """The template has forked (`pid` 0: it could not)."""
        ends = self._forking.pop(serial, None)
        template = self.template
        if ends is None or template is None:
            return
        if pid <= 0:
            ends.close()
            self._start_failed(FORK, "the fork failed: no memory, or too many processes")
        else:
            worker = _Worker(pid, FORK, fork_ns, home=ends.home)
            self._born(worker, ends)
            worker.process = template.adopt_worker(pid, lambda ended: self._exited(worker, ended))
        self._fork_more()

    async def _start_cold_ones(self) -> None:
        try:
            while self._cold_wanted:
                self._cold_wanted -= 1
                self._start_cold()
                await asyncio.sleep(0)  # starting a process takes a millisecond or two: others come in between
        finally:
            self._cold_starting = False

    def _start_cold(self) -> None:
        began_ns = time.monotonic_ns()
        try:
            ends, theirs = _make_ends()
        except OSError as error:
            self._start_failed(COLD, f"no descriptors for it: {error.strerror or error}")
            return
        try:
            process = self._launch_cold(theirs, ends.pipes)
        except OSError as error:
            ends.close()
            self._start_failed(COLD, f"the process cannot be started: {error.strerror or error}")
            return
        finally:
            theirs.close()
            ends.pipes.close_writing_ends()
        worker = _Worker(process.pid, COLD, time.monotonic_ns() - began_ns, process)
        self._born(worker, ends)
        process.reap(lambda ended: self._exited(worker, ended))

    def _launch_cold(self, connection: socket.socket, pipes: OutputPipes) -> Process:
        order = os.memfd_create("cold start")  # read like a pipe, but never full
        try:
            os.write(order, b"".join(wire.encode(ColdStart(self._topic, self._bundle, self._spec))))
            os.lseek(order, 0, os.SEEK_SET)
            command = cold_command(
                self._bundle.python,
                connection.fileno(),
                order,
                self._how.log_limit_bytes,
                self._how.environment,
            )
            return self._how.process(command, pipes)
        finally:
            os.close(order)

    def _born(self, worker: _Worker, ends: _Ends) -> None:
        self._workers[worker.pid] = worker
        self.none_left.clear()
        worker.readers = ends.pipes.read(
            lambda stream, line: self._owner.worker_wrote(self._topic, worker.pid, stream, line)
        )
        self._owner.spawn_attach(self._attach(worker, ends.connection))

    async def _attach(self, worker: _Worker, connection: socket.socket) -> None:
        topic = ids.worker_topic(self._topic, worker.pid)
        try:
            attach = AttachWorker(
                worker_topic=topic,
                function_topic=self._topic,
                app=self._bundle.app,
                pid=worker.pid,
                start_kind=worker.start_kind,
            )
            await self._owner.attach(attach, connection)
        except (PeerUnavailable, AskTimeout, RequestRefused) as error:
            worker.attached = False
            self._start_failed(worker.start_kind, f"the LocalQueue did not take its connection: {error}")
            self._kill(worker, "the LocalQueue did not take its connection")
        else:
            worker.attached = True
            self._owner.worker_started(WorkerStarted(self._topic, topic, worker.pid, worker.start_kind, worker.fork_ns))
        finally:
            connection.close()  # the LocalQueue has its copy; without it, the worker sees the end and exits
        if worker.ended is not None:
            self._gone(worker, worker.ended)

    def _start_failed(self, start_kind: str, detail: str) -> None:
        self._owner.worker_start_failed(WorkerStartFailed(self._topic, start_kind, detail))

    # --- ending ----------------------------------------------------------------------------------------------------

    def kill(self, pid: int, reason: str) -> bool:
        """SIGKILL one worker; False when there is no such worker (any more)."""
        worker = self._workers.get(pid)
        if worker is None:
            return False
        self._kill(worker, reason)
        return True

    def kill_all(self, reason: str) -> None:
        """SIGKILL every worker, and start no more."""
        self.refuse_waiting(reason)
        for worker in list(self._workers.values()):
            self._kill(worker, reason)

    def explain_deaths(self, reason: str) -> None:
        """Forked workers are about to be reaped because their template ended: say why, unless a reason is known."""
        for worker in self._workers.values():
            if worker.start_kind == FORK and not worker.kill_reason:
                worker.kill_reason = reason

    def _kill(self, worker: _Worker, reason: str) -> None:
        worker.kill_reason = worker.kill_reason or reason
        if worker.process is not None:
            worker.process.kill()

    def _exited(self, worker: _Worker, ended: Exit) -> None:
        worker.ended = ended
        for reader in worker.readers:
            reader.finish()
        worker.readers = []
        if worker.attached is not None:
            self._gone(worker, ended)

    def _gone(self, worker: _Worker, ended: Exit) -> None:
        """Both the process and its hand-over are over."""
        if self._workers.get(worker.pid) is worker:  # the pid may have come again while the connection was handed over
            del self._workers[worker.pid]
        if worker.attached:
            now_ns = time.monotonic_ns()
            self._owner.worker_exited(
                WorkerExited(
                    function_topic=self._topic,
                    worker_topic=ids.worker_topic(self._topic, worker.pid),
                    pid=worker.pid,
                    exit_code=ended.exit_code,
                    signal=ended.signal,
                    detail=self._how_ended(worker, ended, now_ns),
                    max_rss_bytes=ended.max_rss_bytes,
                )
            )
        if worker.home is not None:
            worker.home.leave()
        if not self._workers:
            self.none_left.set()

    def _how_ended(self, worker: _Worker, ended: Exit, now_ns: int) -> str:
        reason = worker.kill_reason if ended.signal or not ended.is_known else ""
        if ended.signal == signal.SIGKILL and not reason:
            known = killed_for_memory(worker.home, self._spec.memory_mb)
            if known is not None:
                return describe_exit(ended, known, False)
        return describe_exit(ended, reason, self._oom_watch.suspects(ended, reason, now_ns))


def _make_ends() -> tuple[_Ends, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # room for a large result, so that the worker writes it at once instead of waiting for every read
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _RESULT_BUFFER_BYTES)
        return _Ends(ours, OutputPipes()), theirs
    except OSError:
        ours.close()
        theirs.close()
        raise
