"""Where the time went, as a header."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorfaas.http import server_timing
from tests.frontend_kit import failure, result, task_event


def test_a_resident_worker_has_queue_start_and_run() -> None:
    header = server_timing.of_invocation(result("r", b"1"))
    assert header == b'queue;dur=1.000, start;dur=2.000;desc="resident", run;dur=3.000'


def test_waiting_for_a_fresh_instance_is_its_start() -> None:
    header = server_timing.of_invocation(result("r", b"1", start_kind="fork"))
    assert header == b'queue;dur=0.000, start;dur=3.000;desc="fork", run;dur=3.000'


def test_waiting_for_memory_is_told_apart_from_waiting_for_a_worker() -> None:
    outcome = replace(result("r", b"1", start_kind="prefetched"), queue_ns=14_000_000, page_in_ns=12_800_000)
    assert server_timing.of_invocation(outcome) == (
        b'queue;dur=1.200, page-in;dur=12.800, start;dur=2.000;desc="prefetched", run;dur=3.000'
    )


def test_a_page_in_that_began_before_the_call_leaves_no_negative_queue() -> None:
    outcome = replace(result("r", b"1", start_kind="prefetched"), queue_ns=1_000_000, page_in_ns=9_000_000)
    assert server_timing.of_invocation(outcome).startswith(b"queue;dur=0.000, page-in;dur=9.000, ")


@pytest.mark.parametrize("kind", ["concurrent", "swapped", "recorded"])
def test_a_call_that_waited_for_no_memory_has_no_page_in(kind: str) -> None:
    header = server_timing.of_invocation(result("r", b"1", start_kind=kind))
    assert header == b'queue;dur=1.000, start;dur=2.000;desc="%b", run;dur=3.000' % kind.encode()


def test_a_failure_has_its_times_too() -> None:
    assert server_timing.of_invocation(failure("r", "handler_error")).endswith(b"run;dur=3.000")


def test_an_execution_adds_up_the_states_that_ran() -> None:
    events = [task_event(1, "a"), task_event(2, "b"), task_event(3, "", "ExecutionSucceeded", worker_topic="")]
    header = server_timing.of_execution(events)
    timing = b'queue;dur=2.000, start;dur=4.000;desc="resident", run;dur=6.000, gap;dur=8.000, states;desc="2"'
    assert header == timing


def test_an_execution_tells_the_coldest_start_kind_of_its_states() -> None:
    for number, kind in enumerate(server_timing.COLDEST_FIRST):
        warmer = server_timing.COLDEST_FIRST[number:]
        events = [task_event(seq, "a", start_kind=one) for seq, one in enumerate(reversed(warmer), 1)]
        assert b'start;dur=%.3f;desc="%b"' % (2.0 * len(events), kind.encode()) in server_timing.of_execution(events)


def test_what_an_execution_waited_for_memory_is_apart_from_its_queue() -> None:
    waited = task_event(1, "a", start_kind="prefetched", page_in_ns=400_000, page_in_lead_ns=2_100_000)
    ahead = task_event(2, "b", start_kind="prefetched", page_in_ns=9_000_000, page_in_lead_ns=5_000_000)
    header = server_timing.of_execution([waited, ahead])
    assert header.startswith(b'queue;dur=1.600, page-in;dur=0.400, start;dur=4.000;desc="prefetched", ')


def test_an_execution_without_events_is_all_zero() -> None:
    assert server_timing.of_execution(()).endswith(b'states;desc="0"')
