"""Sizes and places of everything in a picture of a machine, in pixels, from its upper left corner.

Parallel and Map states are frames around the pictures of what they run, whose places count from their own corners.
Ranks and orders are `diagrams.layering`'s, places from left to right `diagrams.placing`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from actorfaas.diagrams.boxes import Box, box_of, label_size, mark
from actorfaas.diagrams.layering import Entity, Layers, layered, lines
from actorfaas.diagrams.outline import END, START, Link, Outline
from actorfaas.diagrams.placing import centres, spread

LEAST_GAP, MOST_GAP = 15.0, 48.0
"""Between ranks: less where lines run straight down, more where they go far to a side."""
PORT_DISTANCE = 22.0
LOOP_ROOM = 34.0


class Point(NamedTuple):
    """A place."""

    x: float
    y: float


class Leg(NamedTuple):
    """A part of a line: a cubic Bézier curve, straight where the bends are at its ends."""

    start: Point
    bend: Point
    other_bend: Point
    end: Point

    @property
    def is_straight(self) -> bool:
        """Whether it is a straight line."""
        return self.bend == self.start and self.other_bend == self.end


@dataclass(frozen=True, slots=True)
class Label:
    """The words at a line, around the centre."""

    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Wire:
    """One link as a line from its origin, with a gap where its label stands, to its target, or (`joins`) to where it
    meets another line to the same target. `rises`: it leads back."""

    link: Link
    legs: tuple[Leg, ...]
    label: Label | None
    rises: bool
    joins: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """One machine."""

    boxes: dict[Entity, Box]
    wires: tuple[Wire, ...]
    width: float
    height: float


@dataclass(slots=True)
class _Plan:
    """What is known of a picture while it is made."""

    layers: Layers
    boxes: dict[Entity, Box]
    labels: dict[Entity, tuple[tuple[str, ...], float, float]]
    x: dict[Entity, float] = field(default_factory=dict)
    leaving: dict[tuple[Entity, Entity], float] = field(default_factory=dict)
    arriving: dict[tuple[Entity, Entity], float] = field(default_factory=dict)
    tops: list[float] = field(default_factory=list)
    bottoms: list[float] = field(default_factory=list)
    drawn: set[tuple[Entity, Entity]] = field(default_factory=set)


def lay_out(outline: Outline) -> Picture:
    """The picture of a machine."""
    boxes: dict[Entity, Box] = {START: mark("start")} if outline.has_start else {}
    for node in outline.nodes:
        boxes[node.number] = box_of(node, [lay_out(machine) for machine in node.machines])
    if outline.has_end:
        boxes[END] = mark("end")
    layers = layered(outline)
    labels = {entity: label_size(link.label) for link, entity in layers.labels.items()}
    plan = _Plan(layers, boxes, labels)
    _place_across(plan)
    _place_down(plan)
    wires = [_wire(plan, link, route) for link, route in layers.routes.items()]
    wires += (_loop(boxes[link.origin], link) for link in layers.loops)
    return _framed(plan, wires)


def _place_across(plan: _Plan) -> None:
    layers, boxes = plan.layers, plan.boxes
    widths = {entity: 0.0 for rank in layers.ranks for entity in rank}
    widths |= {entity: width for entity, (_, width, _) in plan.labels.items()}
    widths |= {entity: box.width for entity, box in boxes.items()}
    for link in layers.loops:
        widths[link.origin] += 2 * (LOOP_ROOM + label_size(link.label)[1])
    plan.x = centres(layers, widths, frozenset(boxes))
    for entity, box in boxes.items():
        box.x = plan.x[entity] - box.width / 2
        for others, ports in ((layers.below, plan.leaving), (layers.above, plan.arriving)):
            for other, x in _ports(box, sorted(others[entity], key=plan.x.__getitem__), plan.x):
                ports[(entity, other) if ports is plan.leaving else (other, entity)] = x


def _ports(box: Box, others: Sequence[Entity], x: Mapping[Entity, float]) -> list[tuple[Entity, float]]:
    """Where lines from (or to) others, given from left to right, touch a box."""
    if len(others) < 2 or not box.name:
        return [(other, box.centre) for other in others]
    reach = box.width * (0.28 if box.kind == "Choice" else 0.4)
    last = len(others) - 1
    distance = min(PORT_DISTANCE, 2 * reach / last)
    wanted = []
    for index, other in enumerate(others):  # not beyond what leaves room for those beside it
        least, most = box.centre - reach + index * distance, box.centre + reach - (last - index) * distance
        wanted.append(min(max(x[other], least), most))
    weights = [100.0 if abs(x[other] - box.centre) < 1 else 1.0 for other in others]  # straight lines stay straight
    return list(zip(others, spread(wanted, weights, distance), strict=True))


def _place_down(plan: _Plan) -> None:
    """Give every rank its height, and what is between ranks what the lines there need."""
    layers = plan.layers
    slants = [0.0] * len(layers.ranks)
    for upper, lower in lines(layers):
        start = plan.leaving.get((upper, lower), plan.x[upper])
        end = plan.arriving.get((upper, lower), plan.x[lower])
        number = layers.rank_of[upper]
        slants[number] = max(slants[number], abs(start - end))
    y = 0.0
    for rank, slant in zip(layers.ranks, slants, strict=True):
        height = max((_height(plan, entity) for entity in rank), default=0.0)
        plan.tops.append(y)
        plan.bottoms.append(y + height)
        for entity in rank:
            if entity in plan.boxes:
                plan.boxes[entity].y = y + (height - plan.boxes[entity].height) / 2
        y += height + min(LEAST_GAP + slant / 10, MOST_GAP)


def _height(plan: _Plan, entity: Entity) -> float:
    if entity in plan.boxes:
        return plan.boxes[entity].height
    return plan.labels[entity][2] if entity in plan.labels else 0.0


def _wire(plan: _Plan, link: Link, route: Sequence[Entity]) -> Wire:
    """A line from a link's origin to its target, or to where it joins another line to the same target."""
    rises = link in plan.layers.rising
    legs: list[Leg] = []
    joins = False
    for pair in pairwise(reversed(route) if rises else route):
        joins = pair in plan.drawn
        if joins:
            break
        plan.drawn.add(pair)
        _hop(plan, legs, pair, rises)
    return Wire(link, tuple(legs), _label(plan, link), rises, joins)


