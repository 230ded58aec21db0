"""Streams without end, and how the instance that makes them is known from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from actorfaas import function

Json = Any  # a decoded JSON document


@function(timeout_s=300, concurrency=1)
def endless(event: Json) -> Iterator[Json]:
    """First the process that serves, then pieces of as many bytes as asked for, for ever."""
    yield os.getpid()
    while True:
        yield "x" * event
