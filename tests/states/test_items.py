"""Items as lines in a buffer."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from actorfaas.states.items import ItemLines

LINES = b'{"a":1}\n"x"\n[]\n4\n'
ITEMS = [{"a": 1}, "x", [], 4]


def test_items_are_found_in_any_order() -> None:
    items = ItemLines(LINES, 4)
    assert len(items) == 4
    assert [items[index] for index in range(4)] == ITEMS
    assert [items[index] for index in (3, 0, 2, 2, 1)] == [4, {"a": 1}, [], [], "x"]
    assert list(items) == ITEMS


def test_what_is_not_there() -> None:
    items = ItemLines(b"", 0)
    assert list(items) == []
    for index in (0, -1):
        with pytest.raises(IndexError):
            items[index]
    with pytest.raises(TypeError):
        ItemLines(LINES, 4)[0:2]


def test_items_may_lie_in_a_memory_map(tmp_path: Path) -> None:
    path = tmp_path / "items"
    path.write_bytes(LINES)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert list(ItemLines(mapped, 4)) == ITEMS
