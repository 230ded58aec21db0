"""Any definition as a picture: everything is there, nothing overlaps, every line leads from its state to its state."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree

import orjson
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from actorfaas.diagrams.boxes import ICON_ROOM, NAME_SIZE, SMALL_SIZE, Box
from actorfaas.diagrams.layout import Label, Picture, Point, Wire, lay_out
from actorfaas.diagrams.mermaid import mermaid
from actorfaas.diagrams.outline import Outline, outline
from actorfaas.diagrams.svg import svg
from actorfaas.diagrams.text import width
from actorfaas.states.validate import validate
from tests.properties.test_machines import machines

Json = Any  # a definition

Area = tuple[float, float, float, float]  # left, top, right, bottom

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
NEAR = 1e-6


Ways = tuple[str, list[int], int | None]  # of a state: its type, where rules or catchers lead, what follows


def tangle(ways: list[Ways]) -> Json:
    """One machine of states with these ways between them."""
    names = [f"state {number}" for number in range(len(ways))]
    states: dict[str, Json] = {}
    for name, (kind, ends, following) in zip(names, ways, strict=True):
        if kind == "Choice":
            rules = [{"Variable": "$.x", "NumericEquals": n, "Next": names[end]} for n, end in enumerate(ends)]
            states[name] = {"Type": kind, "Choices": rules, "Default": names[following or 0]}
            continue
        catch = [{"ErrorEquals": [f"E{n}"], "Next": names[end]} for n, end in enumerate(ends)]
        ending = {"End": True} if following is None else {"Next": names[following]}
        states[name] = {"Type": kind, "Resource": "f", "Catch": catch, **ending}
    return {"StartAt": names[0], "States": states}


@st.composite
def tangles(draw: st.DrawFn) -> Json:
    """A machine of many states with many ways between them: what definitions rarely are, and layouts fear."""
    count = draw(st.integers(1, 12))
    anywhere = st.integers(0, count - 1)
    choice = st.tuples(st.just("Choice"), st.lists(anywhere, min_size=1, max_size=4), anywhere)
    task = st.tuples(st.just("Task"), st.lists(anywhere, max_size=3), st.none() | anywhere)
    return tangle(draw(st.lists(choice | task, min_size=count, max_size=count)))


TWO_LABELS_IN_ONE_PLACE = tangle(
    [
        ("Task", [2, 6, 8], 10),
        ("Task", [4, 5, 6], None),
        ("Choice", [1, 3], 11),
        ("Task", [], None),
        ("Task", [4, 9, 10], 1),
        ("Choice", [0, 2, 6, 7], 8),
        ("Choice", [1], 7),
        ("Choice", [2, 5], 1),
        ("Task", [0, 0, 11], 3),
        ("Choice", [1], 6),
        ("Task", [7], None),
        ("Task", [], None),
    ]
)

DEFINITIONS = tangles() | st.booleans().flatmap(lambda jsonata: machines(2, jsonata=jsonata))


def pictures(whole: Outline, found: Picture) -> Iterator[tuple[Outline, Picture]]:
    """A picture and all inside it, each with what it shows."""
    yield whole, found
    for node in whole.nodes:
        for machine, branch in zip(node.machines, found.boxes[node.number].inner, strict=True):
            yield from pictures(machine, branch.picture)


def area(box: Box) -> Area:
    return box.x, box.y, box.x + box.width, box.y + box.height


def label_area(label: Label) -> Area:
    half, high = label.width / 2, label.height / 2
    return label.x - half, label.y - high, label.x + half, label.y + high


def overlap(one: Area, other: Area) -> bool:
    return min(one[2], other[2]) - max(one[0], other[0]) > NEAR and min(one[3], other[3]) - max(one[1], other[1]) > NEAR


def is_inside(inner: Area, outer: Area) -> bool:
    return (
        inner[0] > outer[0] - NEAR
        and inner[1] > outer[1] - NEAR
        and inner[2] < outer[2] + NEAR
        and inner[3] < outer[3] + NEAR
    )


def is_on_edge(point: Point, box: Box) -> bool:
    if box.kind == "Choice":
        reach = abs(point.x - box.centre) / (box.width / 2) + abs(point.y - box.y - box.height / 2) / (box.height / 2)
        return abs(reach - 1) < NEAR
    left, top, right, bottom = area(box)
    return left - NEAR <= point.x <= right + NEAR and (
        min(abs(point.y - top), abs(point.y - bottom)) < NEAR
        or (min(abs(point.x - left), abs(point.x - right)) < NEAR and top <= point.y <= bottom)
    )


def way(wire: Wire, found: Picture) -> list[Point]:
    """All corners of a line to its very end, along those that it joins."""
    corners = [point for leg in wire.legs for point in (leg.start, leg.end)]
    while wire.joins:
        wire = next(
            other
            for other in found.wires
            if other.link.target == wire.link.target
            and other is not wire
            and any(leg.start == corners[-1] for leg in other.legs)
        )
        begins = next(number for number, leg in enumerate(wire.legs) if leg.start == corners[-1])
        corners += [point for leg in wire.legs[begins:] for point in (leg.start, leg.end)]
    return corners


@given(DEFINITIONS)
@example(TWO_LABELS_IN_ONE_PLACE)
@UNHURRIED
def test_pictures(source: Json) -> None:
    assume(not validate(orjson.dumps(source), refused=()))
    whole = outline(source)
    for machine, found in pictures(whole, lay_out(whole)):
        names = [box.name for box in found.boxes.values() if box.name]
        assert names == [node.name for node in machine.nodes]
        assert {wire.link for wire in found.wires} == set(machine.links)
        paper = (0.0, 0.0, found.width, found.height)
        labels = [label_area(wire.label) for wire in found.wires if wire.label is not None]
        areas = [area(box) for box in found.boxes.values()]
        assert all(is_inside(one, paper) for one in [*areas, *labels])
        assert not any(overlap(*both) for both in combinations([*areas, *labels], 2))
        for wire in found.wires:
            assert bool(wire.label) == bool(wire.link.label)
            corners = way(wire, found)
            assert is_on_edge(corners[0], found.boxes[wire.link.origin])
            assert is_on_edge(corners[-1], found.boxes[wire.link.target])
            check_line(wire, found)
        for box in found.boxes.values():
            check_words(box)
            check_frame(box)
    text = svg(source, "any")
    drawn = [one.get("data-state") for one in ElementTree.fromstring(text).iter() if "data-state" in one.attrib]
    assert len(drawn) == sum(len(machine.nodes) for machine, _ in pictures(whole, lay_out(whole)))
    assert mermaid(source).count("subgraph") == mermaid(source).count("    end\n")


def check_line(wire: Wire, found: Picture) -> None:
    """No line is broken but at its label, and none runs through a state."""
    gaps = [(one.end, other.start) for one, other in pairwise(wire.legs) if one.end != other.start]
    assert len(gaps) == (wire.label is not None and wire.link.origin != wire.link.target)
    if wire.link.origin == wire.link.target:
        return
    for leg in wire.legs:
        left, right = sorted((leg.start.x, leg.end.x))
        top, bottom = sorted((leg.start.y, leg.end.y))
        for number, box in found.boxes.items():
            is_end = number in (wire.link.origin, wire.link.target)
            assert is_end or not overlap((left - 1, top, right + 1, bottom), area(box))


def check_words(box: Box) -> None:
    """Words are inside their box; in a diamond, inside the diamond."""
    if not box.name:
        return
    widths = [width(line, NAME_SIZE) for line in box.lines] + [width(line, SMALL_SIZE) for line in box.details]
    if box.kind == "Choice":
        assert max(widths) / box.width + box.text_height / box.height <= 1
    else:
        assert max(widths) + ICON_ROOM <= box.width
        assert box.text_height < box.height


def check_frame(box: Box) -> None:
    """The pictures in a frame are inside it, below its words, and not over each other."""
    places = [
        (branch.x, branch.y, branch.x + branch.picture.width, branch.y + branch.picture.height) for branch in box.inner
    ]
    assert all(is_inside(place, (0.0, box.text_height, box.width, box.height)) for place in places)
    assert not any(overlap(*both) for both in combinations(places, 2))
