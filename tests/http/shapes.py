"""Compare a JSON document with the API's own description of it."""

from __future__ import annotations

from actorfaas.http.schemas import DOCUMENTS, ENUMERATIONS

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def check(found: object, wanted: str, where: str = "$") -> None:
    """Assert that `found` is what `http.schemas` calls `wanted`, with exactly its members."""
    if wanted == "any":
        return
    if wanted.endswith("?"):
        if found is not None:
            check(found, wanted[:-1], where)
    elif wanted.startswith("["):
        assert isinstance(found, list), where
        for position, item in enumerate(found):
            check(item, wanted[1:-1], f"{where}[{position}]")
    elif wanted in ENUMERATIONS:
        assert found in ENUMERATIONS[wanted], f"{where} is {found!r}"
    elif wanted in _TYPES:
        assert isinstance(found, _TYPES[wanted]), f"{where} is {found!r}"
        assert wanted == "boolean" or not isinstance(found, bool), f"{where} is {found!r}"
    else:
        members = DOCUMENTS[wanted]
        assert isinstance(found, dict), where
        required = {name for name in members if not name.endswith("?")}
        assert required <= set(found) <= {name.rstrip("?") for name in members}, f"{where}: {sorted(found)}"
        for name, kind in members.items():
            if name.rstrip("?") in found:
                check(found[name.rstrip("?")], kind, f"{where}.{name}")
