"""The spans of executions: each has an id that follows from what it is, so that nobody has to remember it. Pure."""

from __future__ import annotations

from hashlib import blake2b


def span_of(name: str) -> str:
    """The span of a task, by its id, or of an execution, by its: 16 hexadecimal digits."""
    return blake2b(name.encode(), digest_size=8).hexdigest()
