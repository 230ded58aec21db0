"""The flow over HTTP: worked out in another process, from what the DataLayer keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from xml.etree import ElementTree

import pytest

from actorfaas.http import flow
from actorfaas.http.problems import Problem
from actorfaas.messages import BundleRef, DeploymentRecord, Deployments, ListDeployments, ReadTraces, Trace
from tests.actors_kit import Kit
from tests.flow.kit import History, traced_call
from tests.frontend_kit import Node, frontend
from tests.http.shapes import check

DEPLOYED = DeploymentRecord("app", 1, True, 0, BundleRef("app", "", "", "app.py", ""), (), ())


def kept() -> Trace:
    """An execution of one state that waits for its worker and one that runs, and a plain call of something else."""
    history = History("flow")
    history.task(40, "slow", queue=30, run=10)
    history.task(60, "quick", run=20, gap=1)
    return Trace((traced_call(function="other", trace_id="f" * 32),), (history.ended(),))


@pytest.fixture
async def node(kit: Kit) -> AsyncIterator[Node]:
    async with frontend(kit) as made:
        made.data.answer(ReadTraces, kept())
        made.data.answer(ListDeployments, Deployments((DEPLOYED,)))
        yield made


async def test_the_flow_of_everything(node: Node) -> None:
    found = (await node.get("/v1/flow")).json()
    check(found, "Flow")
    assert {one["name"] for one in found["nodes"]} == {"client", "flow", "other", "slow", "quick"}
    assert found["observed"] == 2
    assert "diagram" not in found


async def test_the_flow_of_one_workflow_with_its_picture(node: Node) -> None:
    found = (await node.get("/v1/flow?name=flow&diagram=true")).json()
    check(found, "Flow")
    assert found["bottleneck"].startswith("slow waits 49% of the time for a worker")
    assert "other" not in {one["name"] for one in found["nodes"]}
    picture = ElementTree.fromstring(found["diagram"])
    statuses = {one.get("data-state"): one.get("data-status") for one in picture.iter() if "data-state" in one.attrib}
    assert statuses == {"client": "", "flow": "", "slow": "bottleneck", "quick": ""}
    assert found["left_out"] == 0


async def test_what_is_asked_for(node: Node) -> None:
    asked: list[ReadTraces] = []

    def answer(question: ReadTraces) -> Trace:
        asked.append(question)
        return Trace((), ())

    node.data.answer(ReadTraces, answer)
    found = (await node.get("/v1/flow?since=60&limit=7&diagram=true")).json()
    check(found, "Flow")
    assert (found["bottleneck"], found["diagram"]) == ("nothing was observed", "")
    assert (asked[0].name, asked[0].limit, asked[0].since_at_ms > 1_700_000_000_000) == ("", 7, True)
    assert (await node.get("/v1/flow?since=1e308")).status_code == 200
    assert asked[1].since_at_ms == 1
    for wrong in ("limit=1001", "since=soon", "diagram=perhaps"):
        assert (await node.get(f"/v1/flow?{wrong}")).status_code == 400


async def test_a_page_of_another_site_may_not_have_it_worked_out(node: Node) -> None:
    assert (await node.get("/v1/flow", sec_fetch_site="cross-site")).status_code == 403
    assert (await node.get("/v1/flow", sec_fetch_site="same-origin")).status_code == 200


async def test_what_takes_too_long_is_given_up(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "LIMIT_S", 0.0)
    answer = await node.get("/v1/flow")
    assert answer.status_code == 504
    assert "ask for a lower limit" in answer.json()["detail"]


async def test_a_node_that_stops_does_not_wait_for_it(node: Node) -> None:
    node.frontend.links.stop_waiting()
    assert (await node.get("/v1/flow")).status_code == 503


async def test_too_many_at_once_are_refused(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "MAX_WAITING", 0)
    reader = flow.FlowReader(node.frontend, node.frontend.links, node.frontend.tracer)
    with pytest.raises(Problem, match="0 others"):
        await reader.read("", 0.0, is_drawn=False)
