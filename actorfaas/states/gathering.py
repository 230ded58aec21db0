"""Parallel and Map states: beginning their children, and putting together what came of them.

Owns how many children run at once, their inputs, batches of items, and which failures are tolerated. A child is a
branch like any other; running it is the engine's business. Items and results in stores are `states.map_data`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import orjson

from actorfaas.states.branches import Branch, Gathering, Item
from actorfaas.states.data_flow import QueryFlow
from actorfaas.states.document import Document
from actorfaas.states.errors import (
    STATES_EXCEED_TOLERATED_FAILURES,
    STATES_QUERY_EVALUATION,
    STATES_RUNTIME,
    StatedFailure,
    StatesError,
)
from actorfaas.states.map_data import ask_for_items, begin, end_map, export, filled, keeps_children
from actorfaas.states.model import Map, Parallel, Task
from actorfaas.states.paths import Path
from actorfaas.states.queries import QueryTemplate, type_name
from actorfaas.states.run import NS_PER_MS, Run
from actorfaas.states.scope import Json
from actorfaas.states.settings import Number
from actorfaas.states.steps import finish

INLINE_LIMIT = 40
"""How many iterations of an inline Map state run at once where MaxConcurrency does not say less (as on AWS)."""
DISTRIBUTED_LIMIT = 1_000
"""How many executions of a distributed Map state run at once where MaxConcurrency does not say otherwise."""


def start_parallel(run: Run, branch: Branch, state: Parallel) -> None:
    """Begin all branches."""
    document = branch.input()
    if state.flow.computes_input:
        document = Document.of(state.flow.effective(run.frame(branch)))
    branch.count(1)
    run.note(branch, "ParallelStateStarted", state.name)
    gathering = Gathering(limit=len(state.branches), results=[b""] * len(state.branches))
    branch.gathering = gathering
    branch.waits = "children"
    for index, machine in enumerate(state.branches):
        child = run.open(branch, machine, index, None, apart=False)
        child.take(document)
        gathering.running[child.number] = child
        run.ready.append(child)


def start_map(run: Run, branch: Branch, state: Map) -> None:
    """Find the items, and begin as many iterations as may run at once."""
    frame = run.frame(branch)
    chosen = state.flow.chosen(frame)
    items = () if state.reader is not None else items_of(run, branch, state, chosen)
    branch.count(1)
    run.note(branch, "MapStateStarted", state.name, len(items))
    gathering = limits_of(run, branch, state, chosen)
    if state.is_distributed:
        gathering.map_run = run.map_run(branch, state.label or state.name)
        gathering.keeps_children = keeps_children(state)
        details = orjson.dumps({"MapRunArn": gathering.map_run.arn})
        run.note(branch, "MapRunStarted", state.name, payload=details)
    branch.gathering = gathering
    if state.reader is not None:
        ask_for_items(run, branch, state, state.reader, gathering)
    else:
        begin(run, branch, gathering, items)


def items_of(run: Run, branch: Branch, state: Map, chosen: Json) -> Json:
    """A Map state's items where they are in its input: a list, or of a distributed one an object."""
    frame = run.frame(branch)
    if isinstance(state.items, QueryTemplate):
        found = state.items.evaluate(frame.queries(), "" if state.is_distributed else "array")
    elif isinstance(state.items, Path):
        found = state.items.find(frame.paths(chosen))
    else:
        found = chosen
    if isinstance(found, list) or (state.is_distributed and isinstance(found, dict)):
        return found
    if isinstance(state.items, Path):
        raise StatesError(STATES_RUNTIME, f'Reference path "{state.items.text}" must point to array.')
    error = STATES_QUERY_EVALUATION if isinstance(state.flow, QueryFlow) else STATES_RUNTIME
    raise StatesError(error, f"Map state input must be an array but was: {type_name(found)}")


def limits_of(run: Run, branch: Branch, state: Map, chosen: Json) -> Gathering:
    """How many iterations may run at once, and how many may fail."""
    frame = run.frame(branch)

    def number(setting: Number | None) -> float | None:
        return None if setting is None else setting.value(frame, chosen)

    most = INLINE_LIMIT if not state.is_distributed else DISTRIBUTED_LIMIT
    wanted = int(number(state.max_concurrency) or 0)
    limit = (wanted if state.is_distributed else min(wanted, most)) or most
    percentage, count = number(state.tolerated_percentage), number(state.tolerated_count)
    if count is None:
        count = 0.0 if percentage is None else float("inf")
    return Gathering(
        limit=limit,
        chosen=chosen,
        tolerated_count=count,
        tolerated_percentage=float("inf") if percentage is None else percentage,
    )


# --- iterations ----------------------------------------------------------------------------------------------------


def collect(run: Run, branch: Branch) -> None:
    """Begin further iterations where there is room, and end the state where nothing is left to do."""
    gathering, state = branch.gathering, branch.state
    if gathering is None:
        return
    if isinstance(state, Map):
        if gathering.failure is not None:
            run.abort(gathering)
            export(run, branch, state, gathering, partial(_remaining, run, branch, state, gathering))
            return
        while len(gathering.running) < gathering.limit and _begin_next(run, branch, state, gathering):
            pass
    if gathering.running:
        return
    if isinstance(state, Map):
        end_map(run, branch, state, gathering)
    elif isinstance(state, Parallel | Task):
        branch.gathering, branch.waits = None, ""
        finish(run, branch, state.flow, state.next, Document(b"[" + b",".join(gathering.results) + b"]"))


