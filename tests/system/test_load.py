"""`actorfaas load` against a real node: the examples' load scripts, and what the node tells of starts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actorfaas.testing import RunningNode, running_node

pytestmark = pytest.mark.system

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
EXAMPLES = ("order_pipeline", "random_average")


@pytest.fixture(scope="module")
def node() -> Iterator[RunningNode]:
    with running_node() as started:
        for name in EXAMPLES:
            command(started, "deploy", str(WORKFLOWS / name))
        yield started


def command(node: RunningNode, *arguments: str) -> str:
    """One command of a person, which must succeed."""
    line = [sys.executable, "-m", "actorfaas", "--url", node.url, *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def load(node: RunningNode, *arguments: str) -> Any:
    return json.loads(command(node, "load", *arguments, "--arrivals", "burst 10 every 250ms 500ms", "-o", "json"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_load_scripts_of_the_examples(node: RunningNode, name: str) -> None:
    result = load(node, str(WORKFLOWS / name / "load.py"))
    assert result["calls"]["ok"] == 20
    assert result["errors"] == {}


@pytest.mark.parametrize("strategy", ["fork", "resident"])
def test_start_kinds_are_told_apart(node: RunningNode, strategy: str) -> None:
    result = load(node, "generate_numbers", "-d", '{"count": 3}', "--strategy", strategy, "--processes", "2")
    assert sum(one["count"] for one in result["by_kind"].values()) == result["calls"]["ok"] == 20
    assert result["by_kind"].keys() <= {"fork", "resident"}
    assert strategy in result["by_kind"]


def test_errors_have_the_nodes_names(node: RunningNode) -> None:
    result = load(node, "average_numbers", "-d", '{"numbers": []}')
    assert result["errors"] == {"500 handler_error": 20}
