"""Items and results of Map states that are in stores: what is asked for, and how a state goes on with the answers.

Reading and writing are left to who runs the execution; formats are `states.item_reader`'s and `states.map_results`'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import orjson

from actorfaas.states.branches import Branch, Gathering, Item
from actorfaas.states.document import Document
from actorfaas.states.errors import StatesError
from actorfaas.states.instructions import ReadItems, WriteResults
from actorfaas.states.item_reader import item_limit
from actorfaas.states.map_results import Part, transformed
from actorfaas.states.model import Map, Reader
from actorfaas.states.queries import QueryTemplate
from actorfaas.states.run import Run
from actorfaas.states.scope import Json
from actorfaas.states.steps import finish
from actorfaas.states.templates import Template

Pending = Callable[[], Iterator[Document]]
"""Gives the inputs of the iterations that did not begin."""


def filled(
    run: Run, branch: Branch, template: Template | QueryTemplate, chosen: Json, item: Item | None = None
) -> Json:
    """A template of a Map state, for one of its items or for the whole."""
    frame = run.frame(branch, item)
    if isinstance(template, QueryTemplate):
        return template.evaluate(frame.queries())
    return template.fill(frame.paths(chosen))


def _parameters(run: Run, branch: Branch, template: Template | QueryTemplate | None, gathering: Gathering) -> Json:
    return {} if template is None else filled(run, branch, template, gathering.chosen)


# --- items ---------------------------------------------------------------------------------------------------------


def ask_for_items(run: Run, branch: Branch, state: Map, reader: Reader, gathering: Gathering) -> None:
    """Ask for what the state's ItemReader names."""
    most = 0.0 if reader.max_items is None else reader.max_items.value(run.frame(branch), gathering.chosen)
    parameters = _parameters(run, branch, reader.parameters, gathering)
    request = ReadItems(branch.number, state.name, reader.resource, parameters, reader.config, item_limit(most))
    branch.request, branch.waits = request, "reader"
    run.done.append(request)


def begin(run: Run, branch: Branch, gathering: Gathering, items: Sequence[Json] | dict[str, Json]) -> None:
    """The items are there: iterations can begin."""
    if isinstance(items, dict):
        gathering.keys, items = list(items), list(items.values())
    gathering.items = items
    branch.waits = "children"
    run.ready.append(branch)


# --- results -------------------------------------------------------------------------------------------------------


def keeps_children(state: Map) -> bool:
    """Whether the results of a state need data about its executions."""
    writer = state.writer
    return writer is not None and (bool(writer.resource) or writer.transformation == "NONE")


def end_map(run: Run, branch: Branch, state: Map, gathering: Gathering) -> None:
    """Every iteration has ended: the state does, too, or its results are to be written first."""
    writer, map_run = state.writer, gathering.map_run
    if writer is None:
        lines = iter(gathering.results)
    elif writer.resource:
        export(run, branch, state, gathering, lambda: iter(()))
        return
    elif map_run is not None and writer.transformation == "NONE":
        records = (map_run.record(index, child) for index, child in enumerate(map_run.children))
        lines = (Document.of(record).text for record in records)
    else:
        lines = (line for result in gathering.results for line in transformed(result, writer.transformation))
    _succeed(run, branch, state, gathering, b"[" + b",".join(lines) + b"]")


def export(run: Run, branch: Branch, state: Map, gathering: Gathering, pending: Pending) -> None:
    """Ask for the results to be written."""
    writer, map_run = state.writer, gathering.map_run
    if writer is None or map_run is None:
        raise ValueError(f"state {state.name!r} writes no results")

    def parts() -> Iterator[Part]:
        return map_run.parts(writer.transformation, pending())

    branch.waits, gathering.is_written = "", True
    parameters = _parameters(run, branch, writer.parameters, gathering)
    request = WriteResults(
        branch.number,
        state.name,
        writer.resource,
        parameters,
        writer.output_type,
        map_run.run_id,
        map_run.arn,
        parts,
    )
    branch.request, branch.waits = request, "writer"
    run.done.append(request)


def results_written(run: Run, branch: Branch, state: Map, place: bytes) -> None:
    """The results of a Map state are where they should be. Raises StatesError where they were of one that fails."""
    gathering = branch.gathering
    if gathering is None or gathering.map_run is None:
        raise ValueError(f"state {state.name!r} writes no results")
    if gathering.failure is not None:
        raise gathering.failure
    result = {"MapRunArn": gathering.map_run.arn, "ResultWriterDetails": Document(place).value}
    _succeed(run, branch, state, gathering, orjson.dumps(result))


def run_details(gathering: Gathering) -> bytes:
    """What is recorded at the end of a map run: what it is called, and what became of its items."""
    counts = gathering.counts()
    counts["aborted"] = counts.pop("running")
    arn = "" if gathering.map_run is None else gathering.map_run.arn
    return orjson.dumps({"MapRunArn": arn, "ItemCounts": counts})


def note_run_failed(run: Run, branch: Branch, state: Map, gathering: Gathering, error: StatesError) -> None:
    """Record that a map run failed."""
    run.note(branch, "MapRunFailed", state.name, error=error, payload=run_details(gathering))


def _succeed(run: Run, branch: Branch, state: Map, gathering: Gathering, result: bytes) -> None:
    branch.gathering, branch.waits = None, ""
    if state.is_distributed:
        run.note(branch, "MapRunSucceeded", state.name, payload=run_details(gathering))
    run.note(branch, "MapStateSucceeded", state.name)
    finish(run, branch, state.flow, state.next, Document(result))
