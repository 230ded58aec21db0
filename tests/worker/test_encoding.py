"""JSON in and out of handlers, with orjson and with the standard library's encoder."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import Callable

import numpy
import orjson
import pytest

from actorfaas.wire import MAX_PAYLOAD_BYTES
from actorfaas.worker import encoding
from actorfaas.worker.encoding import BadPayload, BadResult, dumps, loads


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: float
    tags: list[str]


@pytest.fixture(params=["orjson", "json"], autouse=True)
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "json":
        monkeypatch.setattr(encoding, "orjson", None)
    return str(request.param)


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ({"a": [1, 2.5, True, "ü"]}, {"a": [1, 2.5, True, "ü"]}),
        ((1, 2), [1, 2]),
        ({1: "one", None: 2}, {"1": "one", "null": 2}),
        (Point(1.0, ["a"]), {"x": 1.0, "tags": ["a"]}),
        (Colour.RED, "red"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (numpy.int64(7), 7),
        (numpy.float32(1.5), 1.5),
        (numpy.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (numpy.arange(6)[::2], [0, 2, 4]),
        (numpy.array(["a", "b"]), ["a", "b"]),
    ],
)
def test_what_a_result_may_hold(value: object, expected: object) -> None:
    assert orjson.loads(dumps(value)) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_become_null(value: float) -> None:
    assert dumps({"x": [value, 1.0]}) == b'{"x":[null,1.0]}'


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"x", "result is bytes: JSON has no bytes"),
        ({"items": [1, {"raw": bytearray(b"x")}]}, "result['items'][1]['raw'] is bytearray"),
        ({"a": [1, {2}]}, "result['a'][1] is a set, which is not JSON"),
        ({"a": object()}, "result['a'] is an object, which is not JSON"),
        ({(1, 2): 3}, "a key of result is a tuple"),
        (decimal.Decimal("1.5"), "result is a Decimal"),
        (numpy.complex64(1), "result is a complex64"),
        ({"s": "\ud800"}, "result['s'] is a str that is not JSON"),
    ],
)
def test_a_refused_result_names_the_place_and_the_type(value: object, says: str) -> None:
    with pytest.raises(BadResult) as caught:
        dumps(value)
    assert says in str(caught.value)


def test_a_result_that_contains_itself() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(BadResult, match=r"nested deeper than 254 levels \(or contains itself\)"):
        dumps(value)


def test_a_result_nested_too_deeply() -> None:
    with pytest.raises(BadResult, match="nested deeper"):
        dumps(nested(200_000))


def test_a_result_that_is_too_large() -> None:
    with pytest.raises(BadResult, match="bytes of JSON; at most"):
        dumps("x" * MAX_PAYLOAD_BYTES)


@pytest.mark.parametrize("payload", [b"{", b"NaN", b"[" * 200_000, b"\xff", b"{'a': 1}", b"1 2"])
@pytest.mark.parametrize("buffer", [bytes, bytearray])
def test_a_payload_that_is_not_json(payload: bytes, buffer: Callable[[bytes], bytes]) -> None:
    with pytest.raises(BadPayload, match="the payload is not JSON"):
        loads(buffer(payload))


def test_an_empty_payload_is_null() -> None:
    assert loads(b"") is None


def test_integers_beyond_64_bits_depend_on_the_encoder(encoder: str) -> None:
    if encoder == "json":
        assert dumps(2**70) == b"1180591620717411303424"
        return
    with pytest.raises(BadResult, match="result is an int that is not JSON"):
        dumps(2**70)
