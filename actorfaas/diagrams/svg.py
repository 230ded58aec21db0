"""A definition as a picture: one SVG element that needs nothing else and follows the reader's light or dark scheme.

`svg(definition, title, statuses)` colours states by what became of them. Every state is a group with the attributes
`data-state` and `data-status`, so that a page may colour them anew without drawing again. Where things stand is
`diagrams.layout`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from actorfaas.diagrams.boxes import ICON_ROOM, NAME_LINE, NAME_SIZE, PADDING, SMALL_LINE, SMALL_SIZE, Box
from actorfaas.diagrams.layout import Label, Leg, Picture, Wire, lay_out
from actorfaas.diagrams.outline import Outline, outline
from actorfaas.diagrams.style import ICONS, SIGNS, STYLE

Json = Any  # a decoded JSON document: a definition

MARGIN = 16.0
MARKED = ("catch", "critical")
"""Kinds of links that are drawn differently."""

_NO_XML = dict.fromkeys([*(code for code in range(32) if code not in (9, 10, 13)), 0xFFFE, 0xFFFF], "\ufffd")
"""Characters that XML cannot hold (https://www.w3.org/TR/xml/#charsets)."""


def svg(
    definition: Mapping[str, Json], title: str, statuses: Mapping[str, str] | None = None, *, prefix: str = "asl"
) -> str:
    """The picture of a valid definition as SVG text.

    `statuses`: of states by name, one of `ids.STATUSES`; others are drawn as not reached. `prefix`: of the ids in
    the picture, which must differ among those in one page.
    """
    return drawn(outline(definition), title, description(definition), statuses, prefix=prefix)


def drawn(
    whole: Outline, title: str, told: str, statuses: Mapping[str, str] | None = None, *, prefix: str = "asl"
) -> str:
    """The picture of any graph; `told`: the same in words."""
    picture = lay_out(whole)
    width, height = picture.width + 2 * MARGIN, picture.height + 2 * MARGIN
    drawing = _Drawing(dict(statuses or {}), prefix)
    body = "\n".join(drawing.machine(picture, MARGIN, MARGIN))
    arrows = "".join(_arrow(prefix, kind) for kind in ("", *MARKED))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="asl-diagram" role="img" width="{width:.0f}"'
        f' height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' aria-labelledby="{prefix}-title {prefix}-desc">\n'
        f'<title id="{prefix}-title">{_escaped(title)}</title>\n'
        f'<desc id="{prefix}-desc">{_escaped(told)}</desc>\n'
        f"<style>{STYLE}</style>\n<defs>{arrows}</defs>\n"
        f'<rect class="ground" width="100%" height="100%"/>\n{body}\n</svg>\n'
    )


def description(definition: Mapping[str, Json]) -> str:
    """The picture in words: its comment, and what follows each state."""
    whole = outline(definition)
    names = {node.number: node.name for node in whole.nodes}
    sentences = [str(definition["Comment"])] if definition.get("Comment") else []
    sentences.append(f"{len(whole.nodes)} {'state' if len(whole.nodes) == 1 else 'states'}.")
    for link in whole.links:
        origin, target = names.get(link.origin, "The start"), names.get(link.target, "the end")
        label = f" ({link.label})" if link.label else ""
        sentences.append(f"{origin} leads to {target}{label}.")
    return " ".join(sentences)


def _arrow(prefix: str, kind: str) -> str:
    size = 13 if kind == "critical" else 8
    return (
        f'<marker id="{prefix}-arrow{kind}" class="arrow {kind}" viewBox="0 0 8 8" refX="7.5" refY="4"'
        f' markerWidth="{size}" markerHeight="{size}" markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0 0.5 8 4 0 7.5z"/></marker>'
    )


