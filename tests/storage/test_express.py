"""Express executions in memory: the same rules as standard ones, bounds, and their way to the database."""

from __future__ import annotations

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.storage.express import ExpressExecutions
from tests.storage.samples import append, create, event, finish


def test_from_start_to_end() -> None:
    express = ExpressExecutions()
    express.create(create("ex_1", durability="express"), 10)
    express.append(append("ex_1", event(2, b"first")))
    express.append(append("ex_1", event(2, b"second"), event(1)))
    express.finish(finish("ex_1", b"out", event(3)), 20)
    express.finish(finish("ex_1", b"late", event(4), status="failed"), 30)
    state = express.get("ex_1")
    assert state is not None
    assert (state.status, state.payload, state.started_at_ms, state.ended_at_ms) == ("succeeded", b"out", 10, 20)
    assert state.events == (event(1), event(2, b"first"), event(3))


def test_ended_ones_wait_in_order_until_written() -> None:
    express = ExpressExecutions()
    for number in range(4):
        express.create(create(f"ex_{number}"), 1)
    for number in (2, 0, 3):
        express.finish(finish(f"ex_{number}"), 2)
    assert [request.execution_id for request, _ in express.next_ended(2)] == ["ex_2", "ex_0"]
    express.written("ex_2")
    assert [request.execution_id for request, _ in express.next_ended(9)] == ["ex_0", "ex_3"]
    assert express.get("ex_2") is None
    assert "ex_1" in express
    assert express.ended == 2


def test_the_number_running_is_bounded() -> None:
    express = ExpressExecutions(running_limit=2)
    express.create(create("ex_0"), 1)
    express.create(create("ex_1"), 1)
    with pytest.raises(RequestRefused, match="overloaded"):
        express.create(create("ex_2"), 1)
    express.finish(finish("ex_0"), 2)
    express.create(create("ex_2"), 1)
    with pytest.raises(RequestRefused, match="conflict"):
        express.create(create("ex_1"), 1)


def test_the_bytes_held_are_bounded() -> None:
    express = ExpressExecutions(bytes_limit=100)
    express.create(create("ex_0", b"x" * 60), 1)
    express.append(append("ex_0", event(1, b"x" * 20)))
    express.finish(finish("ex_0", b"x" * 20), 2)
    with pytest.raises(RequestRefused, match="overloaded"):
        express.create(create("ex_1"), 1)
    express.written("ex_0")
    express.create(create("ex_1"), 1)


def test_what_the_disk_does_not_take_is_forgotten_oldest_first() -> None:
    express = ExpressExecutions()
    for number in range(5):
        express.create(create(f"ex_{number}"), 1)
        express.finish(finish(f"ex_{number}"), 2)
    assert express.trim(2) == 3
    assert [request.execution_id for request, _ in express.next_ended(9)] == ["ex_3", "ex_4"]
    assert express.trim(2) == 0


def test_input_is_there_while_the_execution_is() -> None:
    express = ExpressExecutions()
    express.create(create("ex_1", b"in"), 1)
    assert express.input_of("ex_1") == b"in"
    express.finish(finish("ex_1"), 2)
    express.written("ex_1")
    assert express.input_of("ex_1") is None
