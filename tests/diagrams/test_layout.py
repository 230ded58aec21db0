"""Sizes and places."""

from __future__ import annotations

from actorfaas.diagrams.boxes import Box
from actorfaas.diagrams.layout import Picture, lay_out
from actorfaas.diagrams.outline import outline
from tests.states.machines_kit import definition, task


def picture(**states: object) -> Picture:
    return lay_out(outline(definition(**states)))


def boxes(found: Picture) -> dict[str, Box]:
    return {box.name: box for box in found.boxes.values()}


def test_states_follow_each_other_downwards() -> None:
    found = boxes(picture(a=task(Next="b"), b=task(End=True)))
    assert found["a"].y + found["a"].height < found["b"].y
    assert found["a"].centre == found["b"].centre


def test_a_frame_holds_its_branches_in_rows() -> None:
    inner = definition(x=task(End=True))
    frame = boxes(picture(p={"Type": "Parallel", "Branches": [inner] * 40, "End": True}))["p"]
    corners = [(branch.x, branch.y) for branch in frame.inner]
    assert len(set(corners)) == 40
    assert len({y for _, y in corners}) > 1
    assert frame.width < 3 * frame.height


def test_a_line_back_ends_below_its_target() -> None:
    rules = [{"Variable": "$.x", "IsPresent": True, "Next": "a"}]
    found = picture(a=task(Next="b"), b={"Type": "Choice", "Choices": rules, "Default": "c"}, c=task(End=True))
    back = next(wire for wire in found.wires if wire.rises)
    end = boxes(found)["a"]
    assert back.legs[-1].end.y == end.y + end.height
    assert back.label is not None


def test_a_line_to_itself_stands_beside_its_state() -> None:
    rules = [{"Variable": "$.x", "IsPresent": True, "Next": "a"}]
    found = picture(a={"Type": "Choice", "Choices": rules, "Default": "b"}, b=task(End=True))
    loop = next(wire for wire in found.wires if wire.link.origin == wire.link.target)
    state = boxes(found)["a"]
    assert loop.label is not None
    assert loop.label.x - loop.label.width / 2 > state.x + state.width
    assert loop.label.x + loop.label.width / 2 <= found.width
