"""What is shown of executions and of settings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorfaas.http import render
from actorfaas.http.visits import Visits
from actorfaas.messages import HistoryEvent
from tests.frontend_kit import execution_state, task_event
from tests.http.shapes import check


def test_a_visit_has_the_instants_of_its_beginning_and_end() -> None:
    def instants(events: list[HistoryEvent], status: str = "running") -> list[tuple[int, int | None]]:
        document = render.execution(execution_state("exe_1", status, events=tuple(events)))
        return [(visit["entered_at_ms"], visit["ended_at_ms"]) for visit in document["states"]]

    entered, left = task_event(1, "a", "TaskStateEntered", at_ms=10), task_event(2, "a", at_ms=30)
    assert instants([entered]) == [(10, None)]
    assert instants([entered, left]) == [(10, 30)]
    assert [visit["seq"] for visit in Visits.of([entered, left]).all] == [1]
    passing = [task_event(1, "p", "PassStateEntered", at_ms=10), task_event(2, "p", "PassStateExited", at_ms=20)]
    assert instants(passing) == [(10, 20)]
    assert instants([entered], "cancelled") == [(10, 1_700_000_000_250)], "it ended with its execution"
    retried = task_event(3, "a", attempt=2, at_ms=40)
    assert instants([entered, task_event(2, "a", "TaskFailed", at_ms=20), retried]) == [(10, 40)]


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
