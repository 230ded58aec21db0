"""Messages as bytes: incremental framing and msgpack. Bytes in, messages out; no socket, no clock.

A frame is two unsigned 32-bit lengths (header, payload; network order), the header, the payload. The header is a
msgpack array `[code, kind, ask id, field, ...]`; the payload is the field named `payload` of messages that have one,
kept out of msgpack so that a large body is copied as little as possible and never parsed on its way.

A sender that breaks the rules gets a `WireError`; the reader must close that connection, because the boundary of
the next frame is unknown.
"""

from __future__ import annotations

import struct as _struct
from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields
from enum import IntEnum
from functools import cache
from operator import attrgetter
from types import GenericAlias
from typing import Any, NamedTuple, cast, get_args, get_origin, get_type_hints

import msgpack

from actorfaas.errors import FrameTooLarge, MalformedFrame
from actorfaas.messages import MESSAGES, Message

PROTOCOL_VERSION = 1
MAX_HEADER_BYTES = 64 * 1024 * 1024
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024

_LENGTHS = _struct.Struct("!II")
_PREFIX_BYTES = _LENGTHS.size
FRAME_PREFIX_BYTES = _PREFIX_BYTES
_LARGE_BYTES = 64 * 1024
_MERGE_BELOW_BYTES = 4096

Value = Any  # one msgpack value: its type is checked against the message's field when a codec decodes it


class Kind(IntEnum):
    """What a frame is to the receiver."""

    TELL = 0
    ASK = 1
    REPLY = 2


class Frame(NamedTuple):
    """One message with its place in a conversation; `ask_id` pairs an ask with its reply (0 for a tell)."""

    kind: int
    ask_id: int
    message: Message


class _Codec:
    """How one message class becomes a header and back; built from its annotations on first use."""

    __slots__ = ("cls", "converters", "count", "get", "has_payload", "make", "single", "types")

    def __init__(self, cls: type[Message]) -> None:
        hints = get_type_hints(cls)
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # every message is a dataclass
        self.cls = cls
        self.make: Callable[..., Message] = cls
        self.has_payload = "payload" in names
        if self.has_payload and names[-1] != "payload":
            raise TypeError(f"{cls.__name__}: payload must be the last field")
        header = names[:-1] if self.has_payload else names
        self.count = len(header)
        self.single = len(header) == 1
        self.get: Callable[[Message], tuple[Value, ...]] | None = attrgetter(*header) if header else None
        self.types: tuple[Any, ...] = tuple(_accepted(hints[name]) for name in header)
        self.converters = tuple(
            (position, convert)
            for position, name in enumerate(header)
            if (convert := _converter(hints[name])) is not None
        )

    def values(self, message: Message) -> tuple[Value, ...]:
        if self.get is None:
            return ()
        found = self.get(message)
        return (found,) if self.single else found

    def build(self, values: list[Value], payload: bytes | bytearray) -> Message:
        if len(values) != self.count:
            raise MalformedFrame(f"{self.cls.__name__}: {len(values)} fields instead of {self.count}")
        if not all(map(isinstance, values, self.types)):
            raise MalformedFrame(f"{self.cls.__name__}: a field has the wrong type")
        for position, convert in self.converters:
            values[position] = convert(values[position])
        if self.has_payload:
            return self.make(*values, payload)
        if payload:
            raise MalformedFrame(f"{self.cls.__name__}: carries a payload it does not have")
        return self.make(*values)


def _accepted(hint: object) -> type | tuple[type, ...]:
    """The Python types that msgpack yields for a field annotated `hint`."""
    if hint is float:
        return (float, int)
    if isinstance(hint, GenericAlias):
        return list if get_origin(hint) is tuple else dict
    if isinstance(hint, type):
        return list if hint not in (int, str, bytes, bool) else hint
    raise TypeError(f"a message field cannot be {hint!r}")


def _converter(hint: object) -> Callable[[Value], Value] | None:
    """What turns the msgpack value of a field into the annotated type, or None when it already is."""
    if isinstance(hint, GenericAlias):
        if get_origin(hint) is tuple:
            item = get_args(hint)[0]
            one = _converter(item)
            accepted = _accepted(item)

            def as_tuple(values: list[Value]) -> tuple[Value, ...]:
                if not all(isinstance(value, accepted) for value in values):
                    raise MalformedFrame("an item has the wrong type")
                return tuple(values) if one is None else tuple(map(one, values))

            return as_tuple
        return _as_string_map
    if hint in (int, str, bytes, bool, float):
        return None
    return _struct_builder(cast(type, hint))  # what is left is a struct class


def _as_string_map(value: dict[Value, Value]) -> dict[str, str]:
    if not all(isinstance(key, str) and isinstance(item, str) for key, item in value.items()):
        raise MalformedFrame("a map holds something other than strings")
    return value


@cache
def _struct_builder(cls: type) -> Callable[[list[Value]], object]:
    hints = get_type_hints(cls)
    names = [field.name for field in fields(cls)]
    types = tuple(_accepted(hints[name]) for name in names)
    converters = [(i, c) for i, name in enumerate(names) if (c := _converter(hints[name])) is not None]

    def build(values: list[Value]) -> object:
        if len(values) != len(types) or not all(map(isinstance, values, types)):
            raise MalformedFrame(f"{cls.__name__}: wrong fields")
        for position, convert in converters:
            values[position] = convert(values[position])
        return cls(*values)

    return build


