"""The flow as a picture."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from actorfaas.flow import picture as module
from actorfaas.flow.diagnosis import diagnose
from actorfaas.flow.graph import graph_of
from actorfaas.flow.picture import picture
from actorfaas.flow.tree import Forest
from tests.flow.shapes import Traced, mapped

SVG = "{http://www.w3.org/2000/svg}"


def drawn(traced: Traced) -> tuple[ElementTree.Element, int]:
    forest = Forest(traced.spans)
    text, left_out = picture(graph_of(forest), diagnose(forest, {"work": 2}))
    return ElementTree.fromstring(text), left_out


def words(element: ElementTree.Element) -> str:
    return " ".join(one.text or "" for one in element.iter(f"{SVG}text"))


def test_the_bottleneck_has_a_sign_and_says_what_its_time_goes_into() -> None:
    root, left_out = drawn(mapped(8, 2, 20))
    nodes = {one.get("data-state"): one for one in root.iter() if "data-state" in one.attrib}
    assert {name: one.get("class") for name, one in nodes.items()} == {
        "client": "state client",
        "flow": "state workflow",
        "first": "state function",
        "work": "state function",
        "last": "state function",
    }
    assert [name for name, one in nodes.items() if one.get("data-status") == "bottleneck"] == ["work"]
    assert words(nodes["work"]) == "work queue 60%, run 20%"
    assert left_out == 0


def test_the_time_of_a_state_without_a_function_is_told_at_its_workflow() -> None:
    traced = Traced()
    flow = traced.execution("flow", (0, 100))
    traced.state("quick", (0, 0), (0, 20), flow)
    traced.add("state", "nap", (20, 100), flow)
    root, _ = drawn(traced)
    nodes = {one.get("data-state"): one for one in root.iter() if "data-state" in one.attrib}
    assert [name for name, one in nodes.items() if one.get("data-status") == "bottleneck"] == ["flow"]
    assert words(nodes["flow"]) == "flow nap wait 80%"


def test_the_critical_path_is_told_by_thickness_and_words() -> None:
    traced = Traced()
    flow = traced.execution("flow", (0, 100))
    both = traced.add("state", "both", (0, 100), flow)
    traced.state("quick", (0, 0), (0, 9), both, index="0")
    traced.state("slow", (0, 0), (0, 100), both, index="1")
    root, _ = drawn(traced)
    lines = [str(one.get("class", "")).split() for one in root.iter(f"{SVG}path")]
    assert sorted(line[1:] for line in lines if line[:1] == ["line"]) == [[], ["critical"], ["critical"]]
    labels = [one for one in root.iter(f"{SVG}g") if one.get("class", "").startswith("label")]
    assert ["100% of the path" in words(one) for one in labels].count(True) == 2
    assert "slow" in str(root.find(f"{SVG}desc").text)  # type: ignore[union-attr]  # every picture has one


def test_what_is_too_much_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EDGES", 2)
    root, left_out = drawn(mapped(8, 2, 20))
    assert {one.get("data-state") for one in root.iter() if "data-state" in one.attrib} == {"client", "flow", "work"}
    assert left_out == 2


def test_of_nothing_there_is_no_picture() -> None:
    assert picture(graph_of(Forest([])), diagnose(Forest([]), {})) == ("", 0)