def _begin_next(run: Run, branch: Branch, state: Map, gathering: Gathering) -> bool:
    """Begin one iteration; False: there is none left."""
    run.check_pace()
    found = _next_input(run, branch, state, gathering)
    if found is None:
        return False
    item, document, weight = found
    index = len(gathering.results)
    if not state.is_distributed:
        run.note(branch, "MapIterationStarted", state.name, index)
    child = run.open(branch, state.processor, index, item, apart=state.is_distributed)
    child.take(document)
    if state.is_distributed:
        child.execution = partial(run.execution_for, branch, document)
    gathering.began(child.number, document, weight, run.now_ns // NS_PER_MS)
    gathering.running[child.number] = child
    run.ready.append(child)
    return True


def _next_input(run: Run, branch: Branch, state: Map, gathering: Gathering) -> tuple[Item | None, Document, int] | None:
    """What the next iteration is for: its item (None: a batch), its input, and how many items that are."""
    if state.batcher is not None:
        batch = _batch(run, branch, state, gathering)
        return (None, _batch_input(run, branch, state, gathering, batch), len(batch)) if batch else None
    if gathering.taken == len(gathering.items):
        return None
    item = _next_item(gathering)
    return item, Document.of(_selected(run, branch, state, gathering, item)), 1


def _remaining(run: Run, branch: Branch, state: Map, gathering: Gathering) -> Iterator[Document]:
    """The inputs of the iterations that will not begin, as far as they can be made."""
    rest = replace(gathering)
    try:
        while (found := _next_input(run, branch, state, rest)) is not None:
            yield found[1]
    except StatesError:
        return


def _next_item(gathering: Gathering) -> Item:
    index = gathering.taken
    gathering.taken += 1
    return Item(index, gathering.items[index], None if gathering.keys is None else gathering.keys[index])


def _selected(run: Run, branch: Branch, state: Map, gathering: Gathering, item: Item) -> Json:
    """What an iteration gets for an item."""
    if state.selector is not None:
        return filled(run, branch, state.selector, gathering.chosen, item)
    return item.value if item.key is None else {"Key": item.key, "Value": item.value}


def _batch(run: Run, branch: Branch, state: Map, gathering: Gathering) -> list[Json]:
    """The items of the next batch; [] where there are none left. One that is too large alone is a batch alone."""
    frame = run.frame(branch)
    batcher = state.batcher
    bounds = (None, None) if batcher is None else (batcher.max_items, batcher.max_bytes)
    most, most_bytes = (0 if one is None else one.value(frame, gathering.chosen) for one in bounds)
    batch: list[Json] = []
    size = 0
    while gathering.held is not None or gathering.taken < len(gathering.items):
        if gathering.held is not None:
            (value,), gathering.held = gathering.held, None
        else:
            value = _selected(run, branch, state, gathering, _next_item(gathering))
        size += len(Document.of(value).text) if most_bytes else 0
        if batch and most_bytes and size > most_bytes:
            gathering.held = (value,)
            break
        batch.append(value)
        if len(batch) == most:
            break
    return batch


def _batch_input(run: Run, branch: Branch, state: Map, gathering: Gathering, batch: list[Json]) -> Document:
    if state.batcher is None or state.batcher.batch_input is None:
        return Document.of({"Items": batch})
    given = filled(run, branch, state.batcher.batch_input, gathering.chosen)
    return Document.of({"BatchInput": given, "Items": batch})


def child_succeeded(run: Run, child: Branch, parent: Branch, gathering: Gathering) -> None:
    """A child came to its end."""
    gathering.ended(child.index, child.input().text, run.now_ns // NS_PER_MS)
    state = parent.state
    if isinstance(state, Map) and not state.is_distributed:
        run.note(parent, "MapIterationSucceeded", state.name, child.index)
    _drop(run, child, parent, gathering)


def child_failed(
    run: Run, child: Branch, parent: Branch, gathering: Gathering, error: StatesError
) -> StatesError | None:
    """A child failed: the error of its parent's state, or None where that is tolerated."""
    state = parent.state
    weight = gathering.weights.get(child.number, 1)
    result = orjson.dumps({"Error": error.error, "Cause": error.cause})
    gathering.ended(child.index, result, run.now_ns // NS_PER_MS, error)
    if isinstance(state, Map) and not state.is_distributed:
        run.note(parent, "MapIterationFailed", state.name, child.index)
    _drop(run, child, parent, gathering)
    if not isinstance(state, Map) or not state.is_distributed:
        return error
    gathering.failures += weight
    if not gathering.exceeds():
        return None
    if state.writer is None or not state.writer.resource:
        return too_many_failures()
    gathering.failure = too_many_failures()  # once what there is has been written
    return None


def too_many_failures() -> StatesError:
    """The error of a distributed Map state of which more has failed than is tolerated."""
    return StatedFailure(STATES_EXCEED_TOLERATED_FAILURES, "The specified tolerated failure threshold was exceeded")


def _drop(run: Run, child: Branch, parent: Branch, gathering: Gathering) -> None:
    del gathering.running[child.number]
    gathering.weights.pop(child.number, None)
    run.close(child)
    run.ready.append(parent)
