"""The wire format: every message survives it, however the bytes are cut; nonsense is only ever a WireError."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import fields, is_dataclass
from types import GenericAlias
from typing import Any, get_args, get_origin, get_type_hints

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorfaas import wire
from actorfaas.errors import FrameTooLarge, MalformedFrame, WireError
from actorfaas.messages import (
    MESSAGES,
    Done,
    ForkTemplate,
    FunctionSpec,
    KvGet,
    KvKeys,
    KvValue,
    Message,
    Ready,
    TopicDemand,
)

ORDERED = [MESSAGES[code] for code in sorted(MESSAGES)]


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values for a message field annotated `hint`."""
    if isinstance(hint, GenericAlias):
        if get_origin(hint) is tuple:
            return st.lists(values_of(get_args(hint)[0]), max_size=3).map(tuple)
        return st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
    if is_dataclass(hint):
        return instances_of(hint)  # type: ignore[arg-type]  # a class, not an instance
    return {
        int: st.integers(-(2**63), 2**64 - 1),
        float: st.floats(allow_nan=False),
        str: st.text(max_size=20),
        bytes: st.binary(max_size=50),
        bool: st.booleans(),
    }[hint]


def instances_of(cls: type) -> st.SearchStrategy[Any]:
    """Instances of a message or struct class."""
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: values_of(hints[field.name]) for field in fields(cls)})


ANY_MESSAGE = st.sampled_from(ORDERED).flatmap(instances_of)
FRAMES = st.builds(wire.Frame, st.sampled_from([0, 1, 2]), st.integers(0, 2**32), ANY_MESSAGE)


def encoded(frame: wire.Frame) -> bytes:
    return b"".join(wire.encode(frame.message, frame.kind, frame.ask_id))


@pytest.mark.parametrize("cls", ORDERED, ids=lambda cls: cls.__name__)
def test_every_message_has_a_codec(cls: type[Message]) -> None:
    @settings(max_examples=10, deadline=None)
    @given(message=instances_of(cls))
    def survives(message: Message) -> None:
        back = wire.decode_one(b"".join(wire.encode(message, wire.Kind.ASK, 5)))
        assert back == wire.Frame(wire.Kind.ASK, 5, message)
        assert type(back.message) is cls

    survives()


@settings(deadline=None)
@given(frames=st.lists(FRAMES, max_size=5), data=st.data())
def test_frames_survive_every_cut(frames: list[wire.Frame], data: st.DataObject) -> None:
    stream = b"".join(map(encoded, frames))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=10).map(sorted))
    decoder = wire.Decoder()
    received: list[wire.Frame] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += decoder.feed(stream[start:end])
    assert received == frames
    assert decoder.pending_bytes == 0


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 4095, 65_535, 65_536, 200_000]), min_size=1, max_size=4),
    data=st.data(),
)
def test_large_frames_survive_every_cut(sizes: list[int], data: st.DataObject) -> None:
    messages = [KvValue(version=number, payload=bytes([65 + number]) * size) for number, size in enumerate(sizes)]
    stream = b"".join(b"".join(wire.encode(message)) for message in messages)
    near_the_start = st.integers(0, min(40, len(stream)))
    anywhere = st.integers(0, len(stream))
    cuts = data.draw(st.lists(near_the_start | anywhere, max_size=12).map(sorted))
    decoder = wire.Decoder()
    received: list[Message] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += [frame.message for frame in decoder.feed(stream[start:end])]
    assert received == messages
    assert decoder.pending_bytes == 0


def test_a_large_frame_in_tiny_pieces_does_not_cost_more_than_its_bytes() -> None:
    message = KvValue(version=1, payload=bytes(100_000))
    stream = b"".join(wire.encode(message))
    decoder = wire.Decoder()
    received: list[Message] = []
    for position in range(0, len(stream), 3):
        received += [frame.message for frame in decoder.feed(stream[position : position + 3])]
        assert len(decoder._pieces) <= 1 + position // 4096
    assert received == [message]


@settings(deadline=None)
@given(frame=FRAMES)
def test_byte_by_byte(frame: wire.Frame) -> None:
    decoder = wire.Decoder()
    stream = encoded(frame)
    for position in range(len(stream) - 1):
        assert list(decoder.feed(stream[position : position + 1])) == []
        assert decoder.pending_bytes == position + 1
    assert list(decoder.feed(memoryview(stream)[-1:])) == [frame]


@settings(deadline=None, max_examples=500)
@given(noise=st.binary(max_size=200))
def test_noise_is_a_wire_error_or_incomplete(noise: bytes) -> None:
    with suppress(WireError):
        list(wire.Decoder().feed(noise))


