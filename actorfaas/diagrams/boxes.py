"""The boxes of states: their words in lines, their sizes, and where the pictures inside a frame stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actorfaas.diagrams.outline import Node
from actorfaas.diagrams.text import width as text_width
from actorfaas.diagrams.text import wrapped

if TYPE_CHECKING:
    from actorfaas.diagrams.layout import Picture

NAME_SIZE, SMALL_SIZE = 13.0, 11.0
NAME_LINE, SMALL_LINE = 17.0, 14.0
PADDING, ICON_ROOM = 10.0, 32.0
MARK_SIZE = 14.0

_TEXT_WIDTH, _CHOICE_WIDTH, _LABEL_WIDTH = 190.0, 140.0, 170.0
_LEAST_ROW, _ROW_SHAPE = 1100.0, 1.6


@dataclass(frozen=True, slots=True)
class Branch:
    """A picture inside a frame, and its upper left corner, from that of the frame."""

    picture: Picture
    x: float
    y: float


@dataclass(slots=True)
class Box:
    """A state or mark, at its upper left corner. `lines`: its name; `details`: what it does."""

    name: str
    kind: str
    detail: str
    lines: tuple[str, ...]
    details: tuple[str, ...]
    width: float
    height: float
    inner: list[Branch] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0

    @property
    def centre(self) -> float:
        """The x of its centre."""
        return self.x + self.width / 2

    def edge_y(self, x: float, *, below: bool) -> float:
        """The y of its upper or lower edge at an x."""
        reach = self.height / 2
        if self.kind == "Choice":
            reach *= 1 - abs(x - self.centre) / (self.width / 2)
        middle = self.y + self.height / 2
        return middle + reach if below else middle - reach

    @property
    def text_height(self) -> float:
        """How high its words are."""
        return NAME_LINE * len(self.lines) + SMALL_LINE * len(self.details)


def mark(kind: str) -> Box:
    """Where a machine begins or ends."""
    return Box("", kind, "", (), (), MARK_SIZE, MARK_SIZE)


def box_of(node: Node, pictures: Sequence[Picture]) -> Box:
    """A state's box, around the pictures of what it runs."""
    most = _CHOICE_WIDTH if node.kind == "Choice" else _TEXT_WIDTH
    shown = "" if node.detail == node.name else node.detail
    lines = wrapped(node.name, NAME_SIZE, most, 5)
    details = wrapped(shown, SMALL_SIZE, most, 3) if shown else ()
    box = Box(node.name, node.kind, node.detail, lines, details, 0.0, 0.0)
    wide = max(
        *(text_width(line, NAME_SIZE) for line in lines),
        *(text_width(line, SMALL_SIZE) for line in details),
        30.0,
    )
    if node.kind == "Choice":  # as much of the diamond's width as its words leave of its height
        box.height = max(54.0, 2 * box.text_height)
        box.width = wide / (1 - box.text_height / box.height) + PADDING
    else:
        box.width = ICON_ROOM + wide + PADDING
        box.height = box.text_height + 2 * PADDING
    if pictures:
        _around(box, pictures)
    return box


def _around(box: Box, pictures: Sequence[Picture]) -> None:
    """Put pictures below a frame's words, side by side in as many rows as keep it from being much wider than high."""
    area = sum((picture.width + 40) * (picture.height + 40) for picture in pictures)
    most_width = max(_LEAST_ROW, area**0.5 * _ROW_SHAPE)
    x, y, row = PADDING, box.height, 0.0
    for picture in pictures:
        wide, high = picture.width + 2 * PADDING, picture.height + 2 * PADDING
        if x > PADDING and x + wide > most_width:
            x, y, row = PADDING, y + row + PADDING, 0.0
        box.inner.append(Branch(picture, x, y))
        x, row = x + wide + PADDING, max(row, high)
        box.width = max(box.width, x)
    box.height = y + row + PADDING


def label_size(label: str) -> tuple[tuple[str, ...], float, float]:
    """A label in lines, its width and its height; nothing of no label."""
    if not label:
        return (), 0.0, 0.0
    lines = wrapped(label, SMALL_SIZE, _LABEL_WIDTH, 3)
    return lines, max(text_width(line, SMALL_SIZE) for line in lines) + 6, SMALL_LINE * len(lines) + 2
