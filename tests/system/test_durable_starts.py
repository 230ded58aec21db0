"""What begins once, and what waits across restarts: named executions, timers, the version an execution began on."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.system.kit import Gate, Node, archive_of, code_of, eventually, node_with, problem_of

pytestmark = pytest.mark.system

Json = Any  # a decoded JSON document

WAITING = """
from actorfaas import event, function, wait, workflow

@function
def before(order):
    return order

@function
def after(order):
    return {"n": order["n"], "version": VERSION}

waiting = workflow("waiting", before >> wait(until=event.until) >> after)
"""


def deploy(node: Node, version: int) -> None:
    source = WAITING.replace("VERSION", str(version))
    answer = node.upload("waits", archive_of({"app.py": source}))
    assert answer.status_code == 201, answer.text


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_name_starts_one_execution_across_a_death_of_the_node(tmp_path: Path) -> None:
    data, gate = tmp_path / "data", Gate(tmp_path / "gate")
    data.mkdir()
    gate.folder.mkdir()

    def start(node: Node, number: int = 0) -> Any:
        return node.call("journey", gate.event(number), Prefer="respond-async", Actorfaas_Execution_Name="order-1")

    with node_with(data, "faulty") as first:
        execution_id = start(first).json()["execution_id"]
        gate.wait_for(0)
        assert start(first).json()["execution_id"] == execution_id
        refused = problem_of(start(first, 1))
        assert (refused["status"], code_of(refused)) == (409, "execution_already_exists")
        first.kill_everything()
    with node_with(data) as second:
        assert start(second).json()["execution_id"] == execution_id
        gate.open()
        ended = second.ended(execution_id)
        assert (ended["status"], ended["execution_name"]) == ("succeeded", "order-1")
        taken = problem_of(start(second))
        assert (code_of(taken), taken["execution_id"]) == ("execution_already_exists", execution_id)
        listed = second.get("/v1/executions", execution_name="order")["executions"]
        assert [one["execution_id"] for one in listed] == [execution_id]


def test_waits_last_across_restarts_and_those_overdue_end_at_once(tmp_path: Path) -> None:
    with node_with(tmp_path) as first:
        deploy(first, 1)
        soon = first.start("waiting", {"n": 1, "until": in_seconds(0.5)})
        later_at = time.time() + 12
        later = first.start("waiting", {"n": 2, "until": in_seconds(12)})

        def both_wait() -> bool:
            shown = [first.get(f"/v1/executions/{one}/history")["events"] for one in (soon, later)]
            return all("WaitStateEntered" in [event["type"] for event in events] for events in shown)

        eventually(both_wait, "both executions waiting")
        first.kill_everything()
    time.sleep(0.6)  # the first wait is over while there is no node
    with node_with(tmp_path) as second:
        assert second.ended(soon)["output"] == {"n": 1, "version": 1}
        assert second.ended(later)["output"] == {"n": 2, "version": 1}
        assert time.time() >= later_at - 0.01


def test_executions_end_on_the_version_they_began_on(tmp_path: Path) -> None:
    with node_with(tmp_path) as first:
        deploy(first, 1)
        old = first.start("waiting", {"n": 1, "until": in_seconds(6)})
        deploy(first, 2)
        new = first.start("waiting", {"n": 2, "until": in_seconds(6)})
        assert first.http.post("/v1/deployments/waits/rollback").json()["version"] == 1
        first.kill_everything()
    with node_with(tmp_path) as second:
        removed = second.http.delete("/v1/deployments/waits")
        assert removed.status_code == 204
        assert second.ended(new)["output"] == {"n": 2, "version": 2}
        assert second.ended(old)["output"] == {"n": 1, "version": 1}
