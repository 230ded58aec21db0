"""The FunctionWorker supervisor: bundles, templates, workers, their reaping and their output.

Owns every process that runs user code, from its start to its exit. It never chooses which worker serves what: the
ExecutionManager says how many to start and which to kill, and the LocalQueue is given their connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Coroutine

from actorfaas.actors.function_logs import FunctionLogs
from actorfaas.actors.homes import GroupHomes
from actorfaas.bundles.store import BundleStore
from actorfaas.config import Settings
from actorfaas.errors import AskTimeout, DeployError, PeerUnavailable, RequestRefused
from actorfaas.messages import (
    AttachWorker,
    BundlePrepared,
    Deployments,
    DescribeSupervisor,
    Done,
    KillWorker,
    ListDeployments,
    Message,
    PrepareBundle,
    StartFunction,
    StartWorkers,
    StopFunction,
    SupervisorDescription,
    TemplateExited,
    TemplateRestarted,
    WorkerExited,
    WorkerStarted,
    WorkerStartFailed,
)
from actorfaas.runtime.actor import Actor, Connection, Sender
from actorfaas.swap.cgroup import handed_down
from actorfaas.templates.bundle import BundleTemplate
from actorfaas.templates.exits import OomWatch
from actorfaas.templates.homes import Homes, NoHomes
from actorfaas.templates.launching import Start
from actorfaas.templates.orphans import OrphanSweeper, end_remains
from actorfaas.templates.processes import become_reaper_of_orphans
from actorfaas.templates.registry import LINGER_S, BundleTemplates
from actorfaas.templates.supervised import SupervisedFunction
from actorfaas.worker.launch import DirectLauncher, Launcher

_MANAGER = "execution_manager"
_SWEEP_PERIOD_S = 1.0
_REMOVE_PERIOD_S = 600.0
_EXIT_WAIT_S = 0.4
"""At tear-down, how long templates may take to exit by themselves; then they are killed."""
_SETTLE_S = 0.005
_LAST_SWEEPS = 40
_STOPPING = "the node is stopping"


class FunctionWorkerSupervisor(Actor):
    """The one parent of all templates and workers of a node."""

    name = "fw_supervisor"
    peers = ("local_queue", "data_layer")

    def __init__(self, settings: Settings, launcher: Launcher | None = None, linger_s: float = LINGER_S) -> None:
        super().__init__(settings)
        self._store = BundleStore(settings.data_dir, settings.deploy_timeout_s, settings.bundle_retention)
        self._oom_watch = OomWatch()
        self._homes: Homes = NoHomes()
        self._how = Start(launcher or DirectLauncher(), settings.log_limit_bytes, str(settings.data_dir), settings.url)
        self._sweeper = OrphanSweeper(self._how.mark, self._how.sessions)
        self._logs = FunctionLogs(self.clock, self._data_layer)
        self._functions: dict[str, SupervisedFunction] = {}
        self._manager: Connection | None = None
        self._data_layer_connection: Connection | None = None
        self._stopping = False
        self._templates = BundleTemplates(
            self._how,
            self._oom_watch,
            self._template_wrote,
            timeout_s=settings.deploy_timeout_s,
            linger_s=linger_s,
        )

    # --- life ------------------------------------------------------------------------------------------------------

    async def set_up(self) -> None:
        become_reaper_of_orphans(True)
        killed = end_remains(self._how.lineage)
        if killed:
            self.log.info("processes left behind by functions of a supervisor that was killed are killed", count=killed)
        tree = handed_down()
        if tree is not None:
            homes = GroupHomes(tree, self.log)
            homes.take_over()
            self._homes = homes
        self.spawn(self._sweep_regularly(), "sweep orphans")
        self.spawn(self._remove_bundles_regularly(), "remove unused bundles")

    def peer_connected(self, connection: Connection) -> None:
        if connection.is_outgoing:
            if connection.actor == "data_layer":
                self._data_layer_connection = connection
                self._logs.flush()
        elif connection.actor == _MANAGER:
            self._manager = connection

    def peer_disconnected(self, connection: Connection) -> None:
        if connection is self._manager:
            self._manager = None  # a new one asks what there is (DescribeSupervisor)
        elif connection is self._data_layer_connection:
            self._data_layer_connection = None

    async def drain(self, deadline_s: float) -> None:
        self._stopping = True

    async def tear_down(self) -> None:
        self._stopping = True
        functions = list(self._functions.values())
        try:
            for function in functions:
                function.instances.kill_all(_STOPPING)
            await asyncio.gather(*(function.stop(_EXIT_WAIT_S, _STOPPING) for function in functions))
            templates = self._templates.end_all(_STOPPING)
            await _all_ended(templates, _EXIT_WAIT_S)
        finally:
            await self._kill_what_is_left()
            self._homes.close()
            self._logs.close()
            become_reaper_of_orphans(False)

    async def _kill_what_is_left(self) -> None:
        for function in self._functions.values():
            function.kill(_STOPPING)
        templates = self._templates.processes()
        for template in templates:
            template.kill(_STOPPING)
        await _all_ended(templates, _EXIT_WAIT_S)
        for _ in range(_LAST_SWEEPS):
            if not self._sweeper.sweep(self._known_pids()):
                return
            await asyncio.sleep(_SETTLE_S)  # what was just killed is to be reaped in a moment, and may leave children

    async def _sweep_regularly(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_PERIOD_S)
            self._oom_watch.look(self.clock.monotonic_ns())
            killed = self._sweeper.sweep(self._known_pids())
            if killed:
                self.log.info("processes left behind by functions were killed", count=killed)

    async def _remove_bundles_regularly(self) -> None:
        while True:
            await asyncio.sleep(_REMOVE_PERIOD_S)
            try:
                removed = await self._remove_bundles()
            except (PeerUnavailable, AskTimeout, RequestRefused):
                continue  # without the DataLayer nobody knows what is in service: nothing is removed
            if removed:
                self.log.info("bundles and environments that nobody uses removed", count=removed)

    async def _remove_bundles(self) -> int:
        active = await self.ask("data_layer", ListDeployments("", True), Deployments)
        in_use = [one.bundle for one in active.deployments]
        in_use += [function.bundle for function in self._functions.values()]
        return await self._store.remove_unused(in_use)

    def _known_pids(self) -> set[int]:
        known = {template.pid for template in self._templates.processes()}
        for function in self._functions.values():
            known.update(function.pids())
        return known

    # --- requests --------------------------------------------------------------------------------------------------

    def receive(self, message: Message, sender: Sender) -> None:
        match message:
            case StartWorkers():
                self._start_workers(message)
            case KillWorker():
                function = self._functions.get(message.function_topic)
                if function is not None and function.instances.kill(message.pid, message.reason):
                    self.log.info("worker killed", topic=message.function_topic, pid=message.pid, reason=message.reason)
            case PrepareBundle():
                self.spawn(self._prepare(message, sender), f"prepare {message.app}")
            case StartFunction():
                self.spawn(self._start_function(message, sender), f"start {message.function_topic}")
            case StopFunction():
                self.spawn(self._stop_function(message, sender), f"stop {message.function_topic}")
            case DescribeSupervisor():
                sender.reply(SupervisorDescription(tuple(one.describe() for one in self._functions.values())))
            case _:
                sender.refuse("invalid", f"{self.name} has no use for {type(message).__name__}")

    async def _prepare(self, message: PrepareBundle, sender: Sender) -> None:
        user = f"deploy {message.app} {message.sha256}"
        try:
            bundle = await self._store.prepare(message)
            template = await self._templates.acquire(bundle, False, user)
        except (DeployError, OSError) as error:
            sender.refuse("deploy_failed", str(error))
            self.log.info("bundle refused", app=message.app, sha256=message.sha256, error=_first_line(error))
            return
        finally:
            self._templates.release(user)
        loaded = template.loaded
        self.log.info("bundle prepared", app=message.app, sha256=message.sha256, functions=len(loaded.functions))
        sender.reply(BundlePrepared(bundle, loaded.functions, loaded.workflows))

    async def _start_function(self, message: StartFunction, sender: Sender) -> None:
        topic = message.function_topic
        if self._stopping:
            sender.refuse("stopping", _STOPPING, retryable=True)
            return
        function = self._functions.get(topic)
        if function is None:
            function = self._functions[topic] = self._new_function(message)
        try:
            await self._store.restore(message.bundle)
            started = await function.start()
        except (DeployError, OSError) as error:
            sender.refuse("deploy_failed", str(error))
            self.log.info("function refused", topic=topic, error=_first_line(error))
            if not function.is_started and self._functions.get(topic) is function:
                del self._functions[topic]
                await function.stop(0.0, "its start failed")
            return
        self.log.info("function started", topic=topic, pid=started.template_pid, forkable=started.forkable)
        sender.reply(started)

    def _new_function(self, message: StartFunction) -> SupervisedFunction:
        return SupervisedFunction(
            message,
            self,
            self._templates,
            self._how,
            self._oom_watch,
            self._homes,
            timeout_s=self.settings.deploy_timeout_s,
            start_limit=max(2 * self.settings.max_workers, 1),
        )

    async def _stop_function(self, message: StopFunction, sender: Sender) -> None:
        function = self._functions.get(message.function_topic)
        if function is not None:
            await function.stop(message.deadline_s, "the function was stopped")
            if self._functions.get(message.function_topic) is function:
                del self._functions[message.function_topic]
                self.log.info("function stopped", topic=message.function_topic)
        sender.reply(Done())

    def _start_workers(self, message: StartWorkers) -> None:
        function = self._functions.get(message.function_topic)
        if function is not None and not self._stopping:
            function.instances.start(message.start_kind, message.count, message.pooled)
            return
        detail = _STOPPING if self._stopping else f"{message.function_topic} is not started"
        for _ in range(message.count):
            self.worker_start_failed(WorkerStartFailed(message.function_topic, message.start_kind, detail))

    # --- reported by functions and their processes ------------------------------------------------------------------

    def worker_started(self, message: WorkerStarted) -> None:
        self._report(message)

    def worker_start_failed(self, message: WorkerStartFailed) -> None:
        self.log.warning("worker not started", topic=message.function_topic, detail=message.detail)
        self._report(message)

    def worker_exited(self, message: WorkerExited) -> None:
        self._report(message)
        with contextlib.suppress(PeerUnavailable):  # a LocalQueue that starts anew knows none of the workers
            self.tell("local_queue", message)

    def template_exited(self, message: TemplateExited) -> None:
        self.log.warning(
            "template died", topic=message.function_topic, detail=message.detail, restart_in_s=message.restart_in_s
        )
        self._report(message)

    def template_restarted(self, message: TemplateRestarted) -> None:
        self.log.info("template restarted", topic=message.function_topic, pid=message.template_pid)
        self._report(message)

    def worker_wrote(self, topic: str, pid: int, stream: str, line: bytes) -> None:
        self._logs.add(topic, pid, stream, line)

    async def attach(self, message: AttachWorker, sock: socket.socket) -> None:
        await self.hand_over("local_queue", message, sock)

    def spawn_attach(self, work: Coroutine[None, None, None]) -> None:
        self.spawn(work, "attach a worker")

    def spawn_restart(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self.spawn(work, "restart a template")

    def _template_wrote(self, template: BundleTemplate, stream: str, line: bytes) -> None:
        self._logs.add("", template.pid, stream, line)

    def _report(self, message: Message) -> None:
        if self._manager is not None:
            self._manager.tell(message)

    def _data_layer(self) -> Connection | None:
        return self._data_layer_connection


async def _all_ended(templates: list[BundleTemplate], timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            for template in templates:
                await template.ended.wait()
    except TimeoutError:
        return


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
