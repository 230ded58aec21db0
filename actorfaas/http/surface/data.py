"""What functions keep: applications' data."""

from __future__ import annotations

from actorfaas.http.surface.operation import LIMIT, Operation, query

_ENTRY = "/v1/data/{app}/entry"
_KEY = query("key", "string", "which one; of a set the member, of counters the counter")
_IF_VERSION = query("if_version", "integer", "only if it has this version; 0: only if it is absent")
_DATA = (
    query("kind", "data_kind", "value, if not given"),
    query("name", "string", "of the map or set"),
)

DATA: tuple[Operation, ...] = (
    Operation(
        "GET",
        "/v1/data/{app}",
        "data_keys",
        "data",
        "Keys of an application's data (of the tenant's: @tenant), or the names of its maps or sets",
        "DataKeys",
        parameters=(
            *_DATA,
            query("prefix", "string", "only those that begin with this"),
            query("after", "string", "only those after this; next_after of the page before"),
            LIMIT,
        ),
        problems=(400,),
    ),
    Operation(
        "GET", _ENTRY, "data_get", "data", "One value", "DataEntry", parameters=(_KEY, *_DATA), problems=(400, 404)
    ),
    Operation(
        "PUT",
        _ENTRY,
        "data_put",
        "data",
        "Set a value, or put a member into a set",
        "DataEntry",
        parameters=(_KEY, *_DATA, _IF_VERSION, query("ttl_s", "number", "seconds after which it is gone")),
        body="application/json",
        problems=(400, 408, 412, 413),
    ),
    Operation(
        "POST",
        _ENTRY,
        "data_add",
        "data",
        "Add to a counter",
        "DataEntry",
        parameters=(_KEY, *_DATA, query("amount", "integer", "what to add; 1 if not given")),
        problems=(400,),
    ),
    Operation(
        "DELETE",
        _ENTRY,
        "data_delete",
        "data",
        "Remove a key, a member or a counter",
        "",
        204,
        (_KEY, *_DATA, _IF_VERSION),
        problems=(400, 412),
    ),
)
