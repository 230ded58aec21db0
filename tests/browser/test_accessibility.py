"""axe-core finds nothing serious in any view of the page, and nothing in the report of a load; light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorfaas.load import thresholds
from actorfaas.load.page import page as report
from actorfaas.load.summary import summarise
from actorfaas.testing import running_node
from tests.browser import kit
from tests.browser.conftest import Visits
from tests.browser.kit import Visit
from tests.load.kit import outcome
from tests.system.kit import Node

pytestmark = pytest.mark.browser

RUN = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations.map(
    (one) => [one.impact, one.id, one.nodes.map((node) => node.html.slice(0, 120))])"""


GRAVE = ("serious", "critical")


def faults(visit: Visit, impacts: tuple[str, ...] = GRAVE) -> list[object]:
    """Faults of the view as it is."""
    visit.page.evaluate(kit.axe())  # by the debugger: the page's policy would not let a script in
    return [one for one in visit.page.evaluate(RUN) if one[0] in impacts]


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("view", ["", "functions/greet", "workflows/shop", "executions", "flow", "workers", "logs"])
def test_views(visits: Visits, node: Node, scheme: str, view: str, width: int) -> None:
    node.call("greet", {"name": "Ada"})
    if view == "flow":
        node.ended(node.start("shop", {"number": 1, "name": "Ada", "items": [1]}))
    visit = visits(node.url, scheme=scheme, width=width)
    page = visit.open(view)
    page.get_by_role("heading").first.wait_for()
    if view == "flow":
        page.locator(".picture svg").wait_for()
    if view == "workers":
        page.locator("summary").first.click()
    if view == "workflows/shop":
        page.get_by_label("Input").fill("{")
        page.get_by_role("button", name="Start").click()
    assert not faults(visit)


@pytest.mark.parametrize("status", ["succeeded", "failed", "running"])
def test_an_execution(visits: Visits, node: Node, scheme: str, status: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    order = {"number": 1, "name": "Ada", "items": [1], "gate": str(gate)}
    if status == "succeeded":
        gate.touch()
    execution_id = node.start("delivery" if status == "failed" else "shop", order)
    if status != "running":
        node.ended(execution_id)
    visit = visits(node.url, scheme=scheme)
    page = visit.open(f"executions/{execution_id}")
    page.locator(f"[role=status] .badge.{status}").wait_for()
    page.locator(".picture svg").wait_for()
    page.locator(".waterfall button").first.click()
    page.locator(".lines li").first.wait_for()
    assert not faults(visit)
    gate.touch()


@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("is_open", [True, False])
def test_the_report_of_a_load(visits: Visits, scheme: str, width: int, is_open: bool, tmp_path: Path) -> None:
    found = outcome(is_open=is_open)
    found.processors = [0.97]  # it says that the generator was busy
    conditions = [thresholds.parse(one) for one in ("p50>10ms", "p50>10s")]
    (tmp_path / "report.html").write_text(report(summarise(found, conditions)), "utf-8")
    visit = visits(f"file://{tmp_path}", scheme=scheme, width=width)
    visit.page.goto(f"{visit.url}/report.html")
    visit.page.get_by_role("heading", name="Errors").wait_for()
    assert not faults(visit, ("minor", "moderate", *GRAVE))


def test_the_token_s_form(visits: Visits, scheme: str) -> None:
    with running_node(api_token="secret") as running:
        visit = visits(running.url, scheme=scheme)
        visit.expected = ("401",)
        page = visit.open("", live=False)
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("That was not").wait_for()
        assert not faults(visit)
        visit.close()  # before its node ends
