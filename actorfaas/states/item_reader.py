"""The items of a Map state that come from an object in a store: from its bytes to one JSON text for each item.

Owns the formats of text (JSON, JSON Lines, CSV), the manifests that name objects, and how many items are taken; an
object is read in pieces and never held as a whole, but for JSON that is no array. Fetching it is left to who runs the
execution, and so is Parquet.
(https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html)
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Never

import orjson

from actorfaas.states.errors import STATES_ITEM_READER, StatedFailure
from actorfaas.states.scope import Json

MAX_ITEMS = 100_000_000
"""The most items that one Map state reads; a MaxItems above it counts as this."""

MAX_ITEM_BYTES = 16 * 1024 * 1024
"""The longest line of an object, and the longest element of a JSON array."""

MAX_WHOLE_BYTES = 64 * 1024 * 1024
"""The largest object that must be held as a whole: JSON that is no array, or with an ItemsPointer."""

FORMATS = ("JSON", "JSONL", "CSV", "PARQUET")
"""What an object with items can be."""

INVENTORY = "S3_INVENTORY"
ATHENA = "ATHENA_DATA"
LISTED = "LOAD_AND_FLATTEN"
"""What names the objects that have the items, in the words of ReaderConfig: manifests, or a listing."""

DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}

_SPACE = re.compile(r"[ \t\n\r]*")
_COMMA_OR_END = re.compile(r"[ \t\n\r]*([,\]])")


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """ReaderConfig: the format. `headers` () with CSV: the first row has them. `pointer`: where in a JSON object.
    `through`: what names the objects (INVENTORY, ATHENA, LISTED; "": the items are in the one that is named)."""

    input_type: str = "JSON"
    headers: tuple[str, ...] = ()
    delimiter: str = ","
    pointer: str = ""
    through: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the manifest of an inventory names: CSV objects with these headers in a bucket."""

    bucket: str
    keys: tuple[str, ...]
    headers: tuple[str, ...]


def item_limit(max_items: float) -> int:
    """How many items a MaxItems stands for (0: all). Raises StatesError (States.ItemReaderFailed)."""
    if max_items < 0:
        raise StatedFailure(STATES_ITEM_READER, "field MaxItems must be positive")
    return min(int(max_items) or MAX_ITEMS, MAX_ITEMS)


def item_lines(pieces: Iterable[bytes], config: ReaderConfig) -> Iterator[bytes]:
    """Each item of an object as JSON in one line. Raises StatesError (States.ItemReaderFailed) where it comes to
    what cannot be read."""
    match config.input_type:
        case "CSV":
            return _csv(pieces, config)
        case "JSONL":
            return (_one_line(line) for line in _lines(pieces) if line.strip())
        case _:
            return _json(iter(pieces), config.pointer)


def read_items(body: bytes, config: ReaderConfig, max_items: float) -> list[Json]:
    """The items of an object that is at hand, at most `max_items` (0: all). Raises StatesError."""
    return [orjson.loads(line) for line in islice(item_lines([body], config), item_limit(max_items))]


def inventory_of(body: bytes) -> Inventory:
    """What a manifest.json of an S3 inventory in CSV names. Raises StatesError (States.ItemReaderFailed)."""
    found = _decoded(body)
    try:
        if found["fileFormat"] != "CSV":
            _fail(f"An inventory in {found['fileFormat']} cannot be read, only one in CSV")
        headers = tuple(name.strip() for name in found["fileSchema"].split(","))
        bucket = found["destinationBucket"].removeprefix("arn:aws:s3:::")
        return Inventory(bucket, tuple(_key(one["key"]) for one in found["files"]), headers)
    except (AttributeError, KeyError, TypeError):
        _fail("The object is not the manifest of an inventory: fileFormat, fileSchema, destinationBucket, files")


def _key(key: Json) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{key!r} is no key of an object")
    return key