@settings(deadline=None, max_examples=300)
@given(frame=FRAMES, data=st.data())
def test_a_damaged_frame_is_a_wire_error_or_another_frame(frame: wire.Frame, data: st.DataObject) -> None:
    stream = bytearray(encoded(frame))
    position = data.draw(st.integers(8, len(stream) - 1))
    stream[position] ^= data.draw(st.integers(1, 255))
    with suppress(WireError):
        list(wire.Decoder().feed(bytes(stream)))


ODD_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None, max_examples=500)
@given(header=st.lists(ODD_VALUES, max_size=8), code=st.sampled_from(sorted(MESSAGES)))
def test_fields_of_other_types_are_wire_errors(header: list[Any], code: int) -> None:
    for values in (header, [code, 0, 0, *header]):
        packed = msgpack.packb(values)
        with suppress(WireError):
            wire.decode_one(struct.pack("!II", len(packed), 0) + packed)


def raw(values: object, payload: bytes = b"") -> bytes:
    header = msgpack.packb(values)
    return struct.pack("!II", len(header), len(payload)) + header + payload


DEMAND = TopicDemand(topic="t", waiting=1, members=2, busy=2)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (raw({"code": 3}), "not an array"),
        (raw([3, 0]), "at least three"),
        (raw([9999, 0, 0]), "no message has the code 9999"),
        (raw([3, 3, 0]), "code, kind and ask id"),
        (raw([3, 0, "1"]), "code, kind and ask id"),
        (raw([3, 0, 0, 1]), "Done: 1 fields instead of 0"),
        (raw([DEMAND.code, 0, 0, "t", 1, 2, "2"]), "TopicDemand: a field has the wrong type"),
        (raw([KvKeys.code, 0, 0, ["a", 1]]), "an item has the wrong type"),
        (raw([Done.code, 0, 0], b"x"), "carries a payload it does not have"),
        (struct.pack("!II", 3, 0) + b"\xc1\xc1\xc1", "not msgpack"),
        (raw([3, 0, 0]) + b"x", "not exactly one frame"),
        (raw([3, 0, 0]) * 2, "not exactly one frame"),
        (b"", "not exactly one frame"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    with pytest.raises(MalformedFrame, match=why):
        wire.decode_one(data)


@pytest.mark.parametrize("lengths", [(wire.MAX_HEADER_BYTES + 1, 0), (8, wire.MAX_PAYLOAD_BYTES + 1)])
def test_announced_sizes_beyond_the_limits_are_refused_before_they_are_read(lengths: tuple[int, int]) -> None:
    with pytest.raises(FrameTooLarge):
        list(wire.Decoder().feed(struct.pack("!II", *lengths)))


def test_frames_before_the_bad_one_are_delivered() -> None:
    frames = wire.Decoder().feed(b"".join(wire.encode(DEMAND)) + raw([9999, 0, 0]))
    assert next(frames).message == DEMAND
    with pytest.raises(WireError):
        next(frames)


def test_a_limit_for_payloads_of_one_connection() -> None:
    frame = b"".join(wire.encode(KvValue(version=1, payload=b"x" * 11)))
    assert list(wire.Decoder(max_payload_bytes=11).feed(frame))
    with pytest.raises(FrameTooLarge):
        list(wire.Decoder(max_payload_bytes=10).feed(frame))


def test_a_payload_travels_beside_the_header_untouched() -> None:
    payload = b'{"a": [1, 2]}'
    header, beside = wire.encode(KvValue(version=1, payload=payload))
    assert beside is payload
    assert payload not in header
    assert wire.frame_lengths(header) == (len(header) - wire.FRAME_PREFIX_BYTES, len(payload))
    assert wire.decode_parts(header[8:], bytearray(payload)).message == KvValue(version=1, payload=payload)


def test_structs_and_their_tuples_nest() -> None:
    spec = FunctionSpec(
        name="f", module="app", kind="sync", strategy="auto", timeout_s=1, memory_mb=1,
        concurrency=1, queue_limit=1, warm=1, idle_timeout_s=1.5, retries=0, retry_delay_s=0.0, init="",
        env={"A": "b"}, description="",
    )  # fmt: skip
    message = ForkTemplate(function_topic="f@1", spec=spec)
    assert wire.decode_one(encoded(wire.Frame(0, 0, message))).message == message
    assert wire.decode_one(encoded(wire.Frame(0, 0, Ready(actors=("a", "b"))))).message == Ready(actors=("a", "b"))


def test_messages_are_immutable_and_their_numbers_their_own() -> None:
    with pytest.raises(AttributeError):
        KvGet(namespace="", key="").key = "other"  # type: ignore[misc]  # that it cannot be is the point
    assert {cls.code for cls in ORDERED} == set(MESSAGES)
