"""The page as a person uses it: start, watch, stop, redrive, filter, read; with the keyboard, with a token, narrow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from actorfaas.testing import running_node
from tests.browser.conftest import Visits
from tests.browser.kit import Visit
from tests.system.kit import Node, eventually

pytestmark = pytest.mark.browser

VIEWS = ("", "functions/greet", "workflows/shop", "executions", "flow", "workers", "logs")


def order(gate: Path, **changes: object) -> dict[str, object]:
    return {"number": 7, "name": "Ada", "items": ["tea", "cups"], "gate": str(gate), **changes}


def test_functions_and_workflows_are_listed_with_what_they_do_now(visit: Visit, node: Node) -> None:
    page = visit.open("")
    row = page.locator("tr", has=page.get_by_role("link", name="greet", exact=True))
    assert row.locator("td").nth(1).inner_text() == "0"

    def has_rate() -> bool:
        assert node.call("greet", {"name": "Ada"}).status_code == 200
        return str(row.locator("td").nth(1).inner_text()) != "0"

    eventually(has_rate, "a rate")
    assert re.search(r"\d+ % (fork|resident)", row.inner_text())
    assert page.get_by_role("link", name="delivery", exact=True).count() == 1
    page.get_by_label("Name contains").fill("shi")
    assert [name.split()[0] for name in page.locator("tbody tr:visible th").all_inner_texts()] == ["ship"]


def test_input_that_is_not_json_is_refused_with_the_place(visit: Visit) -> None:
    page = visit.open("workflows/shop")
    field = page.get_by_label("Input")
    field.fill('{"a": 1,\n"b" 2}')
    page.get_by_role("button", name="Start").click()
    error = page.get_by_role("alert").filter(has_text="This is not JSON")
    error.wait_for()
    assert "line 2" in error.inner_text()
    assert field.get_attribute("aria-invalid") == "true"
    assert field.evaluate("element => element === document.activeElement")


def test_an_execution_is_started_and_followed_to_its_end(visit: Visit, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    page = visit.open("workflows/shop")
    page.get_by_label("Input").fill(json.dumps(order(gate)))
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile("#/executions/exe_"))
    visit.status("prepare", "running")
    visit.status("parallel", "")
    page.locator(".waterfall .badge.running").first.wait_for()
    page.get_by_text("preparing order 7").wait_for()
    gate.touch()
    for state in ("prepare", "parallel", "each_pack", "pack", "bill"):
        visit.status(state, "succeeded")
    page.locator("[role=status] .badge.succeeded").wait_for()
    assert page.locator(".waterfall tbody tr:not(.more)").count() == 6
    page.get_by_text("packing cups").wait_for()
    assert '"packed tea"' in page.locator("section", has=page.get_by_role("heading", name="Output")).inner_text()
    assert '"number": 7' in page.locator("section", has=page.get_by_role("heading", name="Input")).inner_text()
    page.get_by_role("button", name="bill").click()
    page.locator("tr.more pre", has_text='{"price":6}').wait_for()
    page.get_by_role("link", name="Start again with this input").click()
    assert json.loads(page.get_by_label("Input").input_value()) == order(gate)


def test_an_execution_is_stopped(visit: Visit, node: Node, tmp_path: Path) -> None:
    page = visit.open(f"executions/{node.start('shop', order(tmp_path / 'never'))}")
    visit.status("prepare", "running")
    page.get_by_role("button", name="Stop").click()
    visit.status("prepare", "cancelled")
    page.locator("[role=status] .badge.cancelled").wait_for()
    assert not page.get_by_role("button", name="Stop").is_visible()


def test_a_failed_execution_is_redriven(visit: Visit, node: Node, tmp_path: Path) -> None:
    lorry = tmp_path / "lorry"
    execution_id = node.start("delivery", order(lorry))
    node.ended(execution_id)
    page = visit.open(f"executions/{execution_id}")
    visit.status("ship", "failed")
    assert page.get_by_text("RuntimeError: no lorry <i>has</i> come").is_visible(), "what user code said is text"
    lorry.touch()
    page.get_by_role("button", name="Redrive").click()
    visit.status("ship", "succeeded")
    page.locator("[role=status] .badge.succeeded").wait_for()
    assert page.get_by_text("1 times, last at").is_visible()
    assert not page.get_by_role("button", name="Redrive").is_visible()


def test_executions_are_filtered_and_the_address_says_how(visit: Visit, node: Node, tmp_path: Path) -> None:
    failed = node.start("delivery", order(tmp_path / "none"))
    node.ended(failed)
    page = visit.open("executions")
    page.get_by_role("link", name=failed).wait_for()
    page.get_by_label("Status").select_option("failed")
    page.get_by_label("Function or workflow").fill("delivery")
    page.get_by_label("Function or workflow").press("Enter")
    page.wait_for_url(re.compile(r"executions\?name=delivery&status=failed"))
    page.get_by_role("link", name=failed).wait_for()
    assert set(page.locator("tbody .badge").all_inner_texts()) == {"✕ failed"}
    page.reload()
    page.get_by_role("link", name=failed).wait_for()
    page.get_by_label("Status").select_option("timed_out")
    page.get_by_text("None are like that.").wait_for()
    page.get_by_label("Status").select_option("failed")
    later = node.start("delivery", order(tmp_path / "none"))
    page.get_by_role("link", name=later).wait_for()


def test_logs_are_live_filtered_and_paused(visit: Visit, node: Node) -> None:
    page = visit.open("logs?function=greet")
    node.call("greet", {"name": "Grace"})
    page.get_by_text("greeting <b>Grace</b>").wait_for()
    assert page.locator(".lines b").count() == 0
    assert page.locator(".lines li").count() == page.locator(".lines li", has_text="greeting").count()
    page.get_by_role("button", name="Pause").click()
    node.call("greet", {"name": "Edsger"})
    page.get_by_text("1 more wait").wait_for()
    assert page.get_by_text("greeting <b>Edsger</b>").count() == 0
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("greeting <b>Edsger</b>").wait_for()
    page.get_by_label("Line contains").fill("edsger")
    assert page.locator(".lines li:visible").count() == 1


def test_workers_are_squares_and_one_by_one(visit: Visit, node: Node, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    execution_id = node.start("shop", order(gate))
    page = visit.open("workers")
    group = page.locator(".group", has=page.get_by_role("link", name="prepare@1"))
    group.locator(".worker.busy").wait_for()
    assert "1 busy" in str(group.get_by_role("img").get_attribute("aria-label"))
    group.locator("summary").click()
    group.get_by_role("link", name=execution_id).wait_for()
    gate.touch()
    node.ended(execution_id)
    group.locator(".worker.busy").wait_for(state="detached")


def test_it_is_live_again_after_the_frontend_was_killed(visit: Visit, node: Node) -> None:
    visit.expected = ("ERR_", "503")
    page = visit.open("logs")
    node.kill(node.actor_pids()["frontend"])
    page.wait_for_selector("#connection[data-state=lost]")
    visit.until_live()
    node.until_serving("greet", {"name": "Alan"})
    page.get_by_text("greeting <b>Alan</b>").wait_for()


def test_what_does_not_exist_is_said(visit: Visit) -> None:
    visit.expected = ("404",)
    page = visit.open("executions/exe_nothing", live=False)
    page.get_by_role("alert").filter(has_text="exe_nothing").wait_for()
    visit.open("nothing", live=False).get_by_role("heading", name="Not found").wait_for()


def test_the_token_is_asked_for_once_in_a_session(visits: Visits) -> None:
    with running_node(api_token="secret") as running:
        visit = visits(running.url)
        visit.expected = ("401",)
        page = visit.open("executions", live=False)
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("That was not the node’s token.").wait_for()
        page.get_by_label("Token").fill("secret")
        page.keyboard.press("Enter")
        visit.until_live()
        assert page.get_by_role("heading", name="Executions").is_visible()
        page.reload()
        visit.until_live()
        assert page.get_by_label("Token").count() == 0
        other = visits(running.url)
        other.expected = ("401",)
        other.open("", live=False).get_by_label("Token").wait_for()
        other.close()
        visit.close()  # before its node ends


def focused(visit: Visit) -> str:
    """What has the focus: its words, and whether it is seen to have it."""
    script = """() => {
        const it = document.activeElement, style = getComputedStyle(it);
        const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
        if (it === document.body) return 'the page itself';
        return (seen ? '' : 'unseen ') + (it.id || it.textContent.trim() || it.tagName);
    }"""
    return str(visit.page.evaluate(script))


def test_everything_is_reached_with_the_keyboard_and_seen_to_be(visit: Visit) -> None:
    page = visit.open("")
    page.get_by_role("link", name="ship", exact=True).wait_for()
    walk = []
    for _ in range(25):
        page.keyboard.press("Tab")
        walk.append(focused(visit))
    assert walk[:8] == ["skip", "actorfaas", "Functions", "Executions", "Flow", "Workers", "Logs", "filter"]
    assert {"greet", "shop", "ship"} <= set(walk)
    assert not [one for one in walk if one.startswith("unseen")]
    page.locator("#skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.get_by_role("link", name="Executions").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Executions").wait_for()
    assert page.evaluate("document.activeElement.id") == "main", "readers are taken to the new view"
    assert page.locator("nav [aria-current=page]").inner_text() == "Executions"
    assert "Executions" in page.title()


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_is_wider_than_a_small_telephone(visits: Visits, node: Node, view: str) -> None:
    page = visits(node.url, width=360).open(view)
    page.get_by_role("heading").first.wait_for()
    eventually(lambda: page.evaluate("document.documentElement.scrollWidth") <= 360, "a narrow page")


def test_nothing_moves_where_that_is_not_wanted(visits: Visits, node: Node, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    execution_id = node.start("shop", order(gate))
    for motion, name in (("reduce", "none"), ("no-preference", "pulse")):
        page = visits(node.url, reduced_motion=motion).open(f"executions/{execution_id}")
        sign = page.locator("[role=status] .badge.running > span")
        sign.wait_for()
        assert sign.evaluate("element => getComputedStyle(element).animationName") == name
    gate.touch()
