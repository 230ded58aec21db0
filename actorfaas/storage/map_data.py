"""Items and results of distributed Map states as the store does them: in threads, a piece at a time.

Owns which work is under way, and that it stops when nobody wants it any more or the store closes.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from threading import Event

from actorfaas.config import Settings
from actorfaas.messages import (
    AddMapResults,
    DropItems,
    DropMapResults,
    FetchItems,
    FinishMapResults,
    ItemsFetched,
    MapResultsWritten,
)
from actorfaas.storage.database import unavailable
from actorfaas.storage.item_files import ItemFiles
from actorfaas.storage.objects import ObjectStore
from actorfaas.storage.payload_files import PAYLOADS, PayloadFiles
from actorfaas.storage.result_files import ResultFiles
from actorfaas.storage.tasks import Tasks


class MapData:
    """The part of a store that reads items and writes results. Payload files are the store's."""

    def __init__(self, settings: Settings, tasks: Tasks) -> None:
        durable = settings.sqlite_synchronous == "full"
        objects = ObjectStore(settings.objects_path)
        self._payloads = settings.data_dir / PAYLOADS
        self._items = ItemFiles(objects, PayloadFiles(self._payloads, durable), settings.item_folders)
        self._results = ResultFiles(objects, durable)
        self._tasks = tasks
        self._fetching: dict[str, Event] = {}

    def fetch_items(self, request: FetchItems) -> Future[ItemsFetched]:
        """Make a payload file of the items; "not_found", "invalid" where they cannot be read."""
        return self._tasks.spawn(self._fetch(request), f"fetch items {request.fetch_id}")

    async def _fetch(self, request: FetchItems) -> ItemsFetched:
        unwanted = self._fetching[request.fetch_id] = Event()
        try:
            return await asyncio.to_thread(self._items.fetch, request, unwanted)
        except OSError as error:
            raise unavailable(self._payloads, error) from error
        finally:
            del self._fetching[request.fetch_id]

    def drop_items(self, request: DropItems) -> None:
        """Stop making them."""
        unwanted = self._fetching.get(request.fetch_id)
        if unwanted is not None:
            unwanted.set()

    def add_map_results(self, request: AddMapResults) -> Future[None]:
        """Write one part of a map run's results; "not_found" where an earlier one is not known, "invalid"."""
        return self._tasks.spawn(asyncio.to_thread(self._results.add, request), f"write results {request.run_id}")

    def finish_map_results(self, request: FinishMapResults) -> Future[MapResultsWritten]:
        """Publish a map run's results; "not_found", "invalid"."""
        return self._tasks.spawn(asyncio.to_thread(self._results.finish, request), f"publish results {request.run_id}")

    def drop_map_results(self, request: DropMapResults) -> None:
        """Forget what has come of a map run."""
        self._tasks.spawn(asyncio.to_thread(self._results.drop, request.run_id), f"drop results {request.run_id}")

    def stop(self) -> None:
        """Stop reading items: the store closes."""
        for unwanted in self._fetching.values():
            unwanted.set()

    def close(self) -> None:
        """Give up unfinished results; nothing is under way any more."""
        self._results.close()
