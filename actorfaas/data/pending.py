"""What a task has changed and not committed yet: at most one change for each key, which says what all of them did."""

from __future__ import annotations

from dataclasses import replace

from actorfaas.errors import DataRefused, VersionConflict
from actorfaas.messages import KvWrite
from actorfaas.writes import ABSENT, ADD, ANY_VERSION, DELETE, MAX_WRITES, MAX_WRITES_BYTES, PUT

PENDING = -1
"""The version of a value that is not committed yet."""

_OVERHEAD_BYTES = 64
"""More than what a change takes besides its namespace, key and value."""


class Pending:
    """The changes of one task, by namespace and key, in the order in which the keys were first changed."""

    __slots__ = ("_changes", "_size_bytes")

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], KvWrite] = {}
        self._size_bytes = 0

    def of(self, namespace: str, key: str) -> KvWrite | None:
        """What was done to a key."""
        return self._changes.get((namespace, key))

    def keys(self, namespace: str) -> list[KvWrite]:
        """What was done to the keys of a namespace."""
        return [write for (where, _), write in self._changes.items() if where == namespace]

    def writes(self) -> list[KvWrite]:
        """All changes."""
        return list(self._changes.values())

    def add(self, write: KvWrite) -> None:
        """Note a change. Raises VersionConflict when the task itself has changed the key to another version, and
        DataRefused when there are too many changes."""
        place = write.namespace, write.key
        known = self._changes.get(place)
        if known is not None:
            write = _together(known, write)
        size_bytes = self._size_bytes + _size(write) - (_size(known) if known is not None else 0)
        if size_bytes > MAX_WRITES_BYTES or (known is None and len(self._changes) >= MAX_WRITES):
            limits = f"{MAX_WRITES} changes and {MAX_WRITES_BYTES} bytes"
            raise DataRefused(f"a call can commit {limits} together; this is more. `data.now` commits one by one")
        self._size_bytes = size_bytes
        self._changes[place] = write


def _together(known: KvWrite, write: KvWrite) -> KvWrite:
    """Two changes of one key as one."""
    seen = ABSENT if known.action == DELETE else PENDING
    if write.expected_version not in (ANY_VERSION, seen):
        raise VersionConflict(write.key, write.expected_version)
    if write.action != ADD:
        return replace(write, expected_version=known.expected_version)
    if known.action == ADD:
        return replace(known, amount=known.amount + write.amount)
    before = int(known.value) if known.action == PUT else 0
    return replace(known, action=PUT, value=b"%d" % (before + write.amount))


def _size(write: KvWrite) -> int:
    return _OVERHEAD_BYTES + 4 * (len(write.namespace) + len(write.key)) + len(write.value)
