"""The Frontend: HTTP in and out, authentication, request limits, waiting for results.

Owns the HTTP server and feeds `actorfaas.http` with what the other actors say. It runs no user code, decides no
placement and never looks inside a payload.
"""

from __future__ import annotations

import asyncio

from actorfaas.config import Settings
from actorfaas.errors import ActorFaasError, PeerUnavailable
from actorfaas.http.app import App, handlers_of
from actorfaas.http.archives import Archives
from actorfaas.http.calls import Call, Calls, now_ns
from actorfaas.http.data import DataEndpoints
from actorfaas.http.deployments import DeploymentEndpoints
from actorfaas.http.directory import Directory
from actorfaas.http.events import EventEndpoints
from actorfaas.http.executions import Executions
from actorfaas.http.feed import Feed
from actorfaas.http.flow import FlowEndpoints, FlowReader
from actorfaas.http.guard import Guard
from actorfaas.http.inspection import InspectionEndpoints
from actorfaas.http.invoke import Invoker
from actorfaas.http.links import DATA_LAYER, EXECUTION_MANAGER, FW_SUPERVISOR, LOCAL_QUEUE, SWAPPER, Links
from actorfaas.http.live import Live
from actorfaas.http.metrics import Metrics
from actorfaas.http.pictures import PictureEndpoints
from actorfaas.http.records import RecordEndpoints
from actorfaas.http.server import HttpServer, allow_many_files, listening_socket
from actorfaas.http.tasks import TaskEndpoints
from actorfaas.http.traces import TraceEndpoints
from actorfaas.http.tracing import FLUSH_PERIOD_S, Tracer
from actorfaas.http.trials import TrialEndpoints
from actorfaas.messages import (
    GetRoutes,
    InvocationChunk,
    InvocationFailed,
    InvocationResult,
    Message,
    RoutesChanged,
    SpansExported,
)
from actorfaas.runtime.actor import Actor, Connection, Overflow, Sender

SWEEP_PERIOD_S = 0.25
ROUTES_RETRY_S = 0.25
CLOSING_SHARE = 0.2
"""The last part of a stop's deadline, kept for refusing what did not finish and for closing connections."""