def athena_objects(pieces: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """The buckets and keys that the manifest of an Athena query names, one a line. Raises StatesError
    (States.ItemReaderFailed)."""
    for line in _lines(pieces):
        place = line.decode(errors="replace").strip().strip('"')
        bucket, _, key = place.removeprefix("s3://").partition("/")
        if place and (not place.startswith("s3://") or not key):
            _fail(f"The object is not the manifest of an Athena query: {place[:100]!r} is no s3://BUCKET/KEY")
        if place:
            yield bucket, key


def _fail(cause: str) -> Never:
    raise StatedFailure(STATES_ITEM_READER, cause) from None


def _decoded(text: bytes | str) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        _fail(f"Attempting to parse the items as JSON failed: {error}")


def _one_line(text: bytes | str) -> bytes:
    return _one_line_of(_decoded(text))


def _one_line_of(value: Json) -> bytes:
    try:
        return orjson.dumps(value)
    except (orjson.JSONEncodeError, RecursionError) as error:
        _fail(f"An item cannot be written as JSON: {error}")


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """An object's lines, without their ends."""
    rest = b""
    for piece in pieces:
        first, *others = piece.split(b"\n")
        rest += first
        if others:
            yield rest
            yield from others[:-1]
            rest = others[-1]
        if len(rest) > MAX_ITEM_BYTES:
            _fail(f"A line of the object has more than {MAX_ITEM_BYTES} bytes")
    if rest:
        yield rest


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json(pieces: Iterator[bytes], pointer: str) -> Iterator[bytes]:
    """The elements of an array, or the members of an object as Key and Value."""
    begun = b""
    while not begun.strip() and (piece := next(pieces, b"")):
        begun += piece
    if not pointer and begun.lstrip().startswith(b"["):
        return _elements(_rejoined(begun, pieces))
    return map(_one_line_of, _inside(_whole(_rejoined(begun, pieces)), pointer))


def _rejoined(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _whole(pieces: Iterator[bytes]) -> Json:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > MAX_WHOLE_BYTES:
            _fail(f"JSON of more than {MAX_WHOLE_BYTES} bytes must be an array, without an ItemsPointer")
    return _decoded(bytes(body))


def _inside(found: Json, pointer: str) -> Iterator[Json]:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            _fail(f"ItemsPointer {pointer!r} finds nothing in the object")
    if isinstance(found, dict):
        return iter([{"Key": name, "Value": value} for name, value in found.items()])
    if isinstance(found, list):
        return iter(found)
    _fail("Attempting to map over non-iterable node.")


class _Text:
    """An object's text as far as it was read, without what was taken."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.text = ""
        self.ended = False

    def more(self, taken: int) -> None:
        """Drop so many characters, and read on."""
        piece = next(self._pieces, b"")
        self.ended = not piece
        try:
            self.text = self.text[taken:] + self._decoder.decode(piece, final=self.ended)
        except UnicodeDecodeError as error:
            _fail(f"Attempting to parse the items as JSON failed: {error}")
        if len(self.text) > MAX_ITEM_BYTES + len(piece):
            _fail(f"An element of the array has more than {MAX_ITEM_BYTES} bytes, or the array does not end")


def _elements(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The elements of an array, one after the other."""
    source = _Text(pieces)
    while not source.text.strip():
        source.more(len(source.text))
    at = source.text.index("[") + 1
    decoder = json.JSONDecoder()
    is_first = True
    while True:
        start = _SPACE.match(source.text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
        if is_first and source.text.startswith("]", start):
            at = start + 1
            break
        end, closing = _element_end(decoder, source.text, start)
        if not closing:
            if source.ended:
                _decoded(source.text[start:])  # says what is wrong with it
                _fail("Attempting to parse the items as JSON failed: the array does not end")
            source.more(start)
            at = 0
            continue
        yield _one_line(source.text[start:end])
        is_first, at = False, source.text.index(closing, end) + 1
        if closing == "]":
            break
    _check_end(source, at)


def _element_end(decoder: json.JSONDecoder, text: str, start: int) -> tuple[int, str]:
    """Where an element ends, and what follows it: a comma or a bracket, "" where that is not in the text yet."""
    try:
        _, end = decoder.raw_decode(text, start)
    except json.JSONDecodeError:
        return start, ""
    except RecursionError:
        _fail("An item is nested too deeply")
    except ValueError as error:
        _fail(f"Attempting to parse the items as JSON failed: {error}")
    found = _COMMA_OR_END.match(text, end)
    return end, "" if found is None else found[1]


def _check_end(source: _Text, at: int) -> None:
    while True:
        if source.text[at:].strip():
            _fail("Attempting to parse the items as JSON failed: something follows the array")
        if source.ended:
            return
        source.more(len(source.text))
        at = 0


# --- CSV -------------------------------------------------------------------------------------------------------------


def _csv(pieces: Iterable[bytes], config: ReaderConfig) -> Iterator[bytes]:
    """Every row an object; fields that are missing are empty, those without a header are left out."""
    try:
        rows = csv.reader(_texts(pieces), delimiter=config.delimiter)
        headers = list(config.headers) or next(rows, [])
        for row in rows:
            if len(row) < len(headers):
                row += [""] * (len(headers) - len(row))
            yield orjson.dumps(dict(zip(headers, row, strict=False)))
    except (UnicodeDecodeError, csv.Error) as error:
        _fail(f"The object cannot be read as CSV: {error}")


def _texts(pieces: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(_lines(pieces)):
        yield line.decode("utf-8" if number else "utf-8-sig") + "\n"
