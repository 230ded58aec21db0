"""The functions' data as handlers see it: key-values, maps, sets and counters.

Owns what can be said (`Data`); what a task has changed and not committed yet is in `pending`, how both are read
together in `view`, and where the data is kept is a `Keeper`: the platform's, or `memory` for unit tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actorfaas.data.pending import Pending
from actorfaas.data.view import Keeper, View
from actorfaas.errors import DataRefused
from actorfaas.writes import NAME_LIMIT_BYTES, TENANT, namespace_of

__all__ = ["APP", "SCOPES", "Counter", "Data", "Keeper", "KeyValues", "Map", "Pending", "Set"]

Json = Any  # a decoded JSON document: the caller's business

APP, TENANTS = "app", "tenant"
SCOPES = {APP: "", TENANTS: TENANT}
"""Whose data: the application's own, or what all applications of the node share."""

PAGE = 1000


class KeyValues:
    """Keys (text) with values (JSON) and versions, which count up and are never used twice.

    Changes are committed together when the handler returns, and a handler reads what it wrote; those of `Data.now`
    are committed at once. Every method raises DataRefused for keys and values that cannot be, and RequestRefused
    when the platform cannot do it now.
    """

    __slots__ = ("_view",)

    def __init__(self, view: View) -> None:
        self._view = view

    def get(self, key: str, default: Json = None) -> Json:
        """The value, or `default` when there is none."""
        value, version = self.get_versioned(key)
        return value if version else default

    def get_versioned(self, key: str) -> tuple[Json, int]:
        """The value and its version: (None, 0) when there is none, -1 for what this handler has put itself."""
        payload, version = self._view.read(key)
        return (self._view.decode(payload) if version else None), version

    def put(self, key: str, value: Json, *, if_version: int | None = None, ttl_s: float | None = None) -> int:
        """Set a key; its version, or -1 while it is not committed.

        `if_version`: only if the key has that version (0: only if it is absent), else VersionConflict: from here, or,
        where only the commit can tell, as the failure of the handler's call. `ttl_s`: the key is gone so many seconds
        after the commit. Raises TypeError for what is not JSON.
        """
        return self._view.put(key, self._view.encode(key, value), if_version, ttl_s)

    def delete(self, key: str, *, if_version: int | None = None) -> None:
        """Remove a key; an absent one is no error. `if_version` as in `put`."""
        self._view.delete(key, if_version)

    def keys(self, prefix: str = "", *, after: str = "", limit: int = PAGE) -> list[str]:
        """A page: the first `limit` keys that begin with `prefix` and come after `after`, in order."""
        return self._view.keys(prefix, after, limit)

    def __contains__(self, key: str) -> bool:
        return self._view.read(key)[1] != 0


class Map(KeyValues):
    """A named map: as a dict, without a length. Iterating it reads its keys page by page."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Json:
        value, version = self.get_versioned(key)
        if not version:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: Json) -> None:
        self.put(key, value)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self.delete(key)

    def __iter__(self) -> Iterator[str]:
        return self._view.all_keys(PAGE)

    def items(self) -> Iterator[tuple[str, Json]]:
        """Keys and values; each value is read when its turn comes."""
        for key in self:
            value, version = self.get_versioned(key)
            if version:
                yield key, value


class Set:
    """A named set of texts. Iterating it reads its members page by page, in order."""

    __slots__ = ("_view",)

    def __init__(self, view: View) -> None:
        self._view = view

    def add(self, member: str) -> None:
        """Put a member in."""
        self._view.put(member, b"", None, None)

    def discard(self, member: str) -> None:
        """Take a member out, if it is in."""
        self._view.delete(member, None)

    def members(self, prefix: str = "", *, after: str = "", limit: int = PAGE) -> list[str]:
        """A page, as of `KeyValues.keys`."""
        return self._view.keys(prefix, after, limit)

    def __contains__(self, member: str) -> bool:
        return self._view.read(member)[1] != 0

    def __iter__(self) -> Iterator[str]:
        return self._view.all_keys(PAGE)


class Counter:
    """A named whole number that begins at 0. Adding never conflicts: what others add meanwhile is added, too."""

    __slots__ = ("_name", "_view")

    def __init__(self, view: View, name: str) -> None:
        self._view = view
        self._name = name

    def add(self, amount: int = 1) -> int:
        """Add (or, below 0, take away); what it comes to. Before the commit that is what it would be now."""
        return self._view.add(self._name, amount)

    def get(self) -> int:
        """What it is."""
        return self._view.number(self._name)

    def set(self, value: int) -> None:
        """Make it `value`, whatever it was."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise DataRefused(f"a counter is a whole number, not {value!r}")
        self._view.put(self._name, b"%d" % value, None, None)


class Data(KeyValues):
    """An application's data, or (`scope`) the tenant's; its plain keys, and its maps, sets and counters by name."""

    __slots__ = ("_keeper", "_owner", "_pending")

    def __init__(self, keeper: Keeper, pending: Pending | None = None, owner: str = "") -> None:
        """`pending`: where changes wait for their commit; None: they are committed one by one."""
        super().__init__(View(keeper, pending, namespace_of(owner, "value")))
        self._keeper = keeper
        self._pending = pending
        self._owner = owner

    @property
    def now(self) -> Data:
        """The same data, but every change is committed at once, and stays when the handler fails afterwards."""
        return Data(self._keeper, None, self._owner)

    @contextmanager
    def transaction(self) -> Iterator[Data]:
        """The same data, whose changes inside a `with` are committed together at its end, and then stay; none of them
        if it raises. VersionConflict comes from its end, too."""
        pending = Pending()
        yield Data(self._keeper, pending, self._owner)
        if writes := pending.writes():
            self._keeper.commit(writes)

    def scope(self, scope: str) -> Data:
        """The data of a scope: "app", the application's own, or "tenant", which all applications of the node share."""
        if scope not in SCOPES:
            raise DataRefused(f"a scope is one of {', '.join(SCOPES)}, not {scope!r}")
        return Data(self._keeper, self._pending, SCOPES[scope])

    def map(self, name: str) -> Map:
        """A map; it need not be made before."""
        return Map(self._view_of("map", name))

    def set(self, name: str) -> Set:
        """A set; it need not be made before."""
        return Set(self._view_of("set", name))

    def counter(self, name: str) -> Counter:
        """A counter; it need not be made before."""
        return Counter(self._view_of("counter", name), name)

    def _view_of(self, kind: str, name: str) -> View:
        if not isinstance(name, str) or not 0 < len(name.encode("utf-8", "replace")) <= NAME_LIMIT_BYTES:
            raise DataRefused(f"the name of a {kind} is text of 1 to {NAME_LIMIT_BYTES} bytes, not {name!r:.80}")
        return View(self._keeper, self._pending, namespace_of(self._owner, kind, name))
