"""History as a list of visits to states, and what is shown of settings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorfaas.http import render
from actorfaas.messages import HistoryEvent
from tests.frontend_kit import execution_state, task_event
from tests.http.shapes import check


def brief(events: list[HistoryEvent]) -> list[tuple[str, str, int]]:
    """Name, status and attempt of every visit."""
    return [(visit["name"], visit["status"], visit["attempt"]) for visit in render.states(events)]


def test_outcomes_alone_make_visits() -> None:
    assert brief([task_event(1, "a"), task_event(2, "b", "TaskFailed")]) == [("a", "succeeded", 1), ("b", "failed", 1)]


def test_entered_state_is_running_until_its_outcome() -> None:
    entered = task_event(1, "a", "TaskStateEntered", worker_topic="", payload=b"1")
    assert brief([entered]) == [("a", "running", 1)]
    assert brief([entered, task_event(2, "a")]) == [("a", "succeeded", 1)]


def test_outcome_fills_in_who_ran_it_and_how_long() -> None:
    events = [task_event(1, "a", "TaskStateEntered", worker_topic=""), task_event(2, "a")]
    visit = render.states(events)[0]
    check(visit, "StateVisit")
    assert (visit["worker"], visit["start_kind"]) == ("a@1_7", "resident")
    assert (visit["queue_ms"], visit["start_ms"], visit["run_ms"], visit["gap_ms"]) == (1.0, 2.0, 3.0, 4.0)
    assert visit["output"] == '{"state":true}'


def test_a_visit_has_the_instants_of_its_beginning_and_end() -> None:
    def instants(events: list[HistoryEvent], status: str = "running") -> list[tuple[int, int | None]]:
        document = render.execution(execution_state("exe_1", status, events=tuple(events)))
        return [(visit["entered_at_ms"], visit["ended_at_ms"]) for visit in document["states"]]

    entered, left = task_event(1, "a", "TaskStateEntered", at_ms=10), task_event(2, "a", at_ms=30)
    assert instants([entered]) == [(10, None)]
    assert instants([entered, left]) == [(10, 30)]
    assert [visit["seq"] for visit in render.states([entered, left])] == [1]
    passing = [task_event(1, "p", "PassStateEntered", at_ms=10), task_event(2, "p", "PassStateExited", at_ms=20)]
    assert instants(passing) == [(10, 20)]
    assert instants([entered], "cancelled") == [(10, 1_700_000_000_250)], "it ended with its execution"
    retried = task_event(3, "a", attempt=2, at_ms=40)
    assert instants([entered, task_event(2, "a", "TaskFailed", at_ms=20), retried]) == [(10, 40)]


def test_retry_is_one_visit_with_its_last_attempt() -> None:
    events = [
        task_event(1, "a", "TaskStateEntered"),
        task_event(2, "a", "TaskFailed", error_type="E"),
        task_event(3, "a", attempt=2),
    ]
    assert brief(events) == [("a", "succeeded", 2)]
    assert render.states(events)[0]["error_type"] == ""


def test_loop_is_a_visit_each_time() -> None:
    events = [task_event(1, "a"), task_event(2, "b"), task_event(3, "a"), task_event(4, "b", "TaskTimedOut")]
    assert brief(events) == [("a", "succeeded", 1), ("b", "succeeded", 1), ("a", "succeeded", 1), ("b", "timed_out", 1)]


def test_state_without_a_task_succeeds_when_it_is_left() -> None:
    events = [task_event(1, "p", "PassStateEntered"), task_event(2, "p", "PassStateExited", payload=b"2")]
    assert brief(events) == [("p", "succeeded", 1)]
    assert render.states(events)[0]["output"] == "2"


def test_events_of_the_execution_itself_are_no_visits() -> None:
    assert render.states([task_event(1, "", "ExecutionStarted"), task_event(2, "", "ExecutionSucceeded")]) == []


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
    visits = render.states(events)
    assert [(one["name"], one["branch"], one["index"], one["status"]) for one in visits] == [
        *(("m", 0, None, "running"), ("a", 1, 0, "failed"), ("a", 2, 1, "succeeded")),
    ]


def test_long_output_is_cut_in_the_preview_even_inside_a_character() -> None:
    payload = b'"' + "ä".encode() * 500 + b'"'
    output = render.states([task_event(1, "a", payload=payload)])[0]["output"]
    assert output.endswith("ä…")
    assert len(output) <= render.PREVIEW_BYTES


EVENT_TYPES = ["TaskStateEntered", "TaskSucceeded", "TaskFailed", "TaskTimedOut", "TaskStateExited", "Odd"]


@given(
    st.lists(
        st.builds(
            task_event,
            st.integers(1, 100),
            st.sampled_from(["a", "b", ""]),
            st.sampled_from(EVENT_TYPES),
            attempt=st.integers(1, 3),
        )
    )
)
def test_any_history_can_be_shown(events: list[HistoryEvent]) -> None:
    shown = render.execution(execution_state("exe_1", events=tuple(events)))
    for visit in shown["states"]:
        check(visit, "StateVisit")
        assert visit["status"] in ("running", "succeeded", "failed", "timed_out")
    assert len(shown["states"]) <= sum(1 for event in events if event.state)


def test_state_that_was_cut_off_ended_as_the_execution_did() -> None:
    entered = (task_event(1, "a"), task_event(2, "no", "FailStateEntered", worker_topic=""))
    for status in ("running", "failed", "cancelled"):
        shown = render.execution(execution_state("exe_1", status, events=entered))
        assert [visit["status"] for visit in shown["states"]] == ["succeeded", status]


def test_running_execution_has_no_end_and_no_output() -> None:
    shown = render.execution(execution_state("exe_1", "running"))
    assert (shown["ended_at_ms"], shown["duration_ms"], shown["output"]) == (None, None, None)


def test_failed_execution_shows_its_error() -> None:
    shown = render.execution(execution_state("exe_1", "failed", error_type="E", error_message="m"))
    assert shown["error"] == {"error_type": "E", "error_message": "m"}
    assert shown["output"] is None


def test_settings_are_json_values_without_secrets() -> None:
    shown = render.masked({"api_token": "x", "port": 1, "dev": True, "timeout_s": 0.5})
    assert shown == {"api_token": "***", "port": 1, "dev": True, "timeout_s": 0.5}
    assert render.masked({"api_token": ""}) == {"api_token": ""}
