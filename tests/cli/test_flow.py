"""`actorfaas flow`."""

from __future__ import annotations

import json

import pytest

from actorfaas.http.render import span
from tests.cli.conftest import Cli
from tests.fake_node import FakeNode, document
from tests.flow.kit import TRACE
from tests.flow.shapes import mapped

SPANS = [span(one) for one in mapped(8, 2, 20).spans]
FUNCTIONS = [{"name": name, "concurrency": limit} for name, limit in (("work", 2), ("first", 16), ("last", 16))]


@pytest.fixture
def observed(fake: FakeNode) -> FakeNode:
    fake.on("GET", "/v1/spans", document({"spans": SPANS}))
    fake.on("GET", "/v1/functions", document({"functions": FUNCTIONS}))
    return fake


def test_the_flow_with_its_bottleneck_and_what_would_help(cli: Cli, observed: FakeNode) -> None:
    result = cli("flow", "--since", "15m", "--limit", "7")
    assert result.exit_code == 0
    assert "Bottleneck: work waits 60% of the time for a worker: concurrency 2" in result.stdout
    assert "work with 4 workers" in result.stdout
    assert "1.00 × the time measured" in result.stderr
    asked = next(one for one in observed.asked if one.path == "/v1/spans")
    assert asked.query == {"since": "900", "limit": "7"}


def test_a_change_of_ones_own(cli: Cli, observed: FakeNode) -> None:
    result = cli("-o", "json", "flow", "flow", "--what-if", "work:workers=3", "--what-if", "work:faster=4")
    first, second, *_ = json.loads(result.stdout)["what_if"]
    assert (first["workers"], round(first["gain"], 3)) == ({"work": 3}, 0.2)
    assert (second["faster"], round(second["gain"], 3)) == ({"work": 4.0}, 0.6)


@pytest.mark.parametrize("wrong", ["work", "work:workers=0", "work:workers=x", ":workers=1", "work:faster=-1", "a:b=1"])
def test_a_change_must_be_one(cli: Cli, wrong: str) -> None:
    assert cli("flow", "--what-if", wrong).exit_code == 2


def test_the_graph_as_mermaid(cli: Cli, observed: FakeNode) -> None:
    assert cli("flow", "--mermaid").stdout.startswith("flowchart LR\n")


def test_nothing_observed(cli: Cli, observed: FakeNode) -> None:
    assert "no traces of nobody are kept" in cli("flow", "nobody").stderr


def test_the_critical_path_of_one_trace(cli: Cli, fake: FakeNode) -> None:
    fake.on("GET", f"/v1/traces/{TRACE}", document({"trace_id": TRACE, "spans": SPANS}))
    result = cli("flow", "--trace", TRACE)
    assert result.stdout.startswith("critical path of execution flow, 100.000 ms")
    path = json.loads(cli("-o", "json", "flow", "--trace", TRACE).stdout)
    assert [(one["name"], one["kind"]) for one in path] == [
        *(("first", "run"), ("work", "queue"), ("work", "run"), ("last", "run")),
    ]
