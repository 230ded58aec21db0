"""Endpoints about what is deployed: deploy, roll back, remove, and list versions, functions and workflows."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from actorfaas.http import render
from actorfaas.http.archives import Archives
from actorfaas.http.bodies import Limits, pieces
from actorfaas.http.directory import Directory
from actorfaas.http.exchange import json_object, json_response, name, text
from actorfaas.http.links import DATA_LAYER, EXECUTION_MANAGER, Links, Office
from actorfaas.http.problems import Problem
from actorfaas.messages import (
    Deploy,
    Deployed,
    DeploymentRecord,
    Deployments,
    Done,
    ListDeployments,
    RemoveApp,
    Rollback,
)

DEFAULT_ENTRY = "app.py"
MAX_ENTRY_LENGTH = 512
MAX_UPLOADS = 8
"""Bundles written to disk at once; each may be as large as max_bundle_bytes."""


class DeploymentEndpoints:
    """Each method answers one operation of `http.surface`."""

    def __init__(self, office: Office, links: Links, directory: Directory, archives: Archives) -> None:
        self._links = links
        self._directory = directory
        self._archives = archives
        self._uploads = asyncio.Semaphore(MAX_UPLOADS)
        self._bundle_limits = Limits(office.settings.max_bundle_bytes, office.settings.upload_timeout_s)
        self._body_timeout_s = office.settings.body_timeout_s
        # Preparing a bundle and starting its functions each take at most a few times deploy_timeout_s; whoever gives
        # up then says what took so long, so this wait outlasts both.
        self._timeout_s = 6 * office.settings.deploy_timeout_s + 3 * office.settings.ask_timeout_s

    async def deploy(self, request: Request) -> Response:
        """Store the body and have it deployed."""
        app = name(request, "app")
        entry = text(request, "entry") or DEFAULT_ENTRY
        if entry.startswith("/") or ".." in entry.split("/") or len(entry) > MAX_ENTRY_LENGTH:
            raise Problem("invalid", f"entry must be a path inside the bundle, not {entry!r}")
        headers = dict(request.scope["headers"])
        if self._uploads.locked():
            raise Problem("overloaded", f"{MAX_UPLOADS} bundles are being uploaded already")
        async with self._uploads:
            archive = await self._archives.store(pieces(request.receive, headers, self._bundle_limits))
        message = Deploy(app=app, archive=str(archive.path), sha256=archive.sha256, entry=entry)
        is_wanted = True  # also when it is not known what became of it
        try:
            return json_response(render.deployed(await self._change(message)), 201)
        except Problem as problem:
            is_wanted = problem.code not in ("deploy_failed", "invalid", "conflict")
            raise
        finally:
            await self._archives.let_go(archive, keep=is_wanted)

    async def rollback(self, request: Request) -> Response:
        """Make an earlier version current."""
        version = (await json_object(request, self._body_timeout_s)).get("version", 0)
        if not isinstance(version, int) or isinstance(version, bool) or version < 0:
            raise Problem("invalid", f"version must be a whole number, not {version!r}")
        return json_response(render.deployed(await self._change(Rollback(name(request, "app"), version))))

    async def remove(self, request: Request) -> Response:
        """Stop serving an application."""
        message = RemoveApp(name(request, "app"))
        await self._links.ask(EXECUTION_MANAGER, message, Done, self._timeout_s, repeat=False)
        return Response(status_code=204)

    async def deployments(self, _: Request) -> Response:
        """The active version of every application."""
        return json_response(render.deployments(await self._records(active_only=True)))

    async def deployment(self, request: Request) -> Response:
        """All versions of one application."""
        app = name(request, "app")
        records = await self._records(app)
        if not records:
            raise Problem("not_found", f"no application is called {app!r}; GET /v1/deployments lists them")
        return json_response(render.deployments(records))

    async def functions(self, _: Request) -> Response:
        """Everything that can be called."""
        records = await self._records(active_only=True)
        found = [render.function(record, spec, self._directory) for record in records for spec in record.functions]
        return json_response({"functions": sorted(found, key=lambda one: str(one["name"]))})

    async def function(self, request: Request) -> Response:
        """One function."""
        wanted = name(request, "name")
        for record in await self._records(active_only=True):
            for spec in record.functions:
                if spec.name == wanted:
                    return json_response(render.function(record, spec, self._directory))
        raise Problem("not_found", f"no function is called {wanted!r}; GET /v1/functions lists them")

    async def workflows(self, _: Request) -> Response:
        """Everything that can be run."""
        records = await self._records(active_only=True)
        found = [render.workflow(record, spec, self._directory) for record in records for spec in record.workflows]
        return json_response({"workflows": sorted(found, key=lambda one: str(one["name"]))})

    async def workflow(self, request: Request) -> Response:
        """One workflow."""
        wanted = name(request, "name")
        for record in await self._records(active_only=True):
            for spec in record.workflows:
                if spec.name == wanted:
                    return json_response(render.workflow(record, spec, self._directory))
        raise Problem("not_found", f"no workflow is called {wanted!r}; GET /v1/workflows lists them")

    async def _change(self, message: Deploy | Rollback) -> Deployed:
        return await self._links.ask(EXECUTION_MANAGER, message, Deployed, self._timeout_s, repeat=False)

    async def _records(self, app: str = "", *, active_only: bool = False) -> tuple[DeploymentRecord, ...]:
        question = ListDeployments(app=app, active_only=active_only)
        return (await self._links.ask(DATA_LAYER, question, Deployments)).deployments
