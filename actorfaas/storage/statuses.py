"""The numbers under which statuses of executions are stored."""

from __future__ import annotations

from actorfaas.errors import RequestRefused
from actorfaas.ids import STATUSES

RUNNING = STATUSES.index("running")
_NUMBER_OF = {status: number for number, status in enumerate(STATUSES)}


def status_number(status: str) -> int:
    """How a status is stored. Raises RequestRefused "invalid"."""
    number = _NUMBER_OF.get(status)
    if number is None:
        raise RequestRefused("invalid", f"{status!r} is not a status; they are {', '.join(STATUSES)}")
    return number
