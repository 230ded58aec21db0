"""What a call is billed, as response headers: `Actorfaas-Billed-Ms` and `Actorfaas-Billed-GB-s`, see `core.tally`."""

from __future__ import annotations

from collections.abc import Iterable

from actorfaas.core.tally import billed_ms, gb_seconds
from actorfaas.http.problems import Headers
from actorfaas.messages import HistoryEvent


def of_call(run_ns: int, memory_mb: int) -> Headers:
    """One handler that ran so long."""
    milliseconds = billed_ms(run_ns)
    return _headers(milliseconds, milliseconds * memory_mb)


def of_execution(events: Iterable[HistoryEvent]) -> Headers:
    """All tasks of an execution; each attempt is billed, as it ran."""
    milliseconds = mb_ms = 0
    for event in events:
        if event.run_ns:
            one_ms = billed_ms(event.run_ns)
            milliseconds += one_ms
            mb_ms += one_ms * event.memory_mb
    return _headers(milliseconds, mb_ms)


def _headers(milliseconds: int, mb_ms: int) -> Headers:
    return [
        (b"actorfaas-billed-ms", b"%d" % milliseconds),
        (b"actorfaas-billed-gb-s", b"%.6f" % gb_seconds(mb_ms)),
    ]
