"""The Exporter: sends the spans of what has ended to a collector of OpenTelemetry. There only where one is configured.

It asks the DataLayer for what ended since the last time, in the order in which that ended, and goes on only when the
collector has it: what waits is kept (and bounded) where it is kept anyway, nothing else waits for the Exporter, and a
collector that stalls costs a request of its own. It decides nothing and changes nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar

import httpx

from actorfaas import __version__
from actorfaas.config import Settings
from actorfaas.errors import ActorFaasError, PeerUnavailable
from actorfaas.flow import otlp
from actorfaas.flow.executions import of_execution
from actorfaas.flow.spans import Span, of_call
from actorfaas.messages import Ended, Message, ReadEnded, SpansExported
from actorfaas.runtime.actor import Actor, Connection, Sender

DATA_LAYER, FRONTEND = "data_layer", "frontend"

PERIOD_S = 1.0
"""How often it is looked for what ended."""

SPANS_AT_ONCE = 1_000
TIMEOUT_S = 10.0
FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 30.0

FLUSH_S = 5.0
"""Most time that a node which stops takes for what has not been sent."""


class Exporter(Actor):
    """See the module."""

    name: ClassVar[str] = "exporter"
    peers: ClassVar[tuple[str, ...]] = (DATA_LAYER, FRONTEND)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._taken = self._dropped = self._missed = 0
        self._last_call = self._last_execution = -1
        self._is_stopping = asyncio.Event()
        self._is_failing = False
        self._exporting: asyncio.Task[None] | None = None
        self._http = httpx.AsyncClient(timeout=TIMEOUT_S, headers=otlp.headers(settings.otlp_headers))

    async def set_up(self) -> None:
        with suppress(PeerUnavailable):
            await self.wait_for_peer(DATA_LAYER)
        await self._read()  # what ended before is not sent
        self._exporting = self.spawn(self._export(), "export")

    def receive(self, message: Message, sender: Sender) -> None:
        sender.refuse("invalid", f"the exporter does not take {type(message).__name__}")

    def peer_connected(self, connection: Connection) -> None:
        if connection.is_outgoing and connection.actor == FRONTEND:
            self._tell()

    async def drain(self, deadline_s: float) -> None:
        """Send what ended meanwhile, once, as long as there is time."""
        self._is_stopping.set()
        if self._exporting is not None:
            _, pending = await asyncio.wait([self._exporting], timeout=min(FLUSH_S, deadline_s * 0.9))
            if pending:
                self.log.warning("the collector did not take the last spans in time", endpoint=self._endpoint)

    async def tear_down(self) -> None:
        if self._exporting is not None:
            self._exporting.cancel()
        await self._http.aclose()

    @property
    def _endpoint(self) -> str:
        return self.settings.otlp_endpoint

    async def _export(self) -> None:
        while True:
            was_stopping = self._is_stopping.is_set()
            ended = await self._read()
            if ended is not None and (ended.calls or ended.executions or ended.missed):
                await self._send_all(ended)
            elif was_stopping:
                return
            else:
                await self._pause(PERIOD_S)

    async def _read(self) -> Ended | None:
        """What ended since; None while the DataLayer is away."""
        try:
            ended = await self.ask(DATA_LAYER, ReadEnded(self._last_call, self._last_execution), Ended)
        except ActorFaasError as error:
            self.log.debug("what ended is not known", error=str(error))
            return None
        self._last_call, self._last_execution = ended.last_call, ended.last_execution
        return ended

    async def _send_all(self, ended: Ended) -> None:
        if ended.missed:
            self._missed += ended.missed
            self._fails(f"{ended.missed} calls and executions were not kept until their turn")
        spans = [span for call in ended.calls for span in of_call(call)]
        for one in ended.executions:
            spans += of_execution(one)
            await asyncio.sleep(0)
        for first in range(0, len(spans), SPANS_AT_ONCE):
            batch = spans[first : first + SPANS_AT_ONCE]
            taken = await self._send(batch)
            self._taken += taken
            self._dropped += len(batch) - taken
            self._tell()
        self._tell()

    async def _send(self, batch: Sequence[Span]) -> int:
        """Until the collector has it, or says that it will not take it; how many spans it took."""
        delay_s = FIRST_RETRY_S
        while True:
            try:
                answer = await self._http.post(self._endpoint, json=otlp.request(batch, __version__))
                if answer.status_code not in otlp.RETRYABLE:
                    return self._taken_of(batch, answer)
                problem = f"HTTP {answer.status_code}"
            except (httpx.RequestError, httpx.InvalidURL) as error:
                problem = f"{type(error).__name__}: {error}"
            self._fails(problem)
            if self._is_stopping.is_set():
                return 0
            await self._pause(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(2 * delay_s, LONGEST_RETRY_S)

    def _taken_of(self, batch: Sequence[Span], answer: httpx.Response) -> int:
        try:
            answer.raise_for_status()
            refused = otlp.rejected(answer.json()) if answer.content else 0
        except (httpx.HTTPStatusError, ValueError) as error:
            self._fails(str(error))
            return 0
        if refused:
            self._fails(f"it rejected {refused} of {len(batch)} spans")
        elif self._is_failing:
            self._is_failing = False
            lost = {"dropped": self._dropped, "missed": self._missed}
            self.log.info("spans reach the collector again", endpoint=self._endpoint, **lost)
        return len(batch) - refused

    def _fails(self, problem: str) -> None:
        """Say it once, until it works again."""
        if not self._is_failing:
            self._is_failing = True
            self.log.warning("spans do not reach the collector", endpoint=self._endpoint, problem=problem)

    def _tell(self) -> None:
        if self.is_connected(FRONTEND):
            self.tell(FRONTEND, SpansExported(self._taken, self._dropped, self._missed))

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until the node stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_stopping.wait(), seconds)
