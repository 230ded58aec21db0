"""What a call is billed, as response headers: `Actorfaas-Billed-Ms` and `Actorfaas-Billed-GB-s`, see `core.tally`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from actorfaas.core.tally import billed, billed_ms, gb_seconds
from actorfaas.messages import HistoryEvent


def of_call(run_ns: int, memory_mb: int) -> tuple[tuple[bytes, bytes], ...]:
    """One handler that ran so long."""
    milliseconds = billed_ms(run_ns)
    return _headers(milliseconds, milliseconds * memory_mb)


def of_execution(events: Iterable[HistoryEvent]) -> tuple[tuple[bytes, bytes], ...]:
    """All tasks of an execution; each attempt is billed, as it ran."""
    return _headers(*billed((event.run_ns, event.memory_mb) for event in events))


@lru_cache(4096)
def _headers(milliseconds: int, mb_ms: int) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"actorfaas-billed-ms", b"%d" % milliseconds),
        (b"actorfaas-billed-gb-s", b"%.6f" % gb_seconds(mb_ms)),
    )
