"""The flow on the page: what is drawn, the same in words, for a choice of what and since when; anew by itself."""

from __future__ import annotations

import pytest

from actorfaas.http.flow import LIMIT
from actorfaas.testing import running_node
from tests.browser.conftest import Visits
from tests.browser.kit import Visit
from tests.system.kit import Node

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def ran(node: Node) -> Node:
    """The module's node after some executions and calls. Most of their time goes into one handler, so that there is
    something to suggest however long instances take to start."""
    node.call("greet", {"name": "Ada"})
    for number in range(3):
        order = {"number": number, "name": "Ada", "items": ["tea", "cups"], "takes_s": 0.5}
        node.ended(node.start("shop", order))
    return node


def test_what_calls_what_is_drawn_and_told(visit: Visit, ran: Node) -> None:
    page = visit.open("flow")
    page.get_by_text("Bottleneck: ").wait_for()
    picture = page.get_by_role("region", name="What calls what")
    assert {"client", "shop", "greet", "prepare", "pack", "bill"} <= {
        str(one.get_attribute("data-state")) for one in picture.locator("[data-state]").all()
    }
    assert picture.locator(".line.critical").count()
    assert picture.get_by_text("of the path").count()
    rows = page.get_by_role("region", name="Every connection").locator("tbody tr")
    told = [row.inner_text().split("\t") for row in rows.all()]
    assert ["client", "calls", "shop"] in [one[:3] for one in told]
    assert ["shop.pack", "runs", "pack"] in [one[:3] for one in told]
    changes = page.get_by_role("region", name="What if").locator("tbody tr")
    assert "prepare 2 times faster" in [row.inner_text().split("\t")[0] for row in changes.all()]


def test_one_workflow_and_a_window_are_chosen_with_the_keyboard(visits: Visits, ran: Node) -> None:
    visit = visits(ran.url)
    page = visit.open("flow")
    page.get_by_text("Bottleneck: ").wait_for()
    page.get_by_label("Workflow or function").focus()
    page.keyboard.type("shop")
    page.get_by_text("× shop: ").wait_for()
    assert page.locator('.picture [data-state="greet"]').count() == 0
    page.keyboard.press("Tab")
    page.keyboard.type("in the last hour")
    page.wait_for_url("**/#/flow?name=shop&since=3600")
    page.reload()
    page.get_by_text("× shop: ").wait_for()
    assert page.get_by_label("Observed").input_value() == "3600"


def test_it_is_drawn_anew_by_itself(visit: Visit, ran: Node) -> None:
    page = visit.open("flow?name=delivery")
    page.get_by_text("Nothing was observed.").wait_for()
    assert page.get_by_role("region", name="What calls what").is_hidden()
    ran.ended(ran.start("delivery", {"name": "Ada", "gate": "/nowhere"}))
    page.get_by_text("× delivery: ").wait_for()
    row = page.get_by_role("region", name="Every connection").locator("tr", has_text="client")
    assert row.locator("td").nth(-2).inner_text() == "1"


def test_on_a_new_node_nothing_was_observed(visits: Visits) -> None:
    with running_node() as running:
        visit = visits(running.url)
        page = visit.open("flow")
        page.get_by_text("Nothing was observed.").wait_for()
        page.get_by_text(f"At most the newest {LIMIT} calls and {LIMIT} executions that are kept.").wait_for()
        visit.close()  # before its node ends
