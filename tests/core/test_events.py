"""Events of an execution: what they say, and what is read from them again."""

from __future__ import annotations

import pytest

from actorfaas.core.events import WHOLE, added_in, added_of, event_type, sent_in
from actorfaas.core.history import History
from actorfaas.core.worker import PageIn
from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    AddedState,
    AppendHistory,
    CreateExecution,
    HistoryEvent,
    KeepMessage,
    KeptMessage,
    TaskEffects,
    TaskFailed,
    TaskFinished,
)
from actorfaas.states.engine import Entered, Exited, Failed, Noted
from actorfaas.states.model import task_of

PLACE = (3, 1)


def make(durability: str = "standard", last_seq: int = 0) -> History:
    create = CreateExecution("e1", "a", "shop", 1, "function", durability, 0, "", b"in")
    return History(create, created=True, last_seq=last_seq)


def noted(history: History) -> tuple[HistoryEvent, ...]:
    request = history.next_request(0)
    assert isinstance(request, AppendHistory)
    return request.events


def finished(delivered_ns: int = 0, started_ns: int = 0, ended_ns: int = 0, result: bytes = b"1") -> TaskFinished:
    times = delivered_ns, started_ns, ended_ns
    return TaskFinished("a@1_1", "t", "e1", "a", 2, "", "fork", *times, len(result), result)


def failed(delivered_ns: int, started_ns: int, ended_ns: int) -> TaskFailed:
    times = delivered_ns, started_ns, ended_ns
    return TaskFailed("a@1_1", "t", "e1", "a", 2, "fork", *times, "handler_error", "KeyError", "why", "")


def test_numbers_go_on_after_a_restart() -> None:
    history = make(last_seq=7)
    history.add(0, "A")
    assert [event.seq for event in noted(history)] == [8]


def test_a_result_says_where_its_time_went() -> None:
    history = make()
    history.add_result(5, 100, 7, finished(130, 150, 190), PLACE, (128, "span"), page_in=PageIn(20, 140, 4096))
    (event,) = noted(history)
    assert (event.queue_ns, event.start_ns, event.run_ns, event.gap_ns) == (30, 20, 40, 7)
    assert (event.page_in_ns, event.page_in_lead_ns, event.page_in_bytes) == (20, 10, 4096)
    assert (event.branch, event.index, event.memory_mb, event.span_id, event.payload) == (3, 1, 128, "span", b"1")


@pytest.mark.parametrize(
    ("error", "type_", "times", "expected"),
    [
        ("KeyError", "TaskFailed", (130, 150, 190), (30, 20, 40)),
        ("States.Timeout", "TaskTimedOut", (130, 150, 190), (30, 20, 40)),
        ("WorkerLost", "TaskFailed", (130, 0, 190), (30, 0, 0)),
        ("WorkerUnavailable", "TaskFailed", (0, 0, 190), (0, 0, 0)),
    ],
)
def test_a_failure_says_how_far_its_task_came(
    error: str, type_: str, times: tuple[int, int, int], expected: tuple[int, int, int]
) -> None:
    history = make()
    history.add_failure(5, 100, failed(*times), error, "why", PLACE, page_in=PageIn(20, 140, 4096))
    (event,) = noted(history)
    assert (event.type, event.error_type, event.error_message) == (type_, error, "why")
    assert (event.queue_ns, event.start_ns, event.run_ns) == expected
    assert event.page_in_ns == (20 if times[1] else 0), "nothing was read back for a handler that never started"


def test_a_message_is_read_as_it_was_sent() -> None:
    history = make()
    kept = history.add_message(0, task_of("a"), 1, KeepMessage("e1", "t", "b", 2, b'{"n":1}'), PLACE)
    (event,) = noted(history)
    assert sent_in(event) == kept == KeptMessage(1, "b", 2, b'{"n":1}')


def test_states_that_a_task_adds_are_read_as_they_were_given() -> None:
    added = added_of(TaskEffects((AddedState("b", b'{"n":1}'), AddedState("c", b"2")), b""))
    history = make()
    history.add_next(0, finished(), PLACE, added)
    (event,) = noted(history)
    assert added_in(event.payload) == added == (("b", b'{"n":1}'), ("c", b"2"))
    assert added_in(b"") == (), "an express execution keeps no payloads"


def test_an_input_of_an_added_state_that_is_not_json_is_refused() -> None:
    with pytest.raises(RequestRefused, match="not JSON"):
        added_of(TaskEffects((AddedState("b", b"{"),), b""))


def test_of_express_executions_no_result_is_kept() -> None:
    history = make("express")
    history.add_result(0, 0, 0, finished(), WHOLE)
    assert history.pending_bytes == 0


def test_what_the_engine_decides_is_called_as_in_step_functions() -> None:
    decided = (
        Entered(0, "a", "Pass", b"1"),
        Exited(0, "a", "Pass", b"1", ""),
        Failed(0, "a", "Map", "E", "why", caught=False),
        Noted(0, "MapIterationStarted", "m"),
    )
    types = [event_type(one) for one in decided]
    assert types == ["PassStateEntered", "PassStateExited", "MapStateFailed", "MapIterationStarted"]