@cache
def _struct_values(cls: type) -> Callable[[object], tuple[Value, ...]]:
    names = [field.name for field in fields(cls)]
    if len(names) == 1:
        only = attrgetter(names[0])
        return lambda value: (only(value),)
    return attrgetter(*names)


def _pack_struct(value: object) -> tuple[Value, ...]:
    return _struct_values(cast(Hashable, type(value)))(value)


@cache
def _codec(code: int) -> _Codec:
    cls = MESSAGES.get(code)
    if cls is None:
        raise MalformedFrame(f"no message has the code {code}")
    return _Codec(cls)


_packer = msgpack.Packer(default=_pack_struct, autoreset=True)


def encode(message: Message, kind: int = Kind.TELL, ask_id: int = 0) -> tuple[bytes, bytes]:
    """The frame of a message as (lengths and header, payload); write both, in this order."""
    codec = _codec(message.code)
    payload: bytes = message.payload if codec.has_payload else b""  # type: ignore[attr-defined]  # codec says so
    header = _packer.pack((message.code, kind, ask_id, *codec.values(message)))
    return _LENGTHS.pack(len(header), len(payload)) + header, payload


def frame_lengths(data: bytes | bytearray, position: int = 0) -> tuple[int, int]:
    """Bytes of header and payload that the frame beginning at `position` announces; the caller checks the limits."""
    lengths: tuple[int, int] = _LENGTHS.unpack_from(data, position)
    return lengths


def decode_parts(header: bytes | bytearray, payload: bytes | bytearray) -> Frame:
    """A frame whose parts a blocking reader received one by one; a large `payload` need not be copied to `bytes`."""
    return _decode(header, payload)


def decode_one(data: bytes) -> Frame:
    """The one frame that `data` holds exactly."""
    decoder = Decoder()
    frames = list(decoder.feed(data))
    if len(frames) != 1 or decoder.pending_bytes:
        raise MalformedFrame("not exactly one frame")
    return frames[0]


class Decoder:
    """Turns a stream of bytes, cut anywhere, into frames. One per connection.

    The pieces of a large frame are kept as they came and joined once, into its payload.
    """

    __slots__ = ("_max_header", "_max_payload", "_needed", "_pieces", "_size")

    def __init__(self, max_payload_bytes: int = MAX_PAYLOAD_BYTES, max_header_bytes: int = MAX_HEADER_BYTES) -> None:
        self._pieces: list[bytes] = []  # the frame that is not complete yet
        self._size = 0
        self._needed = _PREFIX_BYTES
        self._max_payload = max_payload_bytes
        self._max_header = max_header_bytes

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return self._size

    def feed(self, data: bytes | memoryview) -> Iterator[Frame]:
        """Take more bytes; yield every frame they complete. Raises WireError: close the connection then."""
        if not isinstance(data, bytes):
            data = bytes(data)
        large: Frame | None = None
        if self._pieces:
            self._keep(data)
            if self._size < self._needed:
                return
            large, data = self._complete()
        position = 0
        size = len(data)
        try:
            if large is not None:
                yield large
            while size - position >= _PREFIX_BYTES:
                header_bytes, payload_bytes = _LENGTHS.unpack_from(data, position)
                if header_bytes > self._max_header or payload_bytes > self._max_payload:
                    raise FrameTooLarge(f"a frame of {header_bytes} + {payload_bytes} bytes exceeds the limit")
                start = position + _PREFIX_BYTES
                middle = start + header_bytes
                end = middle + payload_bytes
                if end > size:
                    self._needed = end - position
                    break
                position = end
                yield _decode(data[start:middle], data[middle:end])
            else:
                self._needed = _PREFIX_BYTES
        finally:
            if position < size:
                self._pieces.append(data[position:])
                self._size = size - position

    def _keep(self, data: bytes) -> None:
        """Add a piece; small ones are merged, so that their number stays in proportion to their bytes."""
        self._size += len(data)
        if len(self._pieces[-1]) < _MERGE_BELOW_BYTES:
            self._pieces[-1] += data
        else:
            self._pieces.append(data)

    def _complete(self) -> tuple[Frame | None, bytes]:
        """The pieces hold a whole frame: it, when it is large, and the bytes that are still to be looked at."""
        pieces, self._pieces = self._pieces, []
        excess, self._size = self._size - self._needed, 0
        first = pieces[0]
        if self._needed < _LARGE_BYTES or len(pieces) == 1:
            return None, b"".join(pieces)
        middle = _PREFIX_BYTES + _LENGTHS.unpack_from(first)[0]
        if middle > len(first) or excess > len(pieces[-1]):
            return None, b"".join(pieces)
        cut = len(pieces[-1]) - excess
        last = pieces[-1]
        payload = b"".join((memoryview(first)[middle:], *pieces[1:-1], memoryview(last)[:cut]))
        return _decode(first[_PREFIX_BYTES:middle], payload), last[cut:]


def _decode(header: bytes | bytearray, payload: bytes | bytearray) -> Frame:
    try:
        values = msgpack.unpackb(header, strict_map_key=True, max_ext_len=0)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise MalformedFrame(f"the header is not msgpack: {error}") from error
    if type(values) is not list or len(values) < 3:
        raise MalformedFrame("the header is not an array of at least three values")
    code, kind, ask_id = values[:3]
    if type(code) is not int or kind not in (0, 1, 2) or type(ask_id) is not int:
        raise MalformedFrame("the header does not begin with code, kind and ask id")
    return Frame(kind, ask_id, _codec(code).build(values[3:], payload))
