"""The 18 intrinsic functions of the States Language, on values.

Owns what each function does and which arguments it takes, with Step Functions' habits: numbers that are not whole are
rounded, StringSplit takes its delimiter for a set of characters and drops empty parts. How calls are written is left
to `states.intrinsics`; some are JSONata functions too (`states.query_functions`).
(https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from actorfaas.states.scope import Json, Outside

MAX_RANGE_ITEMS = 1000
_FORMAT_PART = re.compile(r"\\([\\{}'])|(\{\})")
_HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
_NOTHING = object()


class BadArgument(ValueError):
    """A function was called with a value it does not take; the text says which."""


def text_of(value: Json, what: str) -> str:
    if not isinstance(value, str):
        raise BadArgument(f"{what} must be a string")
    return value


def array_of(value: Json, what: str) -> list[Json]:
    if not isinstance(value, list):
        raise BadArgument(f"{what} must be an array")
    return value


def whole_of(value: Json, what: str) -> int:
    """A whole number; others are rounded to the nearest one, halves up."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadArgument(f"{what} must be a number")
    return value if isinstance(value, int) else math.floor(value + 0.5)


def shown(value: Json) -> str:
    """A value as States.Format writes it: as Java does, so that objects are `{a=1, b=[x]}`."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}={shown(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return written(value)


def written(value: Json) -> str:
    """JSON without spaces."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise BadArgument(f"the value cannot be written as JSON: {error}") from None


def same(value: Json) -> bytes:
    """What equal JSON values have in common; 1 and 1.0 differ, as do 1 and true."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise BadArgument(f"the value cannot be compared: {error}") from None


def fill(template: Json, *arguments: Json) -> str:
    """States.Format"""
    text = text_of(template, "the template")
    waiting = iter(arguments)

    def replacement(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        try:
            return shown(next(waiting))
        except StopIteration:
            raise BadArgument(f"the template has more places than the {len(arguments)} arguments fill") from None

    filled = _FORMAT_PART.sub(replacement, text)
    if next(waiting, _NOTHING) is not _NOTHING:
        raise BadArgument(f"the template has fewer places than its {len(arguments)} arguments")
    return filled


def parse_json(text: Json) -> Json:
    """States.StringToJson; blank text is null."""
    content = text_of(text, "the text")
    if not content.strip():
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadArgument(f"the text is not JSON: {error}") from None


def array(*items: Json) -> list[Json]:
    """States.Array"""
    return list(items)


def partition(items: Json, size: Json) -> list[Json]:
    """States.ArrayPartition"""
    whole = array_of(items, "the first argument")
    length = whole_of(size, "the chunk size")
    if length < 1:
        raise BadArgument("the chunk size must be positive")
    return [whole[start : start + length] for start in range(0, len(whole), length)]


def contains(items: Json, wanted: Json) -> bool:
    """States.ArrayContains"""
    key = same(wanted)
    return any(same(item) == key for item in array_of(items, "the first argument"))


def number_range(first: Json, last: Json, step: Json) -> list[Json]:
    """States.ArrayRange; both ends belong to it."""
    start, stop, stride = whole_of(first, "the start"), whole_of(last, "the end"), whole_of(step, "the step")
    if not stride:
        raise BadArgument("the step must not be 0")
    numbers = range(start, stop + (1 if stride > 0 else -1), stride)
    # bounded before len(): a range of more than 2^63 numbers has no length
    if len(numbers[: MAX_RANGE_ITEMS + 1]) > MAX_RANGE_ITEMS:
        raise BadArgument(f"the range has more than {MAX_RANGE_ITEMS} numbers")
    return list(numbers)


def item(items: Json, index: Json) -> Json:
    """States.ArrayGetItem"""
    whole = array_of(items, "the first argument")
    position = whole_of(index, "the index")
    if not 0 <= position < len(whole):
        raise BadArgument(f"the index {position} is outside the array, which has {len(whole)} items")
    return whole[position]


def length(items: Json) -> int:
    """States.ArrayLength"""
    return len(array_of(items, "the argument"))


def unique(items: Json) -> list[Json]:
    """States.ArrayUnique; of equal items the first stays."""
    return list({same(one): one for one in reversed(array_of(items, "the argument"))}.values())[::-1]


def encode(text: Json) -> str:
    """States.Base64Encode"""
    return base64.b64encode(_bytes(text_of(text, "the data"))).decode()


def decode(text: Json) -> str:
    """States.Base64Decode"""
    try:
        return base64.b64decode(_bytes(text_of(text, "the data")), validate=True).decode(errors="replace")
    except binascii.Error as error:
        raise BadArgument(f"the data is not Base64: {error}") from None


def digest(data: Json, algorithm: Json) -> str:
    """States.Hash"""
    name = _HASHES.get(text_of(algorithm, "the algorithm"))
    if name is None:
        raise BadArgument(f"the algorithm must be one of {', '.join(_HASHES)}")
    return hashlib.new(name, _bytes(text_of(data, "the data")), usedforsecurity=False).hexdigest()


def merge(first: Json, second: Json, deep: Json) -> dict[str, Json]:
    """States.JsonMerge; only shallow, as on Step Functions."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        raise BadArgument("only objects can be merged")
    if deep is not False:
        raise BadArgument("only shallow merging (false) is supported")
    return {**first, **second}


