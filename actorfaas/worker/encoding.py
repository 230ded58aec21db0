"""JSON in and out of handlers: orjson where there is one, else the standard library, with the same rules.

The rules: an empty payload is null. A result may hold what JSON has, dataclasses, enums, UUIDs, dates and numpy
arrays and numbers; keys that are not strings are written as strings. NaN and the infinities become null, as in
JavaScript: JSON has no other word for them. Bytes, sets and other objects are refused, and the refusal says where
in the result they stand.
"""

from __future__ import annotations

import sys
from typing import Any

from actorfaas.wire import MAX_PAYLOAD_BYTES

Json = Any  # a decoded JSON document: the caller's business

try:
    import orjson as _orjson
except ImportError:  # a bundle's interpreter of another version
    orjson: Any = None
else:
    orjson = _orjson

_MAX_DEPTH = 254  # orjson's, kept for both encoders
_MAX_VISITED = 1_000_000
_BYTES_ADVICE = "JSON has no bytes; encode them as base64 text, or stream them from a generator"


class BadPayload(ValueError):
    """The request's payload is not JSON."""


class BadResult(TypeError):
    """What the handler returned has no JSON form; the message says which part."""


def loads(payload: bytes | bytearray) -> Json:
    """The decoded payload; None when it is empty. Raises BadPayload."""
    if not payload:
        return None
    try:
        if orjson is not None:
            return orjson.loads(payload)
        import json

        return json.loads(payload, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadPayload(f"the payload is not JSON: {error}") from None


def dumps(result: Json, what: str = "result") -> bytes:
    """The result as JSON. `what` is its name in the BadResult that is raised when that cannot be."""
    data: bytes
    try:
        if orjson is not None:
            try:
                data = orjson.dumps(result, _substitute, orjson.OPT_SERIALIZE_NUMPY)
            except TypeError:  # keys that are not strings are rare, and allowing them is slower
                options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
                data = orjson.dumps(result, _substitute, options)
        else:
            data = _standard_dumps(result)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadResult(_culprit(result, what) or f"the {what} is not JSON: {error}") from None
    if len(data) > MAX_PAYLOAD_BYTES:
        raise BadResult(f"the {what} is {len(data)} bytes of JSON; at most {MAX_PAYLOAD_BYTES} are possible")
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _substitute(value: object) -> Json:
    """What stands for a value that the encoder does not know. Raises TypeError."""
    cls = type(value)
    if cls.__module__ == "numpy":  # arrays that are not contiguous or of unusual types, and such numbers
        plain: Json = value.tolist()  # type: ignore[attr-defined]  # numpy's arrays and scalars have it
        if isinstance(plain, str | int | float | bool | list | dict | None):
            return plain
    raise TypeError(f"{cls.__name__} is not JSON")


def _standard_dumps(result: Json) -> bytes:
    import json

    try:
        text = json.dumps(
            result, default=_substitute_standard, allow_nan=False, separators=(",", ":"), ensure_ascii=False
        )
    except ValueError:  # NaN, or a circular reference, which _plain refuses
        text = json.dumps(_plain(result, 0), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _substitute_standard(value: object) -> Json:
    """`_substitute`, and what orjson knows by itself."""
    if (dataclasses := sys.modules.get("dataclasses")) is not None and dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if (enum := sys.modules.get("enum")) is not None and isinstance(value, enum.Enum):
        return value.value
    if (uuid := sys.modules.get("uuid")) is not None and isinstance(value, uuid.UUID):
        return str(value)
    if (datetime := sys.modules.get("datetime")) is not None and isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return _substitute(value)


def _plain(value: Json, depth: int) -> Json:
    """A copy in which NaN and the infinities are None."""
    if depth > _MAX_DEPTH:
        raise RecursionError("nested too deeply")
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if isinstance(value, dict):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if value is None or isinstance(value, str | int):
        return value
    return _plain(_substitute_standard(value), depth + 1)


def _culprit(result: Json, what: str) -> str:
    """Which part of `result` is not JSON, as a sentence; "" when it was not found."""
    pending: list[tuple[Json, str, int]] = [(result, what, 0)]
    visited = 0
    while pending and visited < _MAX_VISITED:
        value, path, depth = pending.pop()
        visited += 1
        if depth > _MAX_DEPTH:
            return f"the {what} is nested deeper than {_MAX_DEPTH} levels (or contains itself)"
        if isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(key, str | int | float | bool | None):
                    return f"a key of {path} is {_article(type(key).__name__)}, which cannot be one in JSON"
                pending.append((item, f"{path}[{key!r:.60}]", depth + 1))
        elif isinstance(value, list | tuple):
            pending.extend((item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value))
        elif problem := _problem(value):
            return f"{path} is {problem}"
    return ""


def _problem(value: object) -> str:
    """Why this leaf cannot be encoded, or ""."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{type(value).__name__}: {_BYTES_ADVICE}"
    try:
        if orjson is not None:
            orjson.dumps(value, _substitute, orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
        else:
            _standard_dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(value, int | str):
            return f"{_article(type(value).__name__)} that is not JSON: {error}"
        return f"{_article(type(value).__name__)}, which is not JSON"
    return ""


def _article(name: str) -> str:
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"
