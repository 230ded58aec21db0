"""The document about the flow, from what is kept."""

from __future__ import annotations

import orjson

from actorfaas.flow.observed import flow_of
from actorfaas.messages import Trace
from tests.flow.kit import History


def test_memory_that_was_read_ahead_has_no_part_in_it() -> None:
    documents = []
    for page_in in (0, 10):
        history = History()
        history.task(156, "b", run=5, page_in=page_in, lead=6)
        documents.append(orjson.loads(flow_of(Trace((), (history.ended(),)), {}, "", is_drawn=False)))
    assert documents[0] == documents[1]
