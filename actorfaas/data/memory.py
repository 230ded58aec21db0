"""Functions' data in this process only, for unit tests: a `Keeper` that does what the platform does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from actorfaas.data import Data
from actorfaas.errors import DataRefused, VersionConflict
from actorfaas.messages import KvWrite
from actorfaas.writes import ABSENT, ADD, ANY_VERSION, COUNTER_LIMIT, DELETE

Json = Any  # a decoded JSON document: the caller's business


class _Kept(NamedTuple):
    """One value; `expires_s`: when it is over, infinity for never."""

    value: bytes
    version: int
    expires_s: float


_NOTHING = _Kept(b"", ABSENT, float("inf"))

Place = tuple[str, str]


class MemoryKeeper:
    """Data in a dict. `clock`: seconds since some moment."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: dict[Place, _Kept] = {}
        self._versions: dict[str, int] = {}

    def read(self, namespace: str, key: str) -> tuple[bytes, int]:
        found = self._at((namespace, key))
        return found.value, found.version

    def keys(self, namespace: str, prefix: str, after: str, limit: int) -> list[str]:
        found = (key for where, key in self._kept if where == namespace and key.startswith(prefix) and key > after)
        return sorted(key for key in found if self._at((namespace, key)).version)[:limit]

    def commit(self, writes: Sequence[KvWrite]) -> Sequence[int]:
        before = dict(self._kept)
        try:
            return [self._apply(write) for write in writes]
        except (VersionConflict, DataRefused):
            self._kept = before
            raise

    def encode(self, value: Json, what: str) -> bytes:
        try:
            return json.dumps(value).encode()
        except (TypeError, ValueError) as error:
            raise TypeError(f"the {what} is not JSON: {error}") from None

    def decode(self, payload: bytes) -> Json:
        return json.loads(payload)

    def _at(self, place: Place) -> _Kept:
        found = self._kept.get(place, _NOTHING)
        return found if found.expires_s > self._clock() else _NOTHING

    def _apply(self, write: KvWrite) -> int:
        place = write.namespace, write.key
        there = self._at(place)
        if write.expected_version not in (ANY_VERSION, there.version):
            raise VersionConflict(write.key, write.expected_version)
        if write.action == DELETE:
            self._kept.pop(place, None)
            return 0
        value = _added(write, there) if write.action == ADD else write.value
        owner = write.namespace.partition("/")[0]
        version = self._versions[owner] = self._versions.get(owner, 0) + 1
        expires_s = self._clock() + write.ttl_ms / 1000 if write.ttl_ms else float("inf")
        self._kept[place] = _Kept(value, version, expires_s)
        return int(value) if write.action == ADD else version


def _added(write: KvWrite, there: _Kept) -> bytes:
    number = int(there.value or b"0") + write.amount
    if abs(number) > COUNTER_LIMIT:
        raise DataRefused(f"the counter {write.key!r} would exceed {COUNTER_LIMIT}")
    return b"%d" % number


class MemoryData(Data):
    """An application's data in memory: give it to `Context(data=...)`, and look at it afterwards.

    Changes are made at once, as if every handler had returned. Contexts that share it share the data.
    """

    def __init__(self, keeper: MemoryKeeper | None = None) -> None:
        super().__init__(MemoryKeeper() if keeper is None else keeper)
