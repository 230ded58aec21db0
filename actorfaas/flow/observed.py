"""From what is kept of calls and executions to the whole document about the flow, as one function: it may take seconds,
so whoever asks for it calls it in another process."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from actorfaas.flow.diagnosis import diagnose
from actorfaas.flow.executions import of_execution
from actorfaas.flow.graph import graph_of
from actorfaas.flow.picture import picture
from actorfaas.flow.report import document
from actorfaas.flow.spans import of_call
from actorfaas.flow.tree import waits
from actorfaas.messages import Trace


def flow_of(kept: Trace, concurrency: Mapping[str, int], name: str, *, is_drawn: bool) -> bytes:
    """The document of `GET /v1/flow` as JSON: of everything, or of the workflow or function `name`. Drawn, it has the
    picture, too."""
    spans = [span for call in kept.calls for span in of_call(call)]
    spans += [span for one in kept.executions for span in of_execution(one)]
    forest = waits(spans)
    graph = graph_of(forest, name)
    diagnosis = diagnose(forest, concurrency, name)
    found = document(graph, diagnosis)
    if is_drawn:
        found["diagram"], found["left_out"] = picture(graph, diagnosis)
    return orjson.dumps(found)
