"""Pictures of workflows and executions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from threading import get_ident
from xml.etree import ElementTree

import pytest

from actorfaas.http import pictures
from actorfaas.messages import (
    BundleRef,
    DeploymentRecord,
    Deployments,
    ExecutionState,
    GetExecution,
    ListDeployments,
    Refused,
    WorkflowSpec,
)
from tests.actors_kit import Kit
from tests.frontend_kit import Node, execution_state, frontend, task_event

DEFINITION = b"""{"StartAt": "first", "States": {"first": {"Type": "Task", "Resource": "hello", "Next": "second"},
 "second": {"Type": "Task", "Resource": "hello", "End": true}}}"""
OLD = b'{"StartAt": "once", "States": {"once": {"Type": "Task", "Resource": "hello", "End": true}}}'
BUNDLE = BundleRef("app", "ab", "/x", "app.py", "/py")
RECORD = DeploymentRecord(
    "app", 2, True, 1_700_000_000_000, BUNDLE, (), (WorkflowSpec("pipeline", DEFINITION, "standard", 60.0, ""),)
)
OLD_RECORD = replace(RECORD, version=1, active=False, workflows=(WorkflowSpec("pipeline", OLD, "standard", 60.0, ""),))


@pytest.fixture
async def node(kit: Kit) -> AsyncIterator[Node]:
    async with frontend(kit) as made:
        made.data.answer(
            ListDeployments,
            lambda asked: Deployments((RECORD,) if asked.active_only else (RECORD, OLD_RECORD)),
        )
        yield made


def drawn(picture: str) -> dict[str, str]:
    """The states of a picture with their statuses."""
    root = ElementTree.fromstring(picture)  # our own
    return {one.attrib["data-state"]: one.attrib["data-status"] for one in root.iter() if "data-state" in one.attrib}


async def test_a_workflow_is_drawn_without_statuses(node: Node) -> None:
    response = await node.get("/v1/workflows/pipeline/diagram")
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/svg+xml"
    assert drawn(response.text) == {"first": "", "second": ""}


async def test_drawing_does_not_hold_up_the_event_loop(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    drawers = list[int]()

    def noting(*_: object) -> str:
        drawers.append(get_ident())
        return "<svg/>"

    monkeypatch.setattr(pictures, "svg", noting)
    assert (await node.get("/v1/workflows/pipeline/diagram")).text == "<svg/>"
    assert len(drawers) == 1
    assert drawers[0] != get_ident()


async def test_a_workflow_that_is_not_deployed_is_not_found(node: Node) -> None:
    assert (await node.get("/v1/workflows/nothing/diagram")).status_code == 404


async def test_an_execution_is_drawn_in_its_own_version_with_what_became_of_its_states(node: Node) -> None:
    events = (task_event(1, "first"), task_event(2, "second", "TaskFailed"))
    node.data.answer(GetExecution, execution_state("exe_1", "failed", version=2, events=events))
    assert drawn((await node.get("/v1/executions/exe_1/diagram")).text) == {"first": "succeeded", "second": "failed"}
    node.data.answer(GetExecution, execution_state("exe_1", version=1, events=()))
    assert drawn((await node.get("/v1/executions/exe_1/diagram")).text) == {"once": ""}


async def test_an_execution_whose_version_is_gone_has_no_picture(node: Node) -> None:
    node.data.answer(GetExecution, execution_state("exe_1", version=9))
    response = await node.get("/v1/executions/exe_1/diagram")
    assert response.status_code == 404
    assert "version 9" in response.json()["detail"]


async def test_functions_and_unknown_executions_have_no_picture(node: Node) -> None:
    node.data.answer(GetExecution, execution_state("exe_1", kind="function"))
    assert (await node.get("/v1/executions/exe_1/diagram")).status_code == 404
    node.data.answer(GetExecution, Refused("not_found", "there is no execution exe_2"))
    assert (await node.get("/v1/executions/exe_2/diagram")).status_code == 404


async def test_a_long_history_is_read_a_part_at_a_time(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "STEP", 2)
    events = (
        *(task_event(1, "first", "TaskStateEntered"), task_event(2, "first")),
        *(
            task_event(3, "second", "TaskStateEntered"),
            task_event(4, "second"),
            task_event(5, "second", "TaskStateExited"),
        ),
    )
    asked: list[GetExecution] = []

    def answer(question: GetExecution) -> ExecutionState:
        asked.append(question)
        part = [event for event in events if event.seq > question.after_seq][: question.limit]
        return execution_state("exe_1", version=2, events=tuple(part))

    node.data.answer(GetExecution, answer)
    assert drawn((await node.get("/v1/executions/exe_1/diagram")).text) == {"first": "succeeded", "second": "succeeded"}
    assert [(one.after_seq, one.limit, one.event_payloads) for one in asked] == [
        *((0, 1, False), (0, 2, False), (2, 2, False), (4, 2, False)),
    ]


async def test_the_definition_an_execution_runs_with(node: Node) -> None:
    node.data.answer(GetExecution, execution_state("exe_1", version=1, events=()))
    response = await node.get("/v1/executions/exe_1/definition")
    assert response.headers["content-type"] == "application/json"
    assert response.content == OLD
    node.data.answer(GetExecution, execution_state("exe_1", kind="function"))
    assert (await node.get("/v1/executions/exe_1/definition")).status_code == 404