class Frontend(Actor):
    """See the module."""

    name = "frontend"
    peers = (LOCAL_QUEUE, EXECUTION_MANAGER, DATA_LAYER, FW_SUPERVISOR, SWAPPER)
    overflow = Overflow.PAUSE

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.links = Links(self)
        self.directory = Directory(settings.default_timeout_s)
        self.calls = Calls()
        self.metrics = Metrics(is_counting=settings.metrics)
        self.tracer = Tracer(settings)
        self.archives = Archives(settings.data_dir)
        guard = Guard(settings)
        executions = Executions(self, self.links)
        self.invoker = Invoker(
            self, self.links, self.directory, self.calls, executions, guard, self.metrics, self.tracer
        )
        flow = FlowReader(self, self.links, self.tracer)
        live = Live(self.links, self.metrics, lambda: self.invoker.in_flight, flow)
        self.feed = Feed(live.source, self.spawn, self.log)
        handlers = handlers_of(
            (
                DeploymentEndpoints(self, self.links, self.directory, self.archives),
                RecordEndpoints(self.links),
                DataEndpoints(self, self.links, self.invoker.budget),
                TrialEndpoints(self, self.links, self.directory, self.invoker),
                TraceEndpoints(self, self.links, self.tracer),
                FlowEndpoints(flow),
                TaskEndpoints(self, self.links),
                InspectionEndpoints(self, self.links, self.directory, self.metrics, self._numbers),
                PictureEndpoints(self.links),
                EventEndpoints(self.feed, self.links),
            )
        )
        self._app = App(self.invoker, handlers, guard, self.log)
        self._server: HttpServer | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port the server listens on, once set up."""
        if self._server is None:
            raise RuntimeError("the HTTP server was not started")
        return self._server.address

    async def set_up(self) -> None:
        allow_many_files()
        self.archives.prepare()
        self._server = HttpServer(self._app, listening_socket(self.settings), self.settings)
        self._serving = self.spawn(self._server.serve(), "http server")
        self.spawn(self._sweep(), "sweep")
        if self.tracer.is_on:
            self.spawn(self._keep_traces(), "keep traces")
        host, port = self._server.address
        self.log.info("listening", host=host, port=port)

    def receive(self, message: Message, sender: Sender) -> None:
        match message:
            case InvocationResult() | InvocationFailed():
                self.calls.finished(message)
            case InvocationChunk():
                self.calls.chunk(message)
            case RoutesChanged():
                self._routes_changed(message)
            case SpansExported():
                self.metrics.exported = message
            case _:
                sender.refuse("invalid", f"the frontend does not take {type(message).__name__}")

    def peer_connected(self, connection: Connection) -> None:
        if not connection.is_outgoing:
            return
        self.links.connected(connection.actor)
        if connection.actor == EXECUTION_MANAGER:
            self.spawn(self._learn_routes(), "learn routes")

    def peer_disconnected(self, connection: Connection) -> None:
        if not connection.is_outgoing:
            return
        self.links.disconnected(connection.actor)
        if connection.actor == LOCAL_QUEUE:
            if len(self.calls):
                self.log.warning("calls lost with the LocalQueue", calls=len(self.calls))
            detail = "the part that held this request restarted; whether the handler ran is not known"
            self.calls.fail_all("restarting", detail)

    async def drain(self, deadline_s: float) -> None:
        """Refuse new calls; let those under way finish, and answer 503 to what does not in time."""
        self.invoker.is_stopping = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_s * 0.95  # the kernel cuts this off at the whole of it
        if self._server is not None:
            self._server.stop(deadline_s)
        try:
            async with asyncio.timeout_at(deadline - min(1.0, deadline_s * CLOSING_SHARE)):
                await self.invoker.idle.wait()
        except TimeoutError:
            self.log.warning("calls refused because the node stops", calls=self.invoker.in_flight)
        self.calls.fail_all("stopping", "the node is stopping and this call did not finish in time")
        self.links.stop_waiting()
        if self._serving is not None:
            await asyncio.wait((self._serving,), timeout=max(0.0, deadline - loop.time()))

    async def tear_down(self) -> None:
        self.tracer.flush(self)
        self.links.stop_waiting()
        if self._serving is not None:
            self._serving.cancel()
        if self._server is not None:
            self._server.close()

    def _routes_changed(self, message: RoutesChanged) -> None:
        self.directory.replace(message.routes)
        self.metrics.forget_except(route.name for route in message.routes)

    async def _learn_routes(self) -> None:
        """Ask what can be invoked, until there is an answer or the ExecutionManager is gone."""
        while True:
            try:
                self._routes_changed(await self.ask(EXECUTION_MANAGER, GetRoutes(), RoutesChanged))
            except PeerUnavailable:
                return  # the next connection asks again
            except ActorFaasError as error:
                self.log.warning("the routes are not known yet", error=str(error))
                await asyncio.sleep(ROUTES_RETRY_S)
            else:
                return

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_PERIOD_S)
            for call in self.calls.sweep(now_ns(), self._watch):
                self.log.error("a call got no answer before its deadline", request_id=call.request_id)
                self.invoker.cancel(call, kill=True)

    async def _keep_traces(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_PERIOD_S)
            self.tracer.flush(self)
            self.metrics.traced_calls_lost = self.tracer.lost

    def _watch(self, call: Call) -> asyncio.Task[None]:
        return self.spawn(call.watch(), f"watch the caller of {call.request_id}")

    def _numbers(self) -> tuple[int, int]:
        return self.invoker.in_flight, self._server.connections if self._server is not None else 0
