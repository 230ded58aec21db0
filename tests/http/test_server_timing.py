"""Where the time went, as a header."""

from __future__ import annotations

from actorfaas.http import server_timing
from tests.frontend_kit import failure, result, task_event


def test_a_resident_worker_has_queue_start_and_run() -> None:
    header = server_timing.of_invocation(result("r", b"1"))
    assert header == b'queue;dur=1.000, start;dur=2.000;desc="resident", run;dur=3.000'


def test_waiting_for_a_fresh_instance_is_its_start() -> None:
    header = server_timing.of_invocation(result("r", b"1", start_kind="fork"))
    assert header == b'queue;dur=0.000, start;dur=3.000;desc="fork", run;dur=3.000'


def test_a_failure_has_its_times_too() -> None:
    assert server_timing.of_invocation(failure("r", "handler_error")).endswith(b"run;dur=3.000")


def test_an_execution_adds_up_the_states_that_ran() -> None:
    events = [task_event(1, "a"), task_event(2, "b"), task_event(3, "", "ExecutionSucceeded", worker_topic="")]
    header = server_timing.of_execution(events)
    assert header == b'queue;dur=2.000, start;dur=4.000, run;dur=6.000, gap;dur=8.000, states;desc="2"'


def test_an_execution_without_events_is_all_zero() -> None:
    assert server_timing.of_execution(()).endswith(b'states;desc="0"')
