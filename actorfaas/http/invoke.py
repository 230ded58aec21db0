"""`POST /v1/invoke/NAME`: the one path that must be lean, as a raw ASGI application.

Owns admission (limits, name, headers) and the choice between a plain call through the LocalQueue and an execution;
waiting for executions, streaming and the form of errors are in modules of their own. The body is never parsed here:
it is the worker that finds out whether it is JSON.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from actorfaas.core.spans import span_of
from actorfaas.http import billing, server_timing, streams
from actorfaas.http import headers as request_headers
from actorfaas.http.bodies import CallerGone, Limits, collect, respond, respond_problem
from actorfaas.http.budget import Budget, Share
from actorfaas.http.calls import Call, Calls, Event, Outcome, Receive, Send, StreamCall, now_ns
from actorfaas.http.directory import Directory, Target
from actorfaas.http.executions import Executions, Order, Started
from actorfaas.http.guard import Guard
from actorfaas.http.headers import HeaderMap
from actorfaas.http.links import LOCAL_QUEUE, Links, Office, wait_briefly
from actorfaas.http.metrics import UNKNOWN, Metrics
from actorfaas.http.problems import Headers, Problem, from_execution, from_failure
from actorfaas.http.tracing import Kept, Tracer, record, response_header
from actorfaas.ids import new_id
from actorfaas.messages import (
    CancelRequest,
    ChunkCredit,
    ExecutionState,
    InvocationFailed,
    InvocationResult,
    Publish,
    TracedCall,
)

PREFIX = "/v1/invoke/"
ALLOW: Headers = [(b"allow", b"POST, OPTIONS")]
JSON_TYPE = (b"content-type", b"application/json")

NO_TOPIC_DELAYS_S = (0.05, 0.1, 0.2, 0.4)
"""Waits between deliveries while a topic is unknown: the LocalQueue restarted, or a new version took over. Nothing
ran, so sending again is safe."""

EXECUTION_HEADERS = frozenset({b"prefer", b"idempotency-key", b"actorfaas-execution-name"})
"""A function that is called with one of these is run as an execution; of Prefer, only if it says so."""

CALLER_GONE_STATUS = 499
"""What the metrics count a request as whose caller hung up; nobody ever receives it."""

Scope = Event


class _NoTopic(Exception):
    """The LocalQueue does not know the topic; the request did not start."""

    def __init__(self, failed: InvocationFailed) -> None:
        super().__init__()
        self.failed = failed


@dataclass(slots=True)
class _Request:
    """One request being answered, and what the metrics will say about it."""

    request_id: str
    headers: HeaderMap
    receive: Receive
    send: Send
    began_ns: int
    share: Share
    name: str = UNKNOWN
    status: int = 500
    start_kind: str = ""
    memory_mb: int = 0
    version: int = 0
    context: str = ""
    kept: Kept | None = None
    outcome: InvocationResult | InvocationFailed | None = None


class Invoker:
    """The ASGI application behind `PREFIX`."""

    def __init__(
        self,
        office: Office,
        links: Links,
        directory: Directory,
        calls: Calls,
        executions: Executions,
        guard: Guard,
        metrics: Metrics,
        tracer: Tracer,
    ) -> None:
        self._office = office
        self._links = links
        self._directory = directory
        self._calls = calls
        self._executions = executions
        self._guard = guard
        self._metrics = metrics
        self._tracer = tracer
        self._body_limits = Limits(office.settings.max_body_bytes, office.settings.body_timeout_s)
        self._max_in_flight = office.settings.max_in_flight
        self.budget = Budget(office.settings.max_in_flight_bytes)
        self._dev = office.settings.dev
        self._bills = office.settings.metrics
        self.in_flight = 0
        self.is_stopping = False
        self.idle = asyncio.Event()
        """Set while nothing is under way."""
        self.idle.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: HeaderMap = dict(scope["headers"])
        request_id = request_headers.request_id(headers)
        request = _Request(request_id, headers, receive, send, now_ns(), self.budget.share())
        if self.in_flight == 0:
            self.idle.clear()
        self.in_flight += 1
        try:
            await self._answer(scope, request)
        except Problem as problem:
            request.status = problem.status
            await respond_problem(problem, request.request_id, headers, receive, send)
        except CallerGone:
            self._caller_lost(request)
        except streams.Broken as broken:
            self._broken(request, broken.outcome)  # returning without the end makes the server cut the connection
        finally:
            request.share.release()
            self.in_flight -= 1
            if self.in_flight == 0:
                self.idle.set()
            outcome = request.outcome
            took_ns = now_ns() - request.began_ns
            run_ns = 0 if outcome is None else outcome.run_ns
            self._metrics.count(request.name, request.status, request.start_kind, took_ns, run_ns, request.memory_mb)
            if request.kept is not None:
                self._tracer.ended(_record(request, request.kept, took_ns))

    def _caller_lost(self, request: _Request) -> None:
        request.status = CALLER_GONE_STATUS
        self._metrics.callers_lost += 1

    def _broken(self, request: _Request, outcome: Outcome) -> None:
        if outcome is None:
            self._caller_lost(request)
            return
        problem = outcome if isinstance(outcome, Problem) else None
        if isinstance(outcome, InvocationFailed):
            problem = from_failure(outcome, request.name, with_traceback=False)
        request.status = problem.status if problem is not None else 500
        self._office.log.warning(
            "a stream broke off",
            function=request.name,
            request_id=request.request_id,
            reason=str(problem),
        )

    async def _answer(self, scope: Scope, request: _Request) -> None:
        method = scope["method"]
        headers = request.headers
        if method != "POST":
            await _other_method(method, request)
            return
        self._guard.check(headers)
        if self.is_stopping:
            raise Problem("stopping", "the node is stopping")
        if self.in_flight > self._max_in_flight:
            raise Problem("overloaded", f"{self._max_in_flight} requests are under way already")
        if not self._directory.known.is_set():
            await wait_briefly(self._directory.known)
        name = scope["path"][len(PREFIX) :]
        target = self._directory.find(name)
        request.name = name
        request.memory_mb = target.route.memory_mb
        body = await collect(request.receive, headers, self._body_limits, request.share) or b"null"
        strategy = request_headers.strategy(headers, target.route.strategy)
        limit_s = request_headers.timeout_s(headers, target.timeout_s)
        if target.is_workflow or not EXECUTION_HEADERS.isdisjoint(headers):
            order = Order(
                target=target,
                strategy=strategy,
                timeout_s=limit_s,
                traceparent=self._tracer.execution(headers),
                idempotency_key=request_headers.idempotency_key(headers),
                execution_name=request_headers.execution_name(headers),
                respond_async=request_headers.responds_async(headers),
                body=body,
            )
            if target.is_workflow or order.respond_async or order.is_single:
                await self._execute(request, order)
                return
        await self._call_function(request, target, strategy, int(limit_s * 1e9), body)

    # --- a plain call through the LocalQueue -------------------------------------------------------------------

    async def _call_function(
        self, request: _Request, target: Target, strategy: str, limit_ns: int, body: bytes
    ) -> None:
        deadline_ns = request.began_ns + limit_ns
        request.version = target.route.version
        request.context, request.kept = self._tracer.call(request.headers, request.began_ns)
        delays = iter(NO_TOPIC_DELAYS_S)
        while True:
            if self._calls.is_taken(request.request_id):
                request.request_id = new_id("req")  # the caller's id belongs to another call under way
            publish = Publish(
                topic=target.topics[strategy],
                request_id=request.request_id,
                deadline_ns=deadline_ns,
                max_attempts=target.route.max_attempts,
                retry_delay_ns=target.retry_delay_ns,
                stream=target.route.streams,
                traceparent=request.context,
                payload=body,
            )
            try:
                if publish.stream:
                    await self._stream(request, publish)
                else:
                    await self._call(request, publish)
            except _NoTopic as error:
                delay_s = next(delays, None)
                if delay_s is None:
                    raise from_failure(error.failed, request.name, with_traceback=False) from error
                await asyncio.sleep(delay_s)
                target = self._directory.find(request.name)
            else:
                return

    async def _call(self, request: _Request, publish: Publish) -> None:
        call = Call(publish.request_id, publish.deadline_ns, now_ns(), request.receive)
        result = self._result(request, await self.outcome(call, publish))
        body = result.payload
        request.share.add(len(body))
        request.status = 200
        headers: Headers = [
            JSON_TYPE,
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request.request_id.encode("ascii")),
            (b"server-timing", server_timing.of_invocation(result)),
            (b"actorfaas-worker", result.worker_topic.encode("utf-8")),
        ]
        if request.kept is not None:
            headers.append((b"traceresponse", response_header(request.context, request.kept.span_id)))
        if self._bills:
            headers += billing.of_call(result.run_ns, request.memory_mb)
        await respond(request.send, 200, headers, body)

    async def outcome(self, call: Call, publish: Publish) -> Outcome:
        """Publish a call and wait for how it ends; None when its caller hung up first."""
        table = self._calls.table
        table[call.request_id] = call
        try:
            await self._links.send(LOCAL_QUEUE, publish)
            outcome = await call.future
            if outcome is None:
                self.cancel(call, kill=False)
            return outcome
        finally:
            del table[call.request_id]
            if call.watcher is not None:
                call.watcher.cancel()

    def _result(self, request: _Request, outcome: Outcome) -> InvocationResult:
        """The result, if it is one; every other outcome is raised."""
        if isinstance(outcome, InvocationResult):
            request.start_kind = outcome.start_kind
            request.outcome = outcome
            return outcome
        if outcome is None:
            raise CallerGone
        if isinstance(outcome, Problem):
            raise outcome
        if outcome.reason == "no_topic":
            raise _NoTopic(outcome)
        request.start_kind = outcome.start_kind
        request.outcome = outcome
        problem = from_failure(outcome, request.name, with_traceback=self._dev)
        if outcome.worker_topic:
            problem.headers.append((b"server-timing", server_timing.of_invocation(outcome)))
            problem.headers.append((b"actorfaas-worker", outcome.worker_topic.encode("utf-8")))
            if request.kept is not None:
                problem.headers.append((b"traceresponse", response_header(request.context, request.kept.span_id)))
            if self._bills:
                problem.headers += billing.of_call(outcome.run_ns, request.memory_mb)
        raise problem

    def cancel(self, call: Call, *, kill: bool) -> None:
        """Nobody waits for the call any more. `kill`: nor may its handler go on."""
        if not call.is_answered and self._office.is_connected(LOCAL_QUEUE):
            self._calls.give_up(call)
            self._office.tell(LOCAL_QUEUE, CancelRequest(request_id=call.request_id, kill=kill))

    # --- a call whose result comes in pieces ---------------------------------------------------------------------

    async def _stream(self, request: _Request, publish: Publish) -> None:
        call = StreamCall(publish.request_id, publish.deadline_ns, now_ns(), request.receive, request.share)
        table = self._calls.table
        table[call.request_id] = call
        call.watcher = self._office.spawn(call.watch(), f"watch the caller of {call.request_id}")
        limit_s = (publish.deadline_ns - now_ns()) / 1e9 + self._office.settings.ask_timeout_s
        try:
            await self._links.send(LOCAL_QUEUE, publish)
            async with asyncio.timeout(limit_s):
                await self._pass_on(request, call)
        except TimeoutError:  # the caller reads too slowly, or not at all
            self.cancel(call, kill=True)
            raise streams.Broken(Problem("timeout", "the caller did not take the response in time")) from None
        finally:
            del table[call.request_id]
            call.watcher.cancel()

    async def _pass_on(self, request: _Request, call: StreamCall) -> None:
        own: Headers = [(b"x-request-id", request.request_id.encode("ascii"))]
        if request.kept is not None:
            own.append((b"traceresponse", response_header(request.context, request.kept.span_id)))
        try:
            outcome = await streams.first_event(call)
            if not call.pieces:
                self._result(request, outcome)
                request.status = 200
                await streams.empty(own, request.send)
                return
            request.status = 200
            result = await streams.forward(call, own, request.send, lambda count: self._credit(call, count))
            request.start_kind, request.outcome = result.start_kind, result
        finally:
            self.cancel(call, kill=True)  # unless its last message came

    def _credit(self, call: StreamCall, count: int) -> None:
        self._metrics.streamed_pieces += count
        if not call.future.done() and self._office.is_connected(LOCAL_QUEUE):
            self._office.tell(LOCAL_QUEUE, ChunkCredit(request_id=call.request_id, chunks=count))

    # --- an execution -----------------------------------------------------------------------------------------------

    async def _execute(self, request: _Request, order: Order) -> None:
        started = await self._executions.start(order)
        headers: Headers = [
            JSON_TYPE,
            (b"x-request-id", request.request_id.encode("ascii")),
            (b"actorfaas-execution", started.execution_id.encode("ascii")),
        ]
        if started.is_replay:
            headers.append((b"idempotency-replayed", b"true"))
        elif self._tracer.is_on:
            headers.append((b"traceresponse", response_header(order.traceparent, span_of(started.execution_id))))
        if order.respond_async:
            request.status = 202
            await _accepted(request.send, started, headers)
            return
        try:
            state = await self._executions.wait(order, started)
        except Problem as problem:
            problem.headers.extend(headers[2:])
            raise
        await self._ended(request, state, headers)

    async def _ended(self, request: _Request, state: ExecutionState, headers: Headers) -> None:
        headers.append((b"server-timing", server_timing.of_execution(state.events)))
        if self._bills:
            headers += billing.of_execution(state.events)
        problem = from_execution(state)
        if problem is not None:
            problem.headers.extend(headers[2:])
            raise problem
        request.status = 200
        request.share.add(len(state.payload))
        headers.append((b"content-length", b"%d" % len(state.payload)))
        await respond(request.send, 200, headers, state.payload)


def _record(request: _Request, kept: Kept, took_ns: int) -> TracedCall:
    return record(
        *(request.context, kept, request.request_id, request.name, request.version, request.status),
        *(request.began_ns, took_ns, request.outcome),
    )


async def _accepted(send: Send, started: Started, headers: Headers) -> None:
    body = b'{"execution_id":"%b","status":"running"}' % started.execution_id.encode("ascii")
    await respond(
        send,
        202,
        [
            *headers,
            (b"location", b"/v1/executions/" + started.execution_id.encode("ascii")),
            (b"preference-applied", b"respond-async"),
            (b"content-length", b"%d" % len(body)),
        ],
        body,
    )


async def _other_method(method: str, request: _Request) -> None:
    own: Headers = [(b"x-request-id", request.request_id.encode("ascii"))]
    if method != "OPTIONS":
        raise Problem("method_not_allowed", f"{PREFIX}NAME is called with POST, not {method}", headers=list(ALLOW))
    request.status = 204
    await respond(request.send, 204, [*ALLOW, *own], b"")