def random_number(outside: Outside, start: Json, end: Json, *seed: Json) -> int:
    """States.MathRandom; the end does not belong to it. The same seed always gives the same number."""
    low, high = whole_of(start, "the start"), whole_of(end, "the end")
    if low >= high:
        raise BadArgument("the start must be less than the end")
    chance = random.Random(whole_of(seed[0], "the seed")).random() if seed else outside.random()
    return min(low + math.floor(chance * (high - low)), high - 1)


def add(first: Json, second: Json) -> int:
    """States.MathAdd"""
    total = whole_of(first, "the first argument") + whole_of(second, "the second argument")
    if not -(2**63) <= total < 2**63:
        raise BadArgument("the sum does not fit into 64 bits")
    return total


def split(text: Json, delimiters: Json) -> list[Json]:
    """States.StringSplit"""
    content, separators = text_of(text, "the text"), text_of(delimiters, "the delimiter")
    parts = re.split(f"[{re.escape(separators)}]", content) if separators else [content]
    return [part for part in parts if part]


def new_uuid(outside: Outside) -> str:
    """States.UUID"""
    return outside.uuid()


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


@dataclass(frozen=True, slots=True)
class Function:
    """One function: how many arguments it takes (`most` None: any number), and whether it wants `Outside` first."""

    call: Callable[..., Json]
    least: int
    most: int | None
    wants_outside: bool = False


FUNCTIONS: dict[str, Function] = {
    "States.Format": Function(fill, 1, None),
    "States.StringToJson": Function(parse_json, 1, 1),
    "States.JsonToString": Function(written, 1, 1),
    "States.Array": Function(array, 0, None),
    "States.ArrayPartition": Function(partition, 2, 2),
    "States.ArrayContains": Function(contains, 2, 2),
    "States.ArrayRange": Function(number_range, 3, 3),
    "States.ArrayGetItem": Function(item, 2, 2),
    "States.ArrayLength": Function(length, 1, 1),
    "States.ArrayUnique": Function(unique, 1, 1),
    "States.Base64Encode": Function(encode, 1, 1),
    "States.Base64Decode": Function(decode, 1, 1),
    "States.Hash": Function(digest, 2, 2),
    "States.JsonMerge": Function(merge, 3, 3),
    "States.MathRandom": Function(random_number, 2, 3, wants_outside=True),
    "States.MathAdd": Function(add, 2, 2),
    "States.StringSplit": Function(split, 2, 2),
    "States.UUID": Function(new_uuid, 0, 0, wants_outside=True),
}
