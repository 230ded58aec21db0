"""Endpoints about traces: one with all its spans, a listing, and the spans of the newest calls and executions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response

from actorfaas.flow.executions import of_execution
from actorfaas.flow.spans import Span, of_call
from actorfaas.http import render
from actorfaas.http.exchange import json_response, since_at_ms, text, whole
from actorfaas.http.links import DATA_LAYER, Links, Office
from actorfaas.http.problems import Problem
from actorfaas.http.tracing import Tracer
from actorfaas.messages import GetTrace, ReadTraces, Trace

MAX_TRACES = 1_000
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


class TraceEndpoints:
    """Each method answers one operation of `http.surface`."""

    def __init__(self, office: Office, links: Links, tracer: Tracer) -> None:
        self._office = office
        self._links = links
        self._tracer = tracer

    async def trace(self, request: Request) -> Response:
        """Every span of one trace, in the order in which they began."""
        trace_id = request.path_params["id"]
        if not _TRACE_ID.fullmatch(trace_id):
            raise Problem("invalid", f"{trace_id!r} is not a trace's id: 32 hexadecimal digits")
        self._tracer.flush(self._office)
        found = await self._links.ask(DATA_LAYER, GetTrace(trace_id), Trace)
        spans = await _spans(found)
        if not spans:
            detail = f"nothing is kept of trace {trace_id}: it was not sampled, or is too old, or another node's"
            raise Problem("not_found", detail)
        return json_response({"trace_id": trace_id, "spans": [render.span(span) for span in spans]})

    async def traces(self, request: Request) -> Response:
        """The newest traces; of each, the first call or execution that was asked for."""
        found = await self._newest(request)
        known: dict[str, Span] = {}
        for span in _wholes(found):
            known.setdefault(span.trace_id, span)
        newest = sorted(known.values(), key=lambda span: -span.began_ns)[: _limit(request)]
        return json_response({"traces": [render.trace_summary(span) for span in newest]})

    async def spans(self, request: Request) -> Response:
        """Every span of the newest calls and executions."""
        spans = await _spans(await self._newest(request))
        return json_response({"spans": [render.span(span) for span in spans]})

    async def _newest(self, request: Request) -> Trace:
        question = ReadTraces(text(request, "function"), since_at_ms(request), _limit(request))
        self._tracer.flush(self._office)
        return await self._links.ask(DATA_LAYER, question, Trace)


def _limit(request: Request) -> int:
    return whole(request, "limit", 100, 1, MAX_TRACES)


def _wholes(found: Trace) -> Iterable[Span]:
    """The calls and executions, without what is inside of them, in the order in which they began."""
    spans = [of_call(call)[0] for call in found.calls] + [of_execution(one)[0] for one in found.executions]
    return sorted(spans, key=lambda span: span.began_ns)


async def _spans(found: Trace) -> list[Span]:
    """All spans. Calls go first between executions: a long history takes a while."""
    spans = [span for call in found.calls for span in of_call(call)]
    for one in found.executions:
        spans += of_execution(one)
        await asyncio.sleep(0)
    return sorted(spans, key=lambda span: (span.began_ns, -span.ended_ns))
