"""Endpoints that draw: a workflow, and an execution with what became of each state; and the definition it runs with.

Drawing is done in a thread, one picture at a time: hundreds of states take seconds. Histories are read in parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import orjson
from starlette.requests import Request
from starlette.responses import Response

from actorfaas.diagrams.statuses import statuses_of
from actorfaas.diagrams.svg import svg
from actorfaas.http import render
from actorfaas.http.exchange import name
from actorfaas.http.links import DATA_LAYER, Links
from actorfaas.http.problems import Problem
from actorfaas.http.visits import Visits
from actorfaas.messages import (
    DeploymentRecord,
    Deployments,
    ExecutionState,
    GetExecution,
    ListDeployments,
    WorkflowSpec,
)

MEDIA_TYPE = "image/svg+xml"
STEP = 4_000
"""Events of a history that are asked for at once."""


class PictureEndpoints:
    """Each method answers one operation of `http.surface`."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._turn = asyncio.Lock()

    async def workflow_diagram(self, request: Request) -> Response:
        """The workflow that is in service."""
        wanted = name(request, "name")
        spec = _workflow(wanted, await self._records(ListDeployments(app="", active_only=True)))
        if spec is None:
            raise Problem("not_found", f"no workflow is called {wanted!r}; GET /v1/workflows lists them")
        async with self._turn:
            return await _drawn(spec, {})

    async def execution_diagram(self, request: Request) -> Response:
        """The workflow in the version that the execution began with."""
        execution_id = name(request, "id")
        spec = await self._spec_of(execution_id)
        async with self._turn:
            return await _drawn(spec, await self._statuses(execution_id))

    async def execution_definition(self, request: Request) -> Response:
        """The definition that the execution runs with, whatever is in service now."""
        spec = await self._spec_of(name(request, "id"))
        return Response(spec.definition, media_type="application/json")

    async def _spec_of(self, execution_id: str) -> WorkflowSpec:
        question = GetExecution(execution_id, event_payloads=False, limit=1)
        state = await self._links.ask(DATA_LAYER, question, ExecutionState)
        if state.kind != "workflow":
            raise Problem("not_found", f"{execution_id} is an execution of a function, which has no definition")
        records = await self._records(ListDeployments(app=state.app, active_only=False))
        spec = _workflow(state.name, (record for record in records if record.version == state.version))
        if spec is None:
            raise Problem("not_found", f"version {state.version} of {state.app} is no longer known")
        return spec

    async def _statuses(self, execution_id: str) -> dict[str, str]:
        """What became of each state, from the whole history."""
        visits = Visits()
        after_seq, is_more = 0, True
        while is_more:
            question = GetExecution(execution_id, event_payloads=False, after_seq=after_seq, limit=STEP)
            state = await self._links.ask(DATA_LAYER, question, ExecutionState)
            for event in state.events:
                visits.add(event)
                after_seq = event.seq
            is_more = len(state.events) == STEP
        return await asyncio.to_thread(lambda: statuses_of(render.settled(visit, state) for visit in visits.all))

    async def _records(self, question: ListDeployments) -> tuple[DeploymentRecord, ...]:
        return (await self._links.ask(DATA_LAYER, question, Deployments)).deployments


async def _drawn(spec: WorkflowSpec, statuses: Mapping[str, str]) -> Response:
    picture = await asyncio.to_thread(lambda: svg(orjson.loads(spec.definition), spec.name, statuses))
    return Response(picture, media_type=MEDIA_TYPE, headers={"cache-control": "no-store"})


def _workflow(wanted: str, records: Iterable[DeploymentRecord]) -> WorkflowSpec | None:
    return next((spec for record in records for spec in record.workflows if spec.name == wanted), None)
