"""What was learned as bytes that are kept: a version, then numbers and lists of them. Pure.

What they mean is known to whom they are of: `swap.learning` (costs) and `core.lookahead` (habits).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgpack

Numbers = Any
"""A number, or a list of numbers and of such lists: what is left of any object when only its figures are kept."""

T = TypeVar("T")

LARGEST = 1 << 62
"""As nanoseconds, 146 years."""


def to_bytes(version: int, numbers: Numbers) -> bytes:
    """Numbers from 0 to LARGEST in format `version`, which changes whenever their meaning does."""
    packed: bytes = msgpack.packb([version, numbers])
    return packed


def from_bytes(version: int, record: bytes, make: Callable[[Numbers], T]) -> T:
    """What `make` makes of the numbers. Raises ValueError: no record, or of another version; not such numbers.

    `make` may fail with any of the errors that numbers of another shape lead to.
    """
    try:
        found, numbers = msgpack.unpackb(record)
        if found != version:
            raise ValueError(f"a record in format {found!r}, not {version}")
        _check(numbers)
        return make(numbers)
    except (TypeError, IndexError, OverflowError, msgpack.UnpackException) as error:
        raise ValueError(f"not a record of what was learned: {error}") from error


def _check(numbers: Numbers) -> None:
    waiting = [numbers]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif not (isinstance(one, int | float) and 0 <= one <= LARGEST):
            raise ValueError(f"{one!r} was never learned")
