"""History as a list of visits to states."""

from __future__ import annotations

from actorfaas.http.visits import PREVIEW_BYTES, Visits
from actorfaas.messages import HistoryEvent
from tests.frontend_kit import task_event
from tests.http.shapes import check


def brief(events: list[HistoryEvent]) -> list[tuple[str, str, int]]:
    """Name, status and attempt of every visit."""
    return [(visit["name"], visit["status"], visit["attempt"]) for visit in Visits.of(events).all]


def test_outcomes_alone_make_visits() -> None:
    assert brief([task_event(1, "a"), task_event(2, "b", "TaskFailed")]) == [("a", "succeeded", 1), ("b", "failed", 1)]


def test_entered_state_is_running_until_its_outcome() -> None:
    entered = task_event(1, "a", "TaskStateEntered", worker_topic="", payload=b"1")
    assert brief([entered]) == [("a", "running", 1)]
    assert brief([entered, task_event(2, "a")]) == [("a", "succeeded", 1)]


def test_outcome_fills_in_who_ran_it_and_how_long() -> None:
    events = [task_event(1, "a", "TaskStateEntered", worker_topic=""), task_event(2, "a")]
    visit = Visits.of(events).all[0]
    check(visit, "StateVisit")
    assert (visit["worker"], visit["start_kind"]) == ("a@1_7", "resident")
    assert (visit["queue_ms"], visit["start_ms"], visit["run_ms"], visit["gap_ms"]) == (1.0, 2.0, 3.0, 4.0)
    assert visit["output"] == '{"state":true}'


def test_waiting_for_memory_is_apart_and_what_was_read_ahead_is_told() -> None:
    events = [
        task_event(1, "a", page_in_ns=900_000, page_in_lead_ns=2_050_000, page_in_bytes=4096),
        task_event(2, "b", page_in_ns=900_000, page_in_lead_ns=7_000_000, page_in_bytes=4096),
    ]
    waited, ahead = Visits.of(events).all
    assert (waited["queue_ms"], waited["page_in_ms"], waited["prefetch_ms"]) == (0.1, 0.9, 0.0)
    assert (ahead["queue_ms"], ahead["page_in_ms"], ahead["prefetch_ms"]) == (1.0, 0.0, 0.9)
    assert (waited["page_in_bytes"], ahead["page_in_bytes"]) == (4096, 4096)


def test_retry_is_one_visit_with_its_last_attempt() -> None:
    events = [
        task_event(1, "a", "TaskStateEntered"),
        task_event(2, "a", "TaskFailed", error_type="E"),
        task_event(3, "a", attempt=2),
    ]
    assert brief(events) == [("a", "succeeded", 2)]
    assert Visits.of(events).all[0]["error_type"] == ""


def test_loop_is_a_visit_each_time() -> None:
    events = [task_event(1, "a"), task_event(2, "b"), task_event(3, "a"), task_event(4, "b", "TaskTimedOut")]
    assert brief(events) == [("a", "succeeded", 1), ("b", "succeeded", 1), ("a", "succeeded", 1), ("b", "timed_out", 1)]


def test_state_without_a_task_succeeds_when_it_is_left() -> None:
    events = [task_event(1, "p", "PassStateEntered"), task_event(2, "p", "PassStateExited", payload=b"2")]
    assert brief(events) == [("p", "succeeded", 1)]
    assert Visits.of(events).all[0]["output"] == "2"


def test_events_of_the_execution_itself_are_no_visits() -> None:
    assert Visits.of([task_event(1, "", "ExecutionStarted"), task_event(2, "", "ExecutionSucceeded")]).all == []


def test_branches_that_run_at_once_do_not_mix() -> None:
    def event(seq: int, kind: str, branch: int, **changes: object) -> HistoryEvent:
        return task_event(seq, "a", kind, branch=branch, index=branch - 1, **changes)

    events = [
        task_event(1, "m", "MapStateEntered"),
        *(event(2 + branch, "TaskStateEntered", branch) for branch in (1, 2)),
        event(5, "TaskSucceeded", 2),
        task_event(6, "m", "MapIterationSucceeded", index=1),
        event(7, "TaskFailed", 1, error_type="E"),
        task_event(8, "m", "MapIterationFailed", index=0),
    ]
    visits = Visits.of(events).all
    assert [(one["name"], one["branch"], one["index"], one["status"]) for one in visits] == [
        *(("m", 0, None, "running"), ("a", 1, 0, "failed"), ("a", 2, 1, "succeeded")),
    ]


def test_long_output_is_cut_in_the_preview_even_inside_a_character() -> None:
    payload = b'"' + "ä".encode() * 500 + b'"'
    output = Visits.of([task_event(1, "a", payload=payload)]).all[0]["output"]
    assert output.endswith("ä…")
    assert len(output) <= PREVIEW_BYTES


def test_each_event_tells_which_visit_it_is_about() -> None:
    visits = Visits()
    events = [
        task_event(1, "", "ExecutionStarted"),
        task_event(2, "a", "TaskStateEntered"),
        task_event(3, "b", "TaskStateEntered", branch=1),
        task_event(4, "a"),
        task_event(5, "b", "TaskSubmitted", branch=1),
    ]
    assert [visits.add(event) for event in events] == [None, 0, 1, 0, None]
    assert visits.open() == [1]


def test_what_was_redriven_runs_again_in_the_same_visit() -> None:
    events = [
        task_event(1, "a", "TaskStateEntered", at_ms=10),
        task_event(2, "a", "TaskFailed", at_ms=20, error_type="E"),
        task_event(3, "a", "TaskStateRedriven", at_ms=50),
    ]
    (visit,) = Visits.of(events).all
    assert (visit["status"], visit["ended_at_ms"], visit["error_type"]) == ("running", None, "")
    (visit,) = Visits.of([*events, task_event(4, "a", at_ms=60)]).all
    assert (visit["status"], visit["entered_at_ms"], visit["ended_at_ms"]) == ("succeeded", 10, 60)


def test_a_page_does_not_show_what_began_before_it() -> None:
    events = [task_event(7, "a"), task_event(8, "b", "TaskStateEntered")]
    visits = Visits.of(events, is_first=False)
    assert [visit["name"] for visit in visits.all] == ["b"]
    visits.close([task_event(20, "b"), task_event(21, "c")])
    assert [(visit["name"], visit["status"]) for visit in visits.all] == [("b", "succeeded")]
