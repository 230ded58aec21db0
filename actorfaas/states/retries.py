"""Which errors a retrier or catcher is for, and how long a retrier waits. Reads no clock and draws no chance itself."""

from __future__ import annotations

from collections.abc import Callable, Collection

from actorfaas.states.errors import (
    STATES_ALL,
    STATES_DATA_LIMIT,
    STATES_HEARTBEAT_TIMEOUT,
    STATES_RUNTIME,
    STATES_TASK_FAILED,
    STATES_TIMEOUT,
)

MAX_DELAY_S = 99_999_999


def matches(names: Collection[str], error: str) -> bool:
    """Whether ErrorEquals is for an error.

    As Step Functions has it: nothing is for States.Runtime, which always fails the execution; only its own name is
    for States.DataLimitExceeded. States.TaskFailed is for all but timeouts, States.Timeout for a missed heartbeat too.
    """
    if error == STATES_RUNTIME:
        return False
    if error in names:
        return True
    if error == STATES_DATA_LIMIT:
        return False
    if STATES_ALL in names:
        return True
    if error == STATES_HEARTBEAT_TIMEOUT:
        return STATES_TIMEOUT in names
    return STATES_TASK_FAILED in names and error != STATES_TIMEOUT


def delay_s(
    interval_s: float,
    backoff_rate: float,
    tries: int,
    *,
    max_delay_s: float = MAX_DELAY_S,
    jitter: Callable[[], float] | None = None,
) -> float:
    """How long to wait before the next try, after `tries` retries (0: before the first one).

    `jitter`: for a JitterStrategy of FULL, a source of numbers from 0 up to 1; the wait is then anything up to the
    whole delay. Growth that leaves what a float can hold ends at `max_delay_s`.
    """
    if not interval_s:
        return 0.0
    try:
        whole = min(interval_s * backoff_rate**tries, max_delay_s)
    except OverflowError:
        whole = max_delay_s
    return whole * jitter() if jitter else whole
