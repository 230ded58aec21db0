"""Deploying, and what is deployed, over a real socket: what is asked, answered, and refused."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from actorfaas.messages import (
    BundleRef,
    Deploy,
    Deployed,
    DeploymentRecord,
    Deployments,
    Done,
    FunctionSpec,
    ListDeployments,
    Refused,
    RemoveApp,
    Rollback,
    WorkflowSpec,
)
from tests.actors_kit import Kit
from tests.frontend_kit import Node, frontend
from tests.http.shapes import check

SPEC = FunctionSpec(
    name="hello",
    module="app",
    kind="sync",
    strategy="auto",
    timeout_s=0.0,
    memory_mb=512,
    concurrency=16,
    queue_limit=1000,
    warm=1,
    idle_timeout_s=60.0,
    retries=0,
    retry_delay_s=0.1,
    init="",
    env={"PASSWORD": "hunter2"},
    description="says hello",
)
FLOW = WorkflowSpec("pipeline", b'{"StartAt":"hello"}', "standard", 60.0, "")
RECORD = DeploymentRecord(
    "app", 1, True, 1_700_000_000_000, BundleRef("app", "ab", "/x", "app.py", "/py"), (SPEC,), (FLOW,)
)
DEPLOYED = Deployed("app", 2, ("hello",), ("pipeline",), ())


def archives(node: Node) -> list[str]:
    """The names of what is stored."""
    return sorted(path.name for path in (node.kit.settings.data_dir / "archives").iterdir())


async def test_upload_is_stored_by_its_content_and_deployed(node: Node) -> None:
    asked: list[tuple[Deploy, bytes]] = []

    def deploy(message: Deploy) -> Deployed:
        asked.append((message, Path(message.archive).read_bytes()))
        return DEPLOYED

    node.manager.answer(Deploy, deploy)
    body = b"PK" + bytes(300_000)
    response = await node.client.put("/v1/deployments/app?entry=src/main.py", content=body)
    sha256 = hashlib.sha256(body).hexdigest()
    message, stored = asked[0]
    assert (message.app, message.entry, message.sha256) == ("app", "src/main.py", sha256)
    assert stored == body
    assert archives(node) == [f"{sha256}.zip"]
    assert response.status_code == 201
    check(response.json(), "Deployed")


async def test_failed_deployment_names_the_cause_and_forgets_the_upload(node: Node) -> None:
    text = "Traceback (most recent call last):\n  File app.py\nModuleNotFoundError: No module named 'x'"
    node.manager.answer(Deploy, Refused("deploy_failed", text))
    response = await node.client.put("/v1/deployments/app", content=b"PK1")
    assert response.status_code == 422
    problem = response.json()
    check(problem, "Problem")
    assert problem["detail"] == "ModuleNotFoundError: No module named 'x'"
    assert problem["traceback"] == text
    assert archives(node) == []


async def test_failed_deployment_of_what_was_there_before_keeps_it(node: Node) -> None:
    node.manager.answer(Deploy, DEPLOYED)
    await node.client.put("/v1/deployments/app", content=b"PK1")
    before = archives(node)
    node.manager.answer(Deploy, Refused("conflict", "hello belongs to another application"))
    assert (await node.client.put("/v1/deployments/other", content=b"PK1")).status_code == 409
    assert archives(node) == before


@pytest.mark.parametrize(
    "path",
    ["/v1/deployments/-bad", "/v1/deployments/a%20b", "/v1/deployments/a?entry=../x.py", "/v1/deployments/a?entry=/x"],
)
async def test_deployment_with_a_bad_name_or_entry_is_refused(node: Node, path: str) -> None:
    assert (await node.client.put(path, content=b"PK")).status_code == 400
    assert not node.manager.received(Deploy)


async def test_empty_and_oversized_uploads_are_refused_and_leave_nothing(kit: Kit) -> None:
    async with frontend(kit, max_bundle_bytes=1000) as node:
        assert (await node.client.put("/v1/deployments/app", content=b"")).status_code == 400
        assert (await node.client.put("/v1/deployments/app", content=b"x" * 1001)).status_code == 413
        assert archives(node) == []


async def test_deploy_is_not_repeated_when_the_execution_manager_restarts(node: Node) -> None:
    sending = node.client.put("/v1/deployments/app", content=b"PK")

    call = asyncio.create_task(sending)
    await node.manager.expect(Deploy)
    node.manager.callers["frontend"].close()
    assert (await call).status_code == 503
    assert not node.manager.received(Deploy)


async def test_that_a_deployment_changed_nothing_is_said(node: Node) -> None:
    node.manager.answer(Deploy, DEPLOYED)
    assert (await node.client.put("/v1/deployments/app", content=b"PK1")).json()["unchanged"] is False
    node.manager.answer(Deploy, replace(DEPLOYED, unchanged=True))
    assert (await node.client.put("/v1/deployments/app", content=b"PK1")).json()["unchanged"] is True


async def test_rollback_and_remove(node: Node) -> None:
    asked: list[Rollback] = []
    node.manager.answer(Rollback, lambda message: asked.append(message) or DEPLOYED)  # type: ignore[func-returns-value]
    node.manager.answer(RemoveApp, lambda message: Done() if message.app == "app" else Refused("not_found", "no"))
    for body, version in ((b"", 0), (b'{"version": 3}', 3)):
        response = await node.post("/v1/deployments/app/rollback", body)
        assert response.status_code == 200
        check(response.json(), "Deployed")
        assert asked[-1] == Rollback("app", version)
    assert (await node.client.delete("/v1/deployments/app")).status_code == 204
    assert (await node.client.delete("/v1/deployments/other")).status_code == 404


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"version": "1"}', b'{"version": -1}', b'{"version": true}'])
async def test_rollback_to_nonsense_is_refused(node: Node, body: bytes) -> None:
    assert (await node.post("/v1/deployments/app/rollback", body)).status_code == 400


async def test_deployments_are_listed(node: Node) -> None:
    asked: list[ListDeployments] = []

    def answer(message: ListDeployments) -> Deployments:
        asked.append(message)
        return Deployments((RECORD,) if message.app in ("", "app") else ())

    node.data.answer(ListDeployments, answer)
    for path, question in (
        ("/v1/deployments", ListDeployments("", True)),
        ("/v1/deployments/app", ListDeployments("app", False)),
    ):
        response = await node.get(path)
        check(response.json(), "Deployments")
        assert asked[-1] == question
    assert (await node.get("/v1/deployments/other")).status_code == 404


async def test_functions_and_workflows_are_listed_without_secrets(node: Node) -> None:
    node.data.answer(ListDeployments, Deployments((RECORD,)))
    functions = (await node.get("/v1/functions")).json()
    check(functions, "Functions")
    one = (await node.get("/v1/functions/hello")).json()
    assert functions["functions"] == [one]
    assert (one["topic"], one["serving"], one["timeout_s"]) == ("hello@1", True, 30.0)
    assert one["env"] == ["PASSWORD"]
    workflows = (await node.get("/v1/workflows")).json()
    check(workflows, "Workflows")
    assert (await node.get("/v1/workflows/pipeline")).json()["definition"] == {"StartAt": "hello"}
    for path in ("/v1/functions/pipeline", "/v1/workflows/hello"):
        assert (await node.get(path)).status_code == 404


async def test_function_of_a_version_that_does_not_serve_says_so(node: Node) -> None:
    node.data.answer(ListDeployments, Deployments((replace(RECORD, version=7),)))
    one = (await node.get("/v1/functions/hello")).json()
    assert (one["serving"], one["topic"]) == (False, "")
