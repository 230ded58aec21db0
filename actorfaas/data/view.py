"""One namespace of the functions' data, read together with what the task has changed in it and not committed yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from actorfaas.data.pending import PENDING, Pending
from actorfaas.errors import DataRefused
from actorfaas.messages import KvWrite
from actorfaas.writes import ABSENT, ADD, ANY_VERSION, COUNTER_LIMIT, DELETE, KEY_LIMIT_BYTES, PUT

Json = Any  # a decoded JSON document: the caller's business


class Keeper(Protocol):
    """Where data is kept. Namespaces are as workers name them: without the application's own name."""

    def read(self, namespace: str, key: str) -> tuple[bytes, int]:
        """A value and its version; (b"", 0) when there is none."""

    def keys(self, namespace: str, prefix: str, after: str, limit: int) -> list[str]:
        """The first `limit` keys with a prefix and after a key, in order."""

    def commit(self, writes: Sequence[KvWrite]) -> Sequence[int]:
        """Make changes together; of each the key's new version, or what the counter comes to. Raises VersionConflict
        or DataRefused, and then makes none."""

    def encode(self, value: Json, what: str) -> bytes:
        """A value as JSON. Raises TypeError, which calls it `what`."""

    def decode(self, payload: bytes) -> Json:
        """JSON as a value."""


class View:
    """The keys of one namespace. `pending` None: every change is committed at once."""

    __slots__ = ("_keeper", "_namespace", "_pending")

    def __init__(self, keeper: Keeper, pending: Pending | None, namespace: str) -> None:
        self._keeper = keeper
        self._pending = pending
        self._namespace = namespace

    def encode(self, key: str, value: Json) -> bytes:
        """A value as it is kept. Raises TypeError."""
        return self._keeper.encode(value, f"value for key {key!r}")

    def decode(self, payload: bytes) -> Json:
        """A value as it was put."""
        return self._keeper.decode(payload)

    def read(self, key: str) -> tuple[bytes, int]:
        """What a key has now for this task; (b"", 0) when it is absent."""
        _check_key(key)
        change = self._pending.of(self._namespace, key) if self._pending is not None else None
        if change is None:
            return self._keeper.read(self._namespace, key)
        if change.action == ADD:
            return b"%d" % (self._committed_number(key) + change.amount), PENDING
        return (b"", ABSENT) if change.action == DELETE else (change.value, PENDING)

    def number(self, key: str) -> int:
        """What a counter is now for this task."""
        return int(self.read(key)[0] or b"0")

    def put(self, key: str, value: bytes, if_version: int | None, ttl_s: float | None) -> int:
        """Set a key; its version. Raises VersionConflict, DataRefused."""
        if ttl_s is not None and not 0 < ttl_s < COUNTER_LIMIT / 1000:
            raise DataRefused(f"ttl_s is a number of seconds above 0, not {ttl_s!r}")
        ttl_ms = 0 if ttl_s is None else max(1, round(ttl_s * 1000))
        return self._change(PUT, key, if_version, value=value, ttl_ms=ttl_ms)

    def delete(self, key: str, if_version: int | None) -> None:
        """Remove a key. Raises VersionConflict."""
        self._change(DELETE, key, if_version)

    def add(self, key: str, amount: int) -> int:
        """Change a counter; what it comes to. Raises DataRefused."""
        if isinstance(amount, bool) or not isinstance(amount, int) or abs(amount) > COUNTER_LIMIT:
            raise DataRefused(f"what is added to a counter is a whole number of at most 64 bits, not {amount!r:.40}")
        number = self._change(ADD, key, None, amount=amount)
        return number if self._pending is None else self.number(key)

    def keys(self, prefix: str, after: str, limit: int) -> list[str]:
        """A page of keys, those that this task has put or deleted considered."""
        if self._pending is None:
            return self._keeper.keys(self._namespace, prefix, after, limit)
        changes = [one for one in self._pending.keys(self._namespace) if one.key.startswith(prefix) and one.key > after]
        gone = {one.key for one in changes if one.action == DELETE}
        wanted = limit + len(gone)
        found = self._keeper.keys(self._namespace, prefix, after, wanted)
        more_follow = len(found) >= wanted  # what this task has put behind the last one is not due yet
        put = {one.key for one in changes if one.action != DELETE and not (more_follow and one.key > found[-1])}
        return sorted(put.union(found) - gone)[:limit]

    def all_keys(self, page: int) -> Iterator[str]:
        """Every key, read page by page."""
        after = ""
        while True:
            keys = self.keys("", after, page)
            yield from keys
            if len(keys) < page:
                return
            after = keys[-1]

    def _committed_number(self, key: str) -> int:
        return int(self._keeper.read(self._namespace, key)[0] or b"0")

    def _change(
        self, action: str, key: str, if_version: int | None, *, value: bytes = b"", ttl_ms: int = 0, amount: int = 0
    ) -> int:
        _check_key(key)
        expected = ANY_VERSION if if_version is None else if_version
        write = KvWrite(self._namespace, key, action, expected, ttl_ms, amount, value)
        if self._pending is None:
            return self._keeper.commit((write,))[0]
        self._pending.add(write)
        return PENDING


def _check_key(key: str) -> None:
    if not isinstance(key, str) or not 1 <= len(key.encode("utf-8", "surrogatepass")) <= KEY_LIMIT_BYTES:
        raise DataRefused(f"a key is text of 1 to {KEY_LIMIT_BYTES} bytes, not {key!r:.80}")
