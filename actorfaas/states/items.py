"""The items that a Map state's ItemReader found: one JSON text a line, decoded one after the other as they are taken.

The lines are in a buffer of whoever read them, which may be a memory map: then a million items take no memory of the
process. Reading and removing the file behind it is left to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, overload

import orjson

from actorfaas.states.scope import Json


class Lines(Protocol):
    """Bytes in which lines are found: `bytes` or an `mmap`."""

    def find(self, sub: bytes, start: int, /) -> int: ...

    def __getitem__(self, place: slice, /) -> bytes: ...


class ItemLines(Sequence[Json]):
    """`count` items, each a line that ends with a newline. Going through them in order costs one look at each."""

    __slots__ = ("_at", "_count", "_index", "_lines")

    def __init__(self, lines: Lines, count: int) -> None:
        self._lines = lines
        self._count = count
        self._index = 0
        self._at = 0

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Json: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Json]: ...

    def __getitem__(self, index: int | slice) -> Json:
        """One item. Raises IndexError, and TypeError for a slice: nobody needs many at once."""
        if isinstance(index, slice):
            raise TypeError("items are taken one by one")
        if not 0 <= index < self._count:
            raise IndexError(index)
        if index < self._index:
            self._index = self._at = 0
        while self._index < index:
            self._at = self._lines.find(b"\n", self._at) + 1
            self._index += 1
        end = self._lines.find(b"\n", self._at)
        item = orjson.loads(self._lines[self._at : end])
        self._index, self._at = index + 1, end + 1
        return item
