"""Which errors retriers and catchers are for, and how long a retrier waits."""

from __future__ import annotations

import pytest

from actorfaas.states.retries import MAX_DELAY_S, delay_s, matches


@pytest.mark.parametrize(
    ("names", "error", "applies"),
    [
        (("States.ALL",), "States.Timeout", True),
        (("States.ALL",), "States.HeartbeatTimeout", True),
        (("States.ALL",), "", True),
        (("States.TaskFailed",), "ValueError", True),
        (("States.TaskFailed",), "States.Timeout", False),
        (("States.TaskFailed",), "States.HeartbeatTimeout", False),
        (("States.Timeout",), "States.Timeout", True),
        (("States.Timeout",), "States.HeartbeatTimeout", True),
        (("States.HeartbeatTimeout",), "States.HeartbeatTimeout", True),
        (("States.HeartbeatTimeout",), "States.Timeout", False),
        (("ValueError", "KeyError"), "KeyError", True),
        (("ValueError",), "KeyError", False),
        (("States.ALL",), "States.DataLimitExceeded", False),
        (("States.TaskFailed",), "States.DataLimitExceeded", False),
        (("States.DataLimitExceeded",), "States.DataLimitExceeded", True),
        (("States.ALL",), "States.Runtime", False),
        (("States.TaskFailed",), "States.Runtime", False),
        (("States.Runtime",), "States.Runtime", False),
    ],
)
def test_which_errors_a_retrier_is_for(names: tuple[str, ...], error: str, applies: bool) -> None:
    assert matches(names, error) is applies


def test_delays_grow_up_to_a_bound() -> None:
    assert [delay_s(3, 2, tries, max_delay_s=10) for tries in range(4)] == [3, 6, 10, 10]
    assert [delay_s(1, 1.5, tries) for tries in range(3)] == [1, 1.5, 2.25]
    assert delay_s(0, 2, 5) == 0
    assert delay_s(1, 2, 100_000) == MAX_DELAY_S
    assert delay_s(1, 1e9, 100_000, max_delay_s=5) == 5


def test_full_jitter_takes_anything_up_to_the_delay() -> None:
    assert delay_s(3, 2, 1, max_delay_s=5, jitter=lambda: 0.5) == 2.5
    assert delay_s(3, 2, 0, jitter=lambda: 0.0) == 0
