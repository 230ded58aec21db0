"""`GET /v1/flow`: what calls what, where the time goes and what would help, as `actorfaas flow` works it out.

Owns the asking: traces and functions' concurrency from the DataLayer, so many at most, and the working out in a process
of its own, one at a time.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from actorfaas.flow.observed import flow_of
from actorfaas.http.exchange import at_ms_ago, refuse_other_sites, since_s, text, truth, whole
from actorfaas.http.links import DATA_LAYER, Links, Office
from actorfaas.http.problems import Problem
from actorfaas.http.tracing import Tracer
from actorfaas.messages import Deployments, ListDeployments, ReadTraces, Trace
from actorfaas.runtime.apart import apart

LIMIT, MAX_LIMIT = 200, 1_000
"""Calls and executions that are looked at, each."""

LIMIT_S = 30.0
MAX_WAITING = 16
"""Questions at once; more are refused with 503."""


class FlowReader:
    """Works out the flow, for whoever asks and for those who watch."""

    def __init__(self, office: Office, links: Links, tracer: Tracer) -> None:
        self._office = office
        self._links = links
        self._tracer = tracer
        self._turn = asyncio.Lock()
        self._waiting = asyncio.Semaphore(MAX_WAITING)

    async def read(self, name: str, since_s: float, limit: int = LIMIT, *, is_drawn: bool) -> bytes:
        """The document. `since_s`: only of the last so many seconds; 0: of all that is kept. Raises Problem."""
        if self._waiting.locked():
            raise Problem("overloaded", f"{MAX_WAITING} others are asking for the flow already")
        async with self._waiting:
            work = self._worked_out(name, since_s, limit, is_drawn=is_drawn)
            return await self._links.unless_stopping(work, "work out the flow")

    async def _worked_out(self, name: str, since_s: float, limit: int, *, is_drawn: bool) -> bytes:
        async with self._turn:
            self._tracer.flush(self._office)
            kept = await self._links.ask(DATA_LAYER, ReadTraces("", at_ms_ago(since_s), limit), Trace)
            deployed = await self._links.ask(DATA_LAYER, ListDeployments(app="", active_only=True), Deployments)
            workers = {spec.name: spec.concurrency for one in deployed.deployments for spec in one.functions}
            try:
                return await apart(LIMIT_S, flow_of, kept, workers, name, is_drawn=is_drawn)
            except (TimeoutError, MemoryError):
                detail = f"working out the flow takes more than {LIMIT_S:g} s or too much memory; ask for a lower limit"
                raise Problem("timeout", detail) from None


class FlowEndpoints:
    """Its method answers one operation of `http.surface`."""

    def __init__(self, reader: FlowReader) -> None:
        self._reader = reader

    async def flow(self, request: Request) -> Response:
        """The flow of everything, or of one workflow or function."""
        refuse_other_sites(request)
        limit = whole(request, "limit", LIMIT, 1, MAX_LIMIT)
        is_drawn = truth(request, "diagram")
        found = await self._reader.read(text(request, "name"), since_s(request), limit, is_drawn=is_drawn)
        return Response(found, media_type="application/json")
