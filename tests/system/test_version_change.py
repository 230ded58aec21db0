"""A version that was replaced leaves quickly, and nothing waits for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.kit import Node, archive_of, eventually, node_with

pytestmark = pytest.mark.system

APP = """
from actorfaas import function

@function
def first(event):
    return {version}

@function
def second(event):
    return {version}
"""
LONGER_THAN_PATIENCE_S = 300.0


def deploy(node: Node, version: int) -> None:
    answer = node.upload("changing", archive_of({"app.py": APP.format(version=version)}))
    assert answer.status_code == 201, answer.text


def template_topics(node: Node) -> set[str]:
    return {template["topic"] for template in node.get("/v1/node")["mechanisms"]["templates"]}


def test_idle_instances_of_the_version_before_do_not_wait_for_the_stop_timeout(tmp_path: Path) -> None:
    with node_with(tmp_path, stop_timeout_s=LONGER_THAN_PATIENCE_S) as node:
        deploy(node, 1)
        assert node.call("first").json() == 1
        deploy(node, 2)
        eventually(lambda: template_topics(node) == {"first@2", "second@2"}, "the end of version 1")
        assert node.call("second").json() == 2
        deploy(node, 3)
        assert node.call("first").json() == 3
