"""Changes to functions' data that are made together, as bytes: packed by workers, unpacked by the store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from actorfaas.errors import RequestRefused, WireError
from actorfaas.messages import KvBatch, KvWrite
from actorfaas.wire import decode_one, encode
from actorfaas.writes import MAX_WRITES, MAX_WRITES_BYTES, qualified


def packed(writes: Iterable[KvWrite]) -> bytes:
    """Changes as bytes. Raises RequestRefused "invalid" when they are too many or too large."""
    batch = tuple(writes)
    if len(batch) > MAX_WRITES:
        raise RequestRefused("invalid", f"{len(batch)} changes to data; {MAX_WRITES} can be made together")
    data = b"".join(encode(KvBatch(batch)))
    if len(data) > MAX_WRITES_BYTES:
        size = f"changes to data of {len(data)} bytes"
        raise RequestRefused("invalid", f"{size}; {MAX_WRITES_BYTES} bytes can be changed together")
    return data


def unpacked(data: bytes, app: str = "") -> tuple[KvWrite, ...]:
    """Changes from bytes, their namespaces in full. Raises RequestRefused "invalid" or "unauthorized"."""
    try:
        batch = decode_one(bytes(data)).message
    except WireError as error:
        raise RequestRefused("invalid", f"these are no changes to data: {error}") from error
    if not isinstance(batch, KvBatch) or len(batch.writes) > MAX_WRITES:
        raise RequestRefused("invalid", "these are no changes to data")
    return tuple(replace(write, namespace=qualified(write.namespace, app)) for write in batch.writes)
