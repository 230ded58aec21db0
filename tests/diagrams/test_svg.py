"""Pictures as SVG."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from actorfaas.diagrams.style import ICONS, SIGNS, STYLE
from actorfaas.diagrams.svg import svg
from actorfaas.ids import STATUSES
from tests.states.machines_kit import definition, task

Json = Any  # a definition

ROOT = Path(__file__).resolve().parents[2]

INNER = definition(x=task(End=True))
EVERY_KIND = definition(
    a=task(Next="b", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "h"}]),
    b={"Type": "Pass", "Next": "c"},
    c={"Type": "Wait", "Seconds": 1, "Next": "d"},
    d={"Type": "Choice", "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "e"}], "Default": "g"},
    e={"Type": "Parallel", "Branches": [INNER, INNER], "Next": "f"},
    f={"Type": "Map", "ItemProcessor": INNER, "End": True},
    g={"Type": "Succeed"},
    h={"Type": "Fail"},
)
NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(source: Json, **more: Json) -> ElementTree.Element:
    return ElementTree.fromstring(svg(source, "title", **more))


def states(picture: ElementTree.Element) -> list[ElementTree.Element]:
    return [one for one in picture.iter(f"{NAMESPACE}g") if "data-state" in one.attrib]


def test_every_state_is_drawn_with_its_kind() -> None:
    found = [(one.get("data-state"), one.get("class")) for one in states(drawn(EVERY_KIND))]
    kinds = ["task", "pass", "wait", "choice", "parallel", "task", "task", "map", "task", "succeed", "fail"]
    assert found == [(name, f"state {kind}") for name, kind in zip("abcdexxfxgh", kinds, strict=True)]


def test_it_says_in_words_what_it_shows() -> None:
    picture = drawn(definition(a=task(Next="b"), b=task(End=True)) | {"Comment": "Two steps"})
    assert picture.get("role") == "img"
    title, description = picture.find(f"{NAMESPACE}title"), picture.find(f"{NAMESPACE}desc")
    assert title is not None
    assert description is not None
    assert picture.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert description.text == "Two steps 2 states. The start leads to a. a leads to b. b leads to the end."


def test_statuses_are_attributes_words_and_signs() -> None:
    found = states(drawn(EVERY_KIND, statuses={"a": "failed", "h": "succeeded", "unknown": "running"}))
    assert [one.get("data-status") for one in found][:2] == ["failed", ""]
    title = found[0].find(f"{NAMESPACE}title")
    assert title is not None
    assert title.text == "a: Task, f, failed"
    signs = [one for one in drawn(EVERY_KIND, statuses={"a": "failed"}).iter() if one.get("class") == "sign"]
    assert len(signs) == 1


def test_every_status_and_kind_has_its_looks() -> None:
    assert set(SIGNS) == {*STATUSES, "bottleneck"}
    states = {"Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"}
    assert set(ICONS) == {*states, "Client", "Function", "Workflow"}
    assert all(f"[data-status={status}]" in STYLE for status in STATUSES)
    assert STYLE.count("prefers-color-scheme:dark") == 1


def test_a_states_status_has_precedence_over_its_type() -> None:
    """Both are one class or attribute, so that the later rule holds."""
    light = STYLE.partition("@media")[0]
    types = [light.rindex(f" .{kind.lower()}{{color") if f" .{kind.lower()}{{color" in light else 0 for kind in ICONS]
    assert all(light.index(f"[data-status={status}]") > max(types) for status in STATUSES)


def test_names_are_text_whatever_they_are() -> None:
    name = "<b>&\"'</b>"
    picture = drawn(definition(**{name: task(End=True)}))
    assert states(picture)[0].get("data-state") == name
    texts = [one.text for one in picture.iter(f"{NAMESPACE}text")]
    assert name in texts


def test_what_xml_cannot_hold_is_replaced() -> None:
    assert (
        states(drawn(definition(**{"a\x00\x1b\uffff": task(End=True)})))[0].get("data-state") == "a\ufffd\ufffd\ufffd"
    )


def test_ids_have_the_prefix_that_was_asked_for() -> None:
    text = svg(EVERY_KIND, "title", prefix="one")
    ids = {one.get("id") for one in ElementTree.fromstring(text).iter() if "id" in one.attrib}
    assert ids == {"one-title", "one-desc", "one-arrow", "one-arrowcatch", "one-arrowcritical"}
    assert "#asl" not in text


@pytest.mark.parametrize("kind", ["", "catch"])
def test_arrows_are_there(kind: str) -> None:
    text = svg(EVERY_KIND, "title")
    assert f"url(#asl-arrow{kind})" in text
    assert f'id="asl-arrow{kind}"' in text


def test_no_line_ends_with_a_part_too_short_to_point_anywhere() -> None:
    """Rounding can make boxes and the ranks they stand in differ by what is not to be seen, as in this example."""
    source = json.loads((ROOT / "workflows" / "text_report" / "report.asl.json").read_text("utf-8"))
    paths = [one.get("d") or "" for one in drawn(source).iter(f"{NAMESPACE}path") if one.get("marker-end")]
    assert len(paths) > 10
    for path in paths:
        corners = re.findall(r"[\d.]+ [\d.]+", path)
        assert corners[-1] != corners[-2], path
