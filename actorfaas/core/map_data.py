"""Map states whose items are read from a store, or whose results are written to one: what is asked for, and answers.

Base of `core.executions`, above `core.progress`. Who asks is `actors.map_data`. What was read, and where results were
written, is journalled: a restart goes on with the same items.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from actorfaas.core.execution import Execution, Lane
from actorfaas.core.progress import Progress
from actorfaas.messages import ITEMS_READ, FetchItems, ItemsFetched, MapRunProgress, MapRuns
from actorfaas.states.engine import ReadItems, WriteResults
from actorfaas.states.errors import STATES_ITEM_READER, STATES_RESULT_WRITER, StatedFailure
from actorfaas.states.model import PLAIN_FILE
from actorfaas.states.scope import Json

READ_FAILED = "MapItemsReadFailed"
WRITTEN = "MapResultsWritten"
WRITE_FAILED = "MapResultsWriteFailed"


class MapData(Progress):
    """Answers to what Map states asked stores for. Every answer says by which `ticket` it was asked for; one that
    nobody waits for is ignored."""

    def items_read(
        self, place: tuple[str, int], ticket: str, found: ItemsFetched, items: Sequence[Json], now_ns: int
    ) -> None:
        """The items are there; `place`: of the execution and its branch."""
        if self._defers_for(place[0], lambda at_ns: self.items_read(place, ticket, found, items, at_ns)):
            return
        execution, lane = self._asker(place, ticket)
        if execution is None or lane is None:
            return
        details = {"File": found.file, "Count": found.count, "Bytes": found.size_bytes}
        name = self._journal(execution, lane, ITEMS_READ, orjson.dumps(details), now_ns)
        execution.plan.habits.mapped(lane.machine.states[name], found.count)
        lane.unopened = found.count
        read = execution.engine.items_read(lane.branch, items, self._wall_ns(now_ns))
        self._go_on(execution, lane, read, now_ns)
        self._after(execution, lane, now_ns)
        self.settle(now_ns)

    def map_results_written(self, place: tuple[str, int], ticket: str, bucket: str, key: str, now_ns: int) -> None:
        """The results are where they should be: `key` is the manifest's."""
        if self._defers_for(place[0], lambda at_ns: self.map_results_written(place, ticket, bucket, key, at_ns)):
            return
        execution, lane = self._asker(place, ticket)
        if execution is None or lane is None:
            return
        where = orjson.dumps({"Bucket": bucket, "Key": key})
        self._journal(execution, lane, WRITTEN, where, now_ns)
        written = execution.engine.task_succeeded(lane.branch, where, self._wall_ns(now_ns), handed_on=False)
        self._go_on(execution, lane, written, now_ns)
        self._after(execution, lane, now_ns)
        self.settle(now_ns)

    def map_data_failed(self, place: tuple[str, int], ticket: str, cause: str, now_ns: int) -> None:
        """Items could not be read, or results not written."""
        if self._defers_for(place[0], lambda at_ns: self.map_data_failed(place, ticket, cause, at_ns)):
            return
        execution, lane = self._asker(place, ticket)
        if execution is None or lane is None:
            return
        is_reading = lane.asked == "items"
        error, type_ = (STATES_ITEM_READER, READ_FAILED) if is_reading else (STATES_RESULT_WRITER, WRITE_FAILED)
        name = execution.engine.state_of(lane.branch)
        execution.history.add_error(self._at_ms(now_ns), type_, name, error, cause, place=lane.place)
        self._task_failed(execution, lane, error, cause, now_ns)
        self._after(execution, lane, now_ns)
        self.settle(now_ns)

    def map_runs(self, execution_id: str) -> MapRuns:
        """How far the map runs of an execution are."""
        execution = self._all.get(execution_id)
        found = () if execution is None or execution.ended else execution.engine.map_runs()
        return MapRuns(tuple(MapRunProgress(branch, state, arn, **counts) for branch, state, arn, counts in found))

    def _asker(self, place: tuple[str, int], ticket: str) -> tuple[Execution | None, Lane | None]:
        """Who waits for an answer; it waits no more."""
        execution = self._all.get(place[0])
        lane = execution.lanes.get(place[1]) if execution is not None else None
        if lane is None or lane.ticket != ticket:
            return None, None
        lane.ticket = ""
        return execution, lane

    def _journal(self, execution: Execution, lane: Lane, type_: str, payload: bytes, now_ns: int) -> str:
        """Note what a store answered; the name of the state that asked."""
        name = execution.engine.state_of(lane.branch)
        if execution.history.is_standard:
            self._backlog_bytes += len(payload)
        execution.history.add(self._at_ms(now_ns), type_, name, payload=payload, place=lane.place)
        return name


def fetch_of(ticket: str, request: ReadItems, bundle: str) -> FetchItems:
    """What to ask the DataLayer for; plain files are looked for in the bundle's folder. Raises StatedFailure where the
    parameters do not say it."""
    config = request.config
    source, folder, key = _source(request, bundle)
    return FetchItems(
        fetch_id=ticket,
        source=source,
        folder=folder,
        key=key,
        input_type=config.input_type,
        headers=config.headers,
        delimiter=config.delimiter,
        pointer=config.pointer,
        through=config.through,
        most=request.most,
    )


def _source(request: ReadItems, bundle: str) -> tuple[str, str, str]:
    parameters = request.parameters
    if request.resource == PLAIN_FILE:
        return "file", bundle, _text(parameters, "Path", STATES_ITEM_READER)
    bucket = _text(parameters, "Bucket", STATES_ITEM_READER)
    if request.resource.endswith(":listObjectsV2"):
        return "list", bucket, _text(parameters, "Prefix", STATES_ITEM_READER, "")
    return "object", bucket, _text(parameters, "Key", STATES_ITEM_READER)


def export_place(request: WriteResults) -> tuple[str, str]:
    """The bucket for a map run's results, and its folder there. Raises StatedFailure."""
    bucket = _text(request.parameters, "Bucket", STATES_RESULT_WRITER)
    prefix = _text(request.parameters, "Prefix", STATES_RESULT_WRITER, "").strip("/")
    return bucket, f"{prefix}/{request.run_id}" if prefix else request.run_id


def _text(parameters: Json, name: str, error: str, default: str | None = None) -> str:
    value = parameters.get(name, default) if isinstance(parameters, dict) else None
    if not isinstance(value, str) or (not value and default is None):
        raise StatedFailure(error, f"The parameters have no {name} that is text")
    return value
