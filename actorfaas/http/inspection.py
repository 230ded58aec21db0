"""Endpoints about the node itself: workers, actors, settings, health, metrics, and the OpenAPI document."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable
from dataclasses import fields
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from actorfaas import __version__
from actorfaas.config import Settings
from actorfaas.errors import ActorFaasError
from actorfaas.http import exposition, openapi, render
from actorfaas.http.directory import Directory
from actorfaas.http.exchange import json_response
from actorfaas.http.links import DATA_LAYER, EXECUTION_MANAGER, FW_SUPERVISOR, LOCAL_QUEUE, SWAPPER, Links, Office
from actorfaas.http.metrics import Metrics, NodeFigures
from actorfaas.ids import STRATEGY_MEANINGS
from actorfaas.messages import (
    ActorDescription,
    DescribeActor,
    DescribePool,
    DescribeQueue,
    DescribeSupervisor,
    MeasureMemory,
    MeasurePool,
    MeasureTopics,
    MemoryFigures,
    Message,
    PoolDescription,
    PoolFigures,
    QueueDescription,
    SupervisorDescription,
    TopicFigures,
)

PEERS = (DATA_LAYER, SWAPPER, LOCAL_QUEUE, FW_SUPERVISOR, EXECUTION_MANAGER)
NEEDED = (LOCAL_QUEUE, EXECUTION_MANAGER, DATA_LAYER)
"""Without these no request can be served; the supervisor is only needed to start more workers."""

DESCRIBE_TIMEOUT_S = 1.0
"""A description is answered by the kernel at once; an actor that cannot is reported as not connected."""

Numbers = Callable[[], tuple[int, int]]
M = TypeVar("M", bound=Message)


class InspectionEndpoints:
    """Each method answers one operation of `http.surface`. `numbers`: calls under way and open connections."""

    def __init__(self, office: Office, links: Links, directory: Directory, metrics: Metrics, numbers: Numbers) -> None:
        self._office = office
        self._links = links
        self._directory = directory
        self._metrics = metrics
        self._numbers = numbers

    async def workers(self, _: Request) -> Response:
        """The pool and the topics."""
        pool = await self._links.ask(EXECUTION_MANAGER, DescribePool(), PoolDescription)
        queue = await self._links.ask(LOCAL_QUEUE, DescribeQueue(), QueueDescription)
        return json_response(render.workers(pool, queue))

    async def node(self, _: Request) -> Response:
        """Version, settings, actors and mechanisms."""
        settings = self._office.settings
        actors, pool = await asyncio.gather(self._describe_all(), self._pool())
        described = {one.actor: one for one in actors}
        document = {
            "version": __version__,
            "pid": os.getpid(),
            "python": platform.python_version(),
            "ready": not self._waiting_for(),
            "in_flight": self._numbers()[0],
            "settings": render.masked(_in_use(settings)),
            "actors": [render.actor(name, described.get(name)) for name in (*PEERS, "frontend")],
            "mechanisms": {
                "event_loop": type(asyncio.get_running_loop()).__module__.partition(".")[0],
                "http_parser": "httptools",
                "strategies": list(STRATEGY_MEANINGS),
                "paging_mode": pool.paging_mode if pool is not None else "",
                "paging_sentence": pool.paging_sentence if pool is not None else "",
                "templates": await self._templates(),
            },
        }
        return json_response(document)

    async def healthz(self, _: Request) -> Response:
        """The event loop lives, or this would not be answered."""
        return json_response({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """Whether a request would be served now."""
        waiting_for = self._waiting_for()
        return json_response({"ready": not waiting_for, "waiting_for": waiting_for}, 503 if waiting_for else 200)

    async def metrics(self, _: Request) -> Response:
        """Prometheus text. Calls go first between its pieces."""
        in_flight, connections = self._numbers()
        actors, pool, memory, topics = await asyncio.gather(
            self._describe_all(),
            self._figures(EXECUTION_MANAGER, MeasurePool(), PoolFigures),
            self._figures(SWAPPER, MeasureMemory(), MemoryFigures),
            self._figures(LOCAL_QUEUE, MeasureTopics(), TopicFigures),
        )
        figures = NodeFigures(in_flight, connections, actors, pool, memory, None if topics is None else topics.topics)
        pieces = []
        for piece in self._metrics.text(figures):
            pieces.append(piece)
            await asyncio.sleep(0)
        return Response("".join(pieces), headers={"content-type": exposition.CONTENT_TYPE})

    async def openapi(self, _: Request) -> Response:
        """The description of this API for machines."""
        return json_response(openapi.document(__version__))

    def _waiting_for(self) -> list[str]:
        missing = [peer for peer in NEEDED if not self._office.is_connected(peer)]
        return missing if self._directory.known.is_set() else [*missing, "routes"]

    async def _describe_all(self) -> list[ActorDescription]:
        described = await asyncio.gather(*(self._describe(peer) for peer in PEERS))
        return [*(one for one in described if one is not None), self._office.describe()]

    async def _describe(self, peer: str) -> ActorDescription | None:
        try:
            return await self._office.ask(peer, DescribeActor(), ActorDescription, DESCRIBE_TIMEOUT_S)
        except ActorFaasError:
            return None

    async def _pool(self) -> PoolDescription | None:
        return await self._figures(EXECUTION_MANAGER, DescribePool(), PoolDescription)

    async def _figures(self, peer: str, question: Message, expect: type[M]) -> M | None:
        try:
            return await self._office.ask(peer, question, expect, DESCRIBE_TIMEOUT_S)
        except ActorFaasError:
            return None

    async def _templates(self) -> list[render.Document]:
        try:
            described = await self._office.ask(
                FW_SUPERVISOR, DescribeSupervisor(), SupervisorDescription, DESCRIBE_TIMEOUT_S
            )
        except ActorFaasError:
            return []
        return [render.template(template) for template in described.templates]


def _in_use(settings: Settings) -> render.Document:
    """Every setting; the folders as they are found from anywhere."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {**values, "data_dir": settings.data_dir.absolute(), "run_dir": settings.run_path.absolute()}