class _Drawing:
    """The elements of one picture."""

    def __init__(self, statuses: dict[str, str], prefix: str) -> None:
        self.statuses = statuses
        self.prefix = prefix

    def machine(self, picture: Picture, x: float, y: float) -> Iterator[str]:
        yield f'<g transform="translate({x:.1f} {y:.1f})">'
        for box in picture.boxes.values():
            yield from self.state(box) if box.name else self.mark(box)
        for wire in picture.wires:
            yield from self.wire(wire)
        yield "</g>"

    def mark(self, box: Box) -> Iterator[str]:
        radius = box.width / 2
        x, y = box.x + radius, box.y + radius
        yield f'<circle class="{box.kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius - 1:.1f}"/>'
        if box.kind == "end":
            yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius - 4:.1f}"/>'

    def state(self, box: Box) -> Iterator[str]:
        status = self.statuses.get(box.name, "")
        words = ", ".join(part for part in (box.detail, status.replace("_", " ")) if part)
        yield (
            f'<g class="state {box.kind.lower()}" data-state="{_escaped(box.name)}" data-status="{_escaped(status)}"'
            f' transform="translate({box.x:.1f} {box.y:.1f})">'
        )
        yield f"<title>{_escaped(f'{box.name}: {box.kind}' + (f', {words}' if words else ''))}</title>"
        if box.kind == "Choice":
            yield from self.diamond(box)
        else:
            yield from self.box(box)
        if status in SIGNS:
            yield f'<g class="sign" transform="translate({box.width - 8:.1f} 8)"><circle r="8"/>{SIGNS[status]}</g>'
        yield "</g>"

    def diamond(self, box: Box) -> Iterator[str]:
        x, y = box.width / 2, box.height / 2
        yield f'<path class="shape" d="M{x:.1f} 0 {box.width:.1f} {y:.1f} {x:.1f} {box.height:.1f} 0 {y:.1f}z"/>'
        yield from _words(box, x, y - box.text_height / 2, "middle")

    def box(self, box: Box) -> Iterator[str]:
        radius = min(box.height / 2, 20) if box.kind in ("Succeed", "Fail") else 6
        if box.kind == "Map":  # a frame in a frame: many of what is inside
            yield (
                f'<rect class="shape behind" x="3" y="3" width="{box.width - 6:.1f}" height="{box.height - 6:.1f}"'
                ' rx="4"/>'
            )
        yield f'<rect class="shape" width="{box.width:.1f}" height="{box.height:.1f}" rx="{radius:.0f}"/>'
        yield f'<g class="icon" transform="translate(9 {PADDING + NAME_LINE / 2 - 8:.1f})">{ICONS[box.kind]}</g>'
        yield from _words(box, ICON_ROOM, PADDING, "start")
        for branch in box.inner:
            if len(box.inner) > 1:
                wide, high = branch.picture.width + 2 * PADDING, branch.picture.height + 2 * PADDING
                yield (
                    f'<rect class="branch" x="{branch.x:.1f}" y="{branch.y:.1f}" width="{wide:.1f}"'
                    f' height="{high:.1f}" rx="4"/>'
                )
            yield from self.machine(branch.picture, branch.x + PADDING, branch.y + PADDING)

    def wire(self, wire: Wire) -> Iterator[str]:
        kind = wire.link.kind if wire.link.kind in MARKED else ""
        arrow = "" if wire.joins else f' marker-end="url(#{self.prefix}-arrow{kind})"'
        yield f'<path class="line {kind}{" rising" if wire.rises else ""}" d="{_path(wire.legs)}"{arrow}/>'
        if wire.label is not None:
            yield from _label(wire.label, wire.link.label, kind)


def _path(legs: Sequence[Leg]) -> str:
    parts: list[str] = []
    at = ""
    for leg in legs:
        start, *ends = (f"{point.x:.1f} {point.y:.1f}" for point in leg)
        if start != at:
            parts.append(f"M{start}")
        if leg.is_straight and ends[-1] != start:  # an arrow at the end of no line would point anywhere
            parts.append(f"L{ends[-1]}")
        elif not leg.is_straight:
            parts.append(f"C{' '.join(ends)}")
        at = ends[-1]
    return "".join(parts)


def _words(box: Box, x: float, y: float, anchor: str) -> Iterator[str]:
    """A box's words, below y."""
    for line in box.lines:
        y += NAME_LINE
        yield _text("name", x, y - NAME_LINE + NAME_SIZE, anchor, line)
    for line in box.details:
        y += SMALL_LINE
        yield _text("detail", x, y - SMALL_LINE + SMALL_SIZE, anchor, line)


def _label(label: Label, whole: str, kind: str) -> Iterator[str]:
    yield f'<g class="label {kind}"><title>{_escaped(whole)}</title>'
    y = label.y - label.height / 2
    for line in label.lines:
        yield _text("detail", label.x, y + SMALL_SIZE, "middle", line)
        y += SMALL_LINE
    yield "</g>"


def _text(kind: str, x: float, y: float, anchor: str, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_escaped(text)}</text>'


def _escaped(text: str) -> str:
    return escape(text.translate(_NO_XML))
