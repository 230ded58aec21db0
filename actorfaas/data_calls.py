"""The part of the client for the data of functions: keys, values, counters.

Base of `client.Client`. `kind`: value, map, set or counter; `name`: of the map or set.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from actorfaas.api_connection import ApiConnection, Json, filled


class DataCalls(ApiConnection):
    """Applications' data. Every method raises as those of the client do."""

    def data_keys(
        self, app: str, *, kind: str = "", name: str = "", prefix: str = "", after: str = "", limit: int = 100
    ) -> Json:
        """Keys of an application's data, or the names of its maps or sets: `{keys, next_after, ...}`."""
        given = {"kind": kind, "name": name, "prefix": prefix, "after": after, "limit": str(limit)}
        return self._json(self._request("GET", _data_path(app), params=filled(given)))

    def data_get(self, app: str, key: str, *, kind: str = "", name: str = "") -> Json:
        """One value with its version: `{value, version, ...}`."""
        return self._get(f"{_data_path(app)}/entry", key=key, kind=kind, name=name)

    def data_put(
        self,
        app: str,
        key: str,
        value: Json = None,
        *,
        kind: str = "",
        name: str = "",
        if_version: int | None = None,
        ttl_s: float | None = None,
    ) -> Json:
        """Set a value, or put a member into a set: `{version, ...}`."""
        options = {"if_version": if_version, "ttl_s": ttl_s}
        given = {"key": key, "kind": kind, "name": name}
        params = filled(given) | {option: str(n) for option, n in options.items() if n is not None}
        content = json.dumps(value).encode()
        return self._json(self._request("PUT", f"{_data_path(app)}/entry", params=params, content=content))

    def data_add(self, app: str, counter: str, amount: int = 1) -> Json:
        """Add to a counter: `{value, ...}`."""
        params = {"key": counter, "kind": "counter", "amount": str(amount)}
        return self._json(self._request("POST", f"{_data_path(app)}/entry", params=params))

    def data_delete(self, app: str, key: str, *, kind: str = "", name: str = "", if_version: int | None = None) -> None:
        """Remove a key, a member or a counter."""
        version = "" if if_version is None else str(if_version)
        params = filled({"key": key, "kind": kind, "name": name, "if_version": version})
        self._request("DELETE", f"{_data_path(app)}/entry", params=params)


def _data_path(app: str) -> str:
    return f"/v1/data/{quote(app, safe='@')}"
