"""Endpoints that draw: a workflow, and an execution with what became of each state.

Drawing is done in a thread, one picture at a time: hundreds of states take seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import orjson
from starlette.requests import Request
from starlette.responses import Response

from actorfaas.diagrams.statuses import statuses_of
from actorfaas.diagrams.svg import svg
from actorfaas.http import render
from actorfaas.http.exchange import name
from actorfaas.http.links import DATA_LAYER, Links
from actorfaas.http.problems import Problem
from actorfaas.messages import (
    DeploymentRecord,
    Deployments,
    ExecutionState,
    GetExecution,
    ListDeployments,
    WorkflowSpec,
)

MEDIA_TYPE = "image/svg+xml"


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
        return await self._drawn(spec, dict)

    async def execution_diagram(self, request: Request) -> Response:
        """The workflow in the version that the execution began with."""
        execution_id = name(request, "id")
        question = GetExecution(execution_id, event_payloads=False)
        state = await self._links.ask(DATA_LAYER, question, ExecutionState)
        if state.kind != "workflow":
            raise Problem("not_found", f"{execution_id} is an execution of a function, which has no diagram")
        records = await self._records(ListDeployments(app=state.app, active_only=False))
        spec = _workflow(state.name, (record for record in records if record.version == state.version))
        if spec is None:
            raise Problem("not_found", f"version {state.version} of {state.app} is no longer known")
        return await self._drawn(spec, lambda: statuses_of(render.execution(state)["states"]))

    async def _drawn(self, spec: WorkflowSpec, statuses: Callable[[], Mapping[str, str]]) -> Response:
        async with self._turn:
            picture = await asyncio.to_thread(lambda: svg(orjson.loads(spec.definition), spec.name, statuses()))
        return Response(picture, media_type=MEDIA_TYPE, headers={"cache-control": "no-store"})

    async def _records(self, question: ListDeployments) -> tuple[DeploymentRecord, ...]:
        return (await self._links.ask(DATA_LAYER, question, Deployments)).deployments


def _workflow(wanted: str, records: Iterable[DeploymentRecord]) -> WorkflowSpec | None:
    return next((spec for record in records for spec in record.workflows if spec.name == wanted), None)
