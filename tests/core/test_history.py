"""The way of an execution's history to the DataLayer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorfaas.core import history
from actorfaas.core.history import History
from actorfaas.messages import AppendHistory, CreateExecution, FinishExecution, Message, RecordExecution, TaskFinished

FINISHED = TaskFinished("a@1_1", "t", "e1", "a", 1, "", "fork", 0, 0, 0, 0, b"")


def make(durability: str = "standard", created: bool = False, delay_ns: int = 0) -> History:
    create = CreateExecution("e1", "a", "shop", 1, "function", durability, 0, "", b"in")
    return History(create, created=created, delay_ns=delay_ns)


def events(request: Message | None) -> list[int]:
    assert isinstance(request, AppendHistory | FinishExecution)
    return [event.seq for event in request.events]


def test_one_request_is_under_way_and_what_comes_meanwhile_is_gathered() -> None:
    one = make()
    one.add(0, "ExecutionStarted")
    assert isinstance(one.next_request(0), CreateExecution)
    one.add(0, "TaskStateEntered", "a")
    assert one.next_request(0) is None
    one.confirmed()
    assert events(one.next_request(0)) == [1, 2]
    one.add(0, "TaskStateExited", "a")
    one.confirmed()
    one.end("succeeded", "", "", b"out")
    finish = one.next_request(0)
    assert events(finish) == [3]
    assert one.is_finishing
    one.confirmed()
    assert (one.next_request(0), one.is_busy, one.pending_bytes) == (None, False, 0)


def test_a_failed_request_is_sent_again_with_what_came_since() -> None:
    one = make(created=True)
    one.add(0, "A")
    assert events(one.next_request(0)) == [1]
    assert one.failed("unavailable")
    assert one.is_stalled
    one.add(0, "B")
    assert events(one.next_request(0)) == [1, 2]
    assert not one.is_stalled


def test_express_executions_append_nothing() -> None:
    one = make("express")
    one.add(0, "A")
    assert isinstance(one.next_request(0), CreateExecution)
    one.confirmed()
    assert one.next_request(0) is None
    one.end("failed", "E", "why", b"")
    assert events(one.next_request(0)) == [1]


def test_an_express_execution_that_the_data_layer_forgot_is_made_again() -> None:
    one = make("express", created=True)
    one.end("succeeded", "", "", b"1")
    assert isinstance(one.next_request(0), FinishExecution)
    assert one.failed("not_found")
    assert isinstance(one.next_request(0), RecordExecution)


def test_an_id_of_somebody_else_is_given_up_but_not_ones_own() -> None:
    stranger = make()
    stranger.next_request(0)
    assert not stranger.failed("conflict")
    own = make()
    own.next_request(0)
    assert own.failed("unavailable")
    own.next_request(0)
    assert own.failed("conflict"), "the first try had arrived"
    own.add(0, "A")
    assert isinstance(own.next_request(0), AppendHistory)


def test_a_standard_history_that_is_gone_is_given_up() -> None:
    one = make(created=True)
    one.add(0, "A")
    one.next_request(0)
    assert not one.failed("not_found")


def test_large_outputs_travel_in_requests_of_bounded_size() -> None:
    one = make(created=True)
    for _ in range(3):
        one.add(0, "PassStateExited", "p", payload=b"x" * (history.BATCH_BYTES // 2 + 1))
    assert events(one.next_request(0)) == [1]
    assert one.confirmed() == history.BATCH_BYTES // 2 + 1
    assert events(one.next_request(0)) == [2]


def test_the_bytes_that_wait_are_counted() -> None:
    one = make(created=True)
    one.add(0, "PassStateExited", "p", payload=b"12345")
    one.end("succeeded", "", "", b"123")
    assert one.pending_bytes == 8
    one.next_request(0)
    one.confirmed()
    assert one.pending_bytes == 0


def test_the_first_event_of_a_batch_waits_for_others() -> None:
    one = make(created=True, delay_ns=5)
    one.add(0, "A")
    assert (one.next_request(100), one.due_ns) == (None, 105)
    one.add(0, "B")
    assert one.next_request(104) is None
    assert events(one.next_request(105)) == [1, 2]
    one.confirmed()
    one.add(0, "C")
    assert (one.next_request(106), one.due_ns) == (None, 111), "the next batch waits anew"


def test_an_execution_that_ends_while_it_waits_is_recorded_whole() -> None:
    one = make(delay_ns=5)
    one.add(0, "A")
    assert one.next_request(100) is None
    one.end("succeeded", "", "", b"out")
    whole = one.next_request(101)
    assert isinstance(whole, RecordExecution)
    assert (whole.create.payload, events(whole.finish), whole.finish.payload) == (b"in", [1], b"out")
    assert one.is_finishing
    one.confirmed()
    assert (one.next_request(200), one.pending_bytes, one.is_busy) == (None, 0, False)


def test_a_whole_that_was_not_recorded_is_sent_again() -> None:
    one = make(delay_ns=5)
    one.end("succeeded", "", "", b"out")
    first = one.next_request(0)
    assert one.failed("unavailable")
    assert one.is_stalled
    assert one.next_request(1) == first


def test_a_large_execution_goes_in_parts_and_at_once() -> None:
    one = make(delay_ns=5)
    one.add(0, "PassStateExited", "p", payload=b"x" * (history.RECORD_BYTES + 1))
    assert isinstance(one.next_request(0), CreateExecution)


def test_what_a_caller_was_promised_is_created_at_once() -> None:
    create = CreateExecution("e1", "a", "shop", 1, "function", "standard", 0, "", b"in")
    one = History(create, created=False, delay_ns=5, create_at_once=True)
    one.add(0, "A")
    assert one.next_request(0) == create
    one.confirmed()
    assert one.next_request(0) is None, "what follows may wait"


@pytest.mark.parametrize("parts", ["added", "received", "both"])
@pytest.mark.parametrize("before", [0, history.BATCH_EVENTS - 1])
def test_what_belongs_to_a_success_travels_with_it(before: int, parts: str) -> None:
    one = make(created=True)
    for _ in range(before):
        one.add(0, "A")
    if parts != "received":
        one.add_next(0, FINISHED, (0, -1), (("b", b"1"),))
    if parts != "added":
        one.add_received(0, FINISHED, (0, -1), [1, 2])
    one.add_result(0, 0, 0, replace(FINISHED, payload=b"x" * history.BATCH_BYTES), (0, -1))
    sent: list[int] = []
    while (request := one.next_request(0)) is not None:
        sent.append(len(events(request)))
        one.confirmed()
    whole = 3 if parts == "both" else 2
    assert sent == ([before, whole] if before else [whole])
