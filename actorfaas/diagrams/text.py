"""How wide text is, and lines that are no wider than they may be.

Which font draws a picture is not known when it is made, so widths are those of the widest common sans-serif fonts.
"""

from __future__ import annotations

import re
import unicodedata

_NARROW = frozenset("iljtfrI.,:;'|![](){}/\\ -`")
_WIDE = frozenset("mwMWQOGD@%&=<>+~^#≤≥…→")
_JOINTS = re.compile(r"(?<=[_\-./,:|&])|(?<=[a-z])(?=[A-Z])")

ELLIPSIS = "…"


def width(text: str, size: float) -> float:
    """The width in pixels of text in a font of this size."""
    return sum(_em(character) for character in text) * size


def _em(character: str) -> float:
    if character in _NARROW:
        return 0.42
    if character in _WIDE:
        return 1.0
    if character.isascii():
        return 0.73 if character.isupper() else 0.64
    if unicodedata.combining(character):
        return 0.0
    return 1.05 if unicodedata.east_asian_width(character) in "WFA" else 0.8


def wrapped(text: str, size: float, most_width: float, most_lines: int) -> tuple[str, ...]:
    """Text in lines of at most `most_width` pixels; what does not fit into `most_lines` is left out, as "…" tells."""
    lines = [""]
    for word in text.split():
        pieces = [word] if width(word, size) <= most_width else _parts(word, size, most_width)
        for number, piece in enumerate(pieces):
            joined = f"{lines[-1]} {piece}" if lines[-1] and number == 0 else lines[-1] + piece
            if lines[-1] and width(joined, size) > most_width:
                lines.append(piece)
            else:
                lines[-1] = joined
    if len(lines) > most_lines:
        lines[most_lines - 1 :] = [_shortened(lines[most_lines - 1], size, most_width)]
    return tuple(lines)


def _parts(word: str, size: float, most_width: float) -> list[str]:
    """A word that is wider than a line, in pieces that are not: cut where names have joints, else anywhere."""
    parts = []
    for piece in filter(None, _JOINTS.split(word)):
        parts.append("")
        for character in piece:
            if parts[-1] and width(parts[-1] + character, size) > most_width:
                parts.append("")
            parts[-1] += character
    return parts


def _shortened(line: str, size: float, most_width: float) -> str:
    while line and width(line + ELLIPSIS, size) > most_width:
        line = line[:-1]
    return line.rstrip() + ELLIPSIS