def _hop(plan: _Plan, legs: list[Leg], pair: tuple[Entity, Entity], rises: bool) -> None:
    """From one entity through its rank and to the next one."""
    entity, following = pair
    upper, lower = reversed(pair) if rises else pair
    leaving, arriving = (plan.arriving, plan.leaving) if rises else (plan.leaving, plan.arriving)
    x, next_x = leaving.get((upper, lower), plan.x[entity]), arriving.get((upper, lower), plan.x[following])
    entry, exit_ = (plan.bottoms, plan.tops) if rises else (plan.tops, plan.bottoms)
    rank, next_rank = plan.layers.rank_of[entity], plan.layers.rank_of[following]
    start = Point(x, entry[rank])
    if entity in plan.boxes:
        start = Point(x, plan.boxes[entity].edge_y(x, below=not rises))
    elif entity in plan.labels:
        middle, half = (entry[rank] + exit_[rank]) / 2, plan.labels[entity][2] / 2 * (-1 if rises else 1)
        _straight(legs, start, middle - half)
        start = Point(x, middle + half)
    at = _curve(legs, _straight(legs, start, exit_[rank]), Point(next_x, entry[next_rank]))
    if following in plan.boxes:
        _straight(legs, at, plan.boxes[following].edge_y(next_x, below=rises))


def _label(plan: _Plan, link: Link) -> Label | None:
    entity = plan.layers.labels.get(link)
    if entity is None:
        return None
    rank = plan.layers.rank_of[entity]
    text, width, height = plan.labels[entity]
    return Label(text, plan.x[entity], (plan.tops[rank] + plan.bottoms[rank]) / 2, width, height)


def _straight(legs: list[Leg], start: Point, y: float) -> Point:
    """Go straight up or down."""
    end = Point(start.x, y)
    if end != start:
        legs.append(Leg(start, start, end, end))
    return end


def _curve(legs: list[Leg], start: Point, end: Point) -> Point:
    if start.x == end.x:
        return _straight(legs, start, end.y)
    middle = (start.y + end.y) / 2
    legs.append(Leg(start, Point(start.x, middle), Point(end.x, middle), end))
    return end


def _loop(box: Box, link: Link) -> Wire:
    """A line from a state's right side to itself."""
    middle, x = box.y + box.height / 2, box.x + box.width
    away = min(12.0, box.height / 4)
    touch = x - away * box.width / box.height if box.kind == "Choice" else x
    lower, upper = Point(touch, middle + away), Point(touch, middle - away)
    leg = Leg(lower, Point(x + LOOP_ROOM, middle + 2 * away), Point(x + LOOP_ROOM, middle - 2 * away), upper)
    text, width, height = label_size(link.label)
    label = Label(text, x + LOOP_ROOM - 4 + width / 2, middle, width, height) if link.label else None
    return Wire(link, (leg,), label, rises=True, joins=False)


def _framed(plan: _Plan, wires: Sequence[Wire]) -> Picture:
    """Everything moved so that the leftmost is at 0."""
    edges = [(box.x, box.x + box.width) for box in plan.boxes.values()]
    edges += ((min(p.x for p in leg), max(p.x for p in leg)) for wire in wires for leg in wire.legs)
    edges += ((one.x - one.width / 2, one.x + one.width / 2) for one in (wire.label for wire in wires) if one)
    left, right = min(edge[0] for edge in edges), max(edge[1] for edge in edges)
    for box in plan.boxes.values():
        box.x -= left
    moved = tuple(_moved(wire, -left) for wire in wires)
    return Picture(plan.boxes, moved, right - left, plan.bottoms[-1])


def _moved(wire: Wire, by: float) -> Wire:
    legs = tuple(Leg(*(Point(point.x + by, point.y) for point in leg)) for leg in wire.legs)
    label = wire.label
    if label is not None:
        label = Label(label.lines, label.x + by, label.y, label.width, label.height)
    return Wire(wire.link, legs, label, wire.rises, wire.joins)
