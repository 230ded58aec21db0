"""axe-core finds nothing serious in any view, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorfaas.testing import running_node
from tests.browser import kit
from tests.browser.conftest import Visits
from tests.browser.kit import Visit
from tests.system.kit import Node

pytestmark = pytest.mark.browser

RUN = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations.map(
    (one) => [one.impact, one.id, one.nodes.map((node) => node.html.slice(0, 120))])"""


def faults(visit: Visit) -> list[object]:
    """Serious and critical faults of the view as it is."""
    visit.page.evaluate(kit.axe())  # by the debugger: the page's policy would not let a script in
    return [one for one in visit.page.evaluate(RUN) if one[0] in ("serious", "critical")]


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("view", ["", "functions/greet", "workflows/shop", "executions", "workers", "logs"])
def test_views(visits: Visits, node: Node, scheme: str, view: str, width: int) -> None:
    node.call("greet", {"name": "Ada"})
    visit = visits(node.url, scheme=scheme, width=width)
    page = visit.open(view)
    page.get_by_role("heading").first.wait_for()
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
