"""Changes to functions' data that are made together, and what else a task did, as bytes: packed by workers, unpacked by
whom they are for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from actorfaas.errors import RequestRefused, WireError
from actorfaas.messages import AddedState, KvBatch, KvWrite, TaskEffects
from actorfaas.wire import MAX_PAYLOAD_BYTES, decode_one, encode
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


def with_effects(result: bytes, added: Iterable[AddedState], writes: bytes) -> tuple[bytes, int]:
    """A task's result and what else it did as one payload, and how many bytes at its end are the latter. Raises
    RequestRefused "invalid" when that is too large."""
    effects = b"".join(encode(TaskEffects(tuple(added), writes)))
    if len(result) + len(effects) > MAX_PAYLOAD_BYTES:
        size = f"a result of {len(result)} bytes, with {len(effects)} bytes of what else the task did"
        raise RequestRefused("invalid", f"{size}; together they can have {MAX_PAYLOAD_BYTES}")
    return result + effects, len(effects)


def split_effects(payload: bytes, effects_bytes: int) -> tuple[bytes, TaskEffects]:
    """The two parts of such a payload. Raises RequestRefused "invalid"."""
    cut = len(payload) - effects_bytes
    try:
        effects = decode_one(bytes(payload[cut:])).message
    except WireError as error:
        raise RequestRefused("invalid", f"what a task did cannot be read: {error}") from error
    if not isinstance(effects, TaskEffects):
        raise RequestRefused("invalid", "what a task did cannot be read")
    return bytes(payload[:cut]), effects
