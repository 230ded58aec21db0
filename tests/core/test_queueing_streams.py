"""Streamed responses: credit, callers who do not read, no second beginning."""

from __future__ import annotations

import pytest

from actorfaas.core.queue import Close, Reading
from actorfaas.core.queue.records import STREAM_WINDOW_BYTES
from actorfaas.messages import (
    InvocationChunk,
    InvocationFailed,
    InvocationResult,
    LeaseExpired,
    TaskCredit,
)
from tests.core.queueing_rig import Rig, S


def test_pieces_of_a_stream_reach_the_caller_within_its_credit() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", stream=True)
    assert rig.task_of("w").credit == 16
    for piece in range(16):
        rig.yields("w", "r", b"%d" % piece)
    assert [chunk.payload for chunk in rig.all(InvocationChunk, rig.frontend)] == [b"%d" % i for i in range(16)]
    rig.credit("r", 2)
    assert rig.one(TaskCredit, rig.connections["w"]) == TaskCredit("r", 2)
    rig.yields("w", "r")
    rig.yields("w", "r")
    rig.returns("w", "r")
    assert rig.one(InvocationResult).chunks == 18
    rig.credit("r", 2)
    assert rig.none(TaskCredit)


def test_a_worker_that_streams_beyond_its_credit_breaks_its_rights() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", stream=True)
    for _ in range(17):
        if rig.state_of("w") is not None:
            rig.yields("w", "r")
    rig.one(Close, rig.connections["w"])
    assert rig.one(InvocationFailed).reason == "worker_lost"


def test_credit_never_exceeds_what_may_be_under_way() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", stream=True)
    rig.yields("w", "r")
    rig.credit("r", 1000)
    assert rig.one(TaskCredit).chunks == 1
    rig.credit("r", -5)
    assert rig.none(TaskCredit)


def test_a_stream_that_has_begun_is_not_begun_again() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", stream=True, attempts=3)
    rig.yields("w", "r")
    rig.raises("w", "r")
    assert rig.one(InvocationFailed).attempt == 1


def test_a_stream_nobody_reads_runs_to_its_end() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", stream=True)
    for _ in range(16):
        rig.yields("w", "r")
    rig.all(InvocationChunk)
    rig.cancel("r")
    assert rig.one(TaskCredit).chunks == 16
    rig.yields("w", "r")
    assert rig.one(TaskCredit).chunks == 1
    assert rig.none(InvocationChunk)
    rig.returns("w", "r")
    assert rig.none(Close)
    rig.one(InvocationResult)


def test_a_stream_whose_publisher_is_gone_is_ended() -> None:
    """Its worker would go on for nobody, until the deadline of a generator without end."""
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", stream=True)
    rig.yields("w", "r")
    rig.publisher_gone()
    assert rig.one(LeaseExpired).request_id == "r"
    assert not rig.core.has_requests


def test_large_pieces_are_left_with_the_worker_until_the_caller_took_what_came_before() -> None:
    rig = Rig()
    rig.declare()
    connection = rig.worker("w", "f@1")
    rig.publish("r", stream=True)
    half = b"x" * (STREAM_WINDOW_BYTES // 2)
    rig.yields("w", "r", half)
    rig.yields("w", "r", half)
    assert rig.none(Reading)
    rig.yields("w", "r", b"x")
    assert rig.one(Reading, connection) == Reading(False)
    rig.yields("w", "r", b"what was read already")
    rig.credit("r", 1)
    assert rig.one(Reading, connection) == Reading(True)
    assert rig.one(TaskCredit, connection).chunks == 1


@pytest.mark.parametrize("end", ["result", "deadline", "cancelled", "killed", "lost"])
def test_a_worker_that_was_held_back_is_heard_again_after_the_end_of_its_stream(end: str) -> None:
    rig = Rig()
    rig.declare()
    connection = rig.worker("w", "f@1")
    rig.publish("r", stream=True, timeout_ns=S)
    rig.yields("w", "r", b"x" * (STREAM_WINDOW_BYTES + 1))
    assert rig.one(Reading, connection) == Reading(False)
    match end:
        case "result":
            rig.returns("w", "r")
        case "deadline":
            rig.passes(2 * S)
        case "cancelled" | "killed":
            rig.cancel("r", kill=end == "killed")
        case "lost":
            rig.disconnects("w")
            rig.exited("w")
    assert rig.one(Reading, connection) == Reading(True)
