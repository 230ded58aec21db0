"""Endpoints about what ran: executions, their history, cancelling them, and what functions wrote."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from actorfaas.http import histories, render
from actorfaas.http.calls import now_ns
from actorfaas.http.exchange import json_response, name, since_at_ms, text, truth, wait_s, whole
from actorfaas.http.links import DATA_LAYER, EXECUTION_MANAGER, Links
from actorfaas.http.problems import Problem
from actorfaas.ids import STATUSES
from actorfaas.messages import (
    CancelExecution,
    Done,
    ExecutionInput,
    ExecutionRedriven,
    Executions,
    ExecutionState,
    GetExecution,
    GetExecutionInput,
    ListExecutions,
    Logs,
    ReadLogs,
    RedriveExecution,
    WaitExecution,
)

MAX_EXECUTIONS = 1000
MAX_MS = 10**15
MAX_LINES = 10_000
MAX_SEQ = 2**63 - 1
MAX_EVENT = 2**31 - 1
REDRIVE_TIMEOUT_S = 120.0
"""A version that is not in service any more has to be started."""
MAX_READS = 4
"""Executions read at once with what their events carry: megabytes each, in the DataLayer and on the way here."""


class RecordEndpoints:
    """Each method answers one operation of `http.surface`."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._reads = asyncio.Semaphore(MAX_READS)

    async def executions(self, request: Request) -> Response:
        """One page of executions, newest first."""
        question = ListExecutions(
            name=text(request, "name"),
            status=text(request, "status", STATUSES),
            limit=whole(request, "limit", 50, 1, MAX_EXECUTIONS),
            cursor=text(request, "cursor"),
            execution_name=text(request, "execution_name"),
            started_from_ms=whole(request, "started_from_ms", 0, 0, MAX_MS),
            started_before_ms=whole(request, "started_before_ms", 0, 0, MAX_MS),
        )
        return json_response(render.executions(await self._links.ask(DATA_LAYER, question, Executions)))

    async def execution(self, request: Request) -> Response:
        """One execution with the states of a page; with `wait`, once it has ended or the time is over."""
        execution_id, patience_s = name(request, "id"), wait_s(request)
        if patience_s:
            deadline_ns = now_ns() + int(patience_s * 1e9)
            question = WaitExecution(execution_id, deadline_ns, must_exist=True, event_payloads=False, limit=1)
            await self._links.ask_patiently(DATA_LAYER, question, ExecutionState, patience_s)
        async with self._reads:
            return json_response(await histories.execution(self._links, execution_id, *_page(request)))

    async def input(self, request: Request) -> Response:
        """What one execution was started with."""
        question = GetExecutionInput(name(request, "id"))
        answer = await self._links.ask(DATA_LAYER, question, ExecutionInput)
        return Response(answer.payload or b"null", media_type="application/json")

    async def history(self, request: Request) -> Response:
        """A page of the events of one execution."""
        async with self._reads:
            return json_response(await histories.history(self._links, name(request, "id"), *_page(request)))

    async def cancel(self, request: Request) -> Response:
        """Stop an execution."""
        execution_id = name(request, "id")
        message = CancelExecution(execution_id=execution_id, reason="cancelled over HTTP")
        try:
            await self._links.ask(EXECUTION_MANAGER, message, Done)
        except Problem as problem:
            if problem.code != "not_found":
                raise
            # Only the DataLayer remembers those that have ended.
            question = GetExecution(execution_id, event_payloads=False, limit=1)
            state = await self._links.ask(DATA_LAYER, question, ExecutionState)
            if state.status == "running":
                raise
            raise Problem("conflict", f"the execution has ended already: {state.status}") from problem
        return Response(status_code=204)

    async def redrive(self, request: Request) -> Response:
        """Go on with an execution from what failed."""
        execution_id = name(request, "id")
        message = RedriveExecution(execution_id)
        done = await self._links.ask(EXECUTION_MANAGER, message, ExecutionRedriven, REDRIVE_TIMEOUT_S, repeat=False)
        response = json_response(render.redriven(done), 202)
        response.headers["location"] = f"/v1/executions/{execution_id}"
        return response

    async def logs(self, request: Request) -> Response:
        """Lines that functions wrote; with `wait`, as soon as there is one."""
        patience_s = wait_s(request)
        question = ReadLogs(
            function=text(request, "function"),
            request_id=text(request, "request"),
            execution_id=text(request, "execution"),
            trace_id=text(request, "trace"),
            since_at_ms=since_at_ms(request),
            after_seq=whole(request, "after", 0, 0, MAX_SEQ),
            limit=whole(request, "limit", 1000, 1, MAX_LINES),
            tail=truth(request, "tail"),
            wait_until_ns=now_ns() + int(patience_s * 1e9) if patience_s else 0,
        )
        lines = await self._links.ask_patiently(DATA_LAYER, question, Logs, patience_s)
        return json_response(render.logs(lines))


def _page(request: Request) -> tuple[int, int]:
    """After which event, and how many. Raises Problem."""
    return whole(request, "cursor", 0, 0, MAX_EVENT), whole(request, "limit", histories.PAGE, 1, histories.MAX_PAGE)
