"""Map states' items and results on behalf of the ExecutionManager: asks the DataLayer, a part at a time.

Owns which requests are under way. While the DataLayer is away they wait for it and begin anew; what cannot be read or
written fails the state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import orjson

from actorfaas.core.catalogue import Catalogue
from actorfaas.core.effects import Export, Fetch, GiveUp
from actorfaas.core.executions import Executions
from actorfaas.core.map_data import export_place, fetch_of
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused
from actorfaas.messages import (
    ITEMS_READ,
    AddMapResults,
    Done,
    DropItems,
    DropMapResults,
    FinishMapResults,
    HistoryEvent,
    ItemsFetched,
    MapResultsWritten,
    Message,
)
from actorfaas.runtime.actor import Actor
from actorfaas.states.errors import StatesError
from actorfaas.states.map_results import Part
from actorfaas.states.scope import Json
from actorfaas.storage.item_files import open_items
from actorfaas.storage.payload_files import PAYLOADS, payload_path

DATA_LAYER = "data_layer"
PART_BYTES = 1024 * 1024
PART_LINES = 1_000
"""A part of the results has no more: so many are made at once, between what else there is to do."""

RETRY_S = 0.2


class MapDataLink:
    """See the module's docstring. `changed` is called after every answer, to act on what the core decided."""

    def __init__(self, actor: Actor, catalogue: Catalogue, executions: Executions, changed: Callable[[], None]) -> None:
        self._actor = actor
        self._catalogue = catalogue
        self._executions = executions
        self._changed = changed
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def begin(self, effect: Fetch | Export) -> None:
        """Start what the core asked for."""
        task = self._actor.spawn(self._work(effect), f"map data {effect.ticket}")
        self._under_way[effect.ticket] = task
        task.add_done_callback(lambda _: self._under_way.pop(effect.ticket, None))

    def give_up(self, effect: GiveUp) -> None:
        """Nobody waits for it any more."""
        task = self._under_way.get(effect.ticket)
        if task is not None:
            task.cancel()

    async def _work(self, effect: Fetch | Export) -> None:
        """Until it is done, or cannot be."""
        place = effect.execution_id, effect.request.branch
        while True:
            try:
                await self._actor.wait_for_peer(DATA_LAYER)
                await (self._fetch(effect) if isinstance(effect, Fetch) else self._export(effect))
                break
            except (StatesError, OSError) as error:
                cause = error.cause if isinstance(error, StatesError) else str(error)
                self._executions.map_data_failed(place, effect.ticket, cause, self._now_ns())
                break
            except (AskTimeout, RequestRefused) as error:
                if not getattr(error, "retryable", False):
                    cause = error.detail if isinstance(error, RequestRefused) else str(error)
                    self._executions.map_data_failed(place, effect.ticket, cause, self._now_ns())
                    break
                await asyncio.sleep(RETRY_S)
            except PeerUnavailable:
                await asyncio.sleep(RETRY_S)
        self._changed()

    def _now_ns(self) -> int:
        return self._actor.clock.monotonic_ns()

    def _tell(self, message: Message) -> None:
        with suppress(PeerUnavailable):  # what it was doing ended with it
            self._actor.tell(DATA_LAYER, message)

    # --- items -------------------------------------------------------------------------------------------------------

    async def _fetch(self, effect: Fetch) -> None:
        version = self._catalogue.versions.get((effect.app, effect.version))
        request = fetch_of(effect.ticket, effect.request, "" if version is None else version.bundle.folder)
        timeout_s = self._actor.settings.objects_timeout_s
        try:
            found = await self._actor.ask(DATA_LAYER, request, ItemsFetched, timeout_s)
        except (asyncio.CancelledError, AskTimeout):
            self._tell(DropItems(effect.ticket))
            raise
        items = open_items(Path(found.path), found.count, found.size_bytes)
        place = effect.execution_id, effect.request.branch
        self._executions.items_read(place, effect.ticket, found, items, self._now_ns())

    def journalled_items(self, events: Sequence[HistoryEvent]) -> Mapping[int, Sequence[Json]]:
        """What the Map states of a journal had read, by the number of the event; what is not there any more is not
        among them."""
        found: dict[int, Sequence[Json]] = {}
        for event in events:
            if event.type == ITEMS_READ:
                details = orjson.loads(event.payload)
                with suppress(OSError):
                    path = payload_path(self._actor.settings.data_dir / PAYLOADS, details["File"])
                    found[event.seq] = open_items(path, details["Count"], details["Bytes"])
        return found

    # --- results -----------------------------------------------------------------------------------------------------

    async def _export(self, effect: Export) -> None:
        request = effect.request
        bucket, folder = export_place(request)
        timeout_s = self._actor.settings.objects_timeout_s
        number = 0
        try:
            for kind, lines in batches(request.parts()):
                part = AddMapResults(request.run_id, number, bucket, folder, request.output_type, kind, lines)
                await self._actor.ask(DATA_LAYER, part, Done, timeout_s)
                number += 1
            last = FinishMapResults(request.run_id, number, bucket, folder, request.arn)
            written = await self._actor.ask(DATA_LAYER, last, MapResultsWritten, timeout_s)
        except (asyncio.CancelledError, AskTimeout):
            self._tell(DropMapResults(request.run_id))
            raise
        place = effect.execution_id, request.branch
        self._executions.map_results_written(place, effect.ticket, written.bucket, written.key, self._now_ns())


def batches(parts: Iterator[Part]) -> Iterator[Part]:
    """Lines of one kind that follow each other together, each with its end, no more than a message should have."""
    kind, lines, size_bytes = "", list[bytes](), 0
    for one, line in parts:
        if lines and (one != kind or size_bytes + len(line) > PART_BYTES or len(lines) == PART_LINES):
            yield kind, b"\n".join(lines) + b"\n"
            lines, size_bytes = [], 0
        kind = one
        lines.append(line)
        size_bytes += len(line)
    if lines:
        yield kind, b"\n".join(lines) + b"\n"
