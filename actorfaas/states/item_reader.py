"""The items of a Map state that come from an object in a store: from its bytes to a list.

Owns the formats (JSON, JSON Lines, CSV) and how many items are taken; fetching the object is left to who runs the
execution. (https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html)
"""

from __future__ import annotations

import csv
from dataclasses import dataclass

import orjson

from actorfaas.states.errors import STATES_ITEM_READER, StatedFailure
from actorfaas.states.scope import Json

MAX_ITEMS = 100_000_000
"""The most items that one Map state reads; a MaxItems above it counts as this."""

INPUT_TYPES = ("JSON", "JSONL", "CSV")
DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """ReaderConfig: the format. `headers` () with CSV: the first row has them. `pointer`: where in a JSON object."""

    input_type: str = "JSON"
    headers: tuple[str, ...] = ()
    delimiter: str = ","
    pointer: str = ""


def read_items(body: bytes, config: ReaderConfig, max_items: float) -> list[Json]:
    """The items of an object, at most `max_items` (0: all). Raises StatesError (States.ItemReaderFailed)."""
    if max_items < 0:
        raise StatedFailure(STATES_ITEM_READER, "field MaxItems must be positive")
    limit = min(int(max_items) or MAX_ITEMS, MAX_ITEMS)
    match config.input_type:
        case "CSV":
            items = _csv(body, config, limit)
        case "JSONL":
            items = [_decoded(line) for line in body.splitlines() if line.strip()]
        case _:
            items = _json(body, config.pointer)
    return items[:limit]


def _decoded(text: bytes) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise StatedFailure(STATES_ITEM_READER, f"Attempting to parse the items as JSON failed: {error}") from None


def _json(body: bytes, pointer: str) -> list[Json]:
    found = _decoded(body)
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise StatedFailure(STATES_ITEM_READER, f"ItemsPointer {pointer!r} finds nothing in the object")
    if isinstance(found, dict):
        return [{"Key": name, "Value": value} for name, value in found.items()]
    if isinstance(found, list):
        return found
    raise StatedFailure(STATES_ITEM_READER, "Attempting to map over non-iterable node.")


def _csv(body: bytes, config: ReaderConfig, limit: int) -> list[Json]:
    """Every row an object; fields that are missing are empty, those without a header are left out."""
    items: list[Json] = []
    try:
        lines = body.decode("utf-8-sig").removesuffix("\n").split("\n")
        rows = csv.reader((f"{line}\n" for line in lines), delimiter=config.delimiter)
        headers = list(config.headers) or next(rows, [])
        for row in rows:
            if len(items) == limit:
                break
            padded = row + [""] * (len(headers) - len(row))
            items.append(dict(zip(headers, padded, strict=False)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise StatedFailure(STATES_ITEM_READER, f"The object cannot be read as CSV: {error}") from None
    return items
