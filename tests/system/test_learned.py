"""What the ExecutionManager has learned survives its own death and the node's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from actorfaas.core import learned_format, lookahead
from actorfaas.swap.learning import Known
from tests.system.kit import Node, eventually, node_with

pytestmark = pytest.mark.system

EXECUTIONS = 6


def record(folder: Path, topic: str, kind: str) -> bytes:
    """What a node in this folder keeps, alive or not; b"" for nothing."""
    (path,) = folder.rglob("state.sqlite")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        sql = "SELECT record FROM learned WHERE topic = ? AND kind = ?"
        row = database.execute(sql, (topic, kind)).fetchone()
    return row[0] if row else b""


def runs(folder: Path, topic: str) -> int:
    kept = record(folder, topic, "costs")
    return Known.from_bytes(kept).costs.run.count if kept else 0


def choices(folder: Path) -> int:
    """How often the Choice state of the workflow `loop` has been passed."""
    kept = record(folder, "loop@1", "habits")
    return learned_format.from_bytes(lookahead.FORMAT, kept, _sum) if kept else 0


def _sum(habits: learned_format.Numbers) -> int:
    return sum(count for _, counts, _ in habits for _, count in counts)


def learn(node: Node, executions: int) -> None:
    """So many times through the workflow's states: double, a choice, negate."""
    for started in [eventually(lambda: accepted(node), "an accepted start") for _ in range(executions)]:
        assert node.ended(started)["output"] == -120


def accepted(node: Node) -> str | None:
    """A new execution's id, unless the ExecutionManager is still starting."""
    answer = node.call("loop", 60, Prefer="respond-async")
    return str(answer.json()["execution_id"]) if answer.status_code == 202 else None


def learned(folder: Path) -> tuple[int, int, int]:
    return runs(folder, "double@1"), runs(folder, "negate@1"), choices(folder)


def until_saved(folder: Path, executions: int) -> None:
    eventually(lambda: learned(folder) == (executions,) * 3, f"records of {executions} executions")


def test_what_was_learned_survives_kill_9_of_the_manager(tmp_path: Path) -> None:
    with node_with(tmp_path, "branching") as node:
        learn(node, EXECUTIONS)
        until_saved(tmp_path, EXECUTIONS)
        node.kill(node.actor_pids()["execution_manager"])
        node.until_serving("double", 1)
        before = learned(tmp_path)
        learn(node, 1)
        eventually(lambda: learned(tmp_path)[1:] == (EXECUTIONS + 1, EXECUTIONS + 1), "a record of all executions")
        assert learned(tmp_path)[0] > before[0] >= EXECUTIONS, "the call is learned from, too"


def test_what_was_learned_survives_the_node(tmp_path: Path) -> None:
    with node_with(tmp_path, "branching") as node:
        learn(node, EXECUTIONS)
        until_saved(tmp_path, EXECUTIONS)
        node.kill_everything()
    with node_with(tmp_path) as node:
        learn(node, 1)
    assert learned(tmp_path) == (EXECUTIONS + 1,) * 3, "an orderly stop saves what is new"
    with node_with(tmp_path) as node:
        learn(node, 1)
    assert learned(tmp_path) == (EXECUTIONS + 2,) * 3
