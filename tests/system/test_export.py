"""A node that sends its spans to a collector: while it runs, when it stops, and with one that stalls."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.collector import collector
from tests.system.kit import eventually, node_with

pytestmark = pytest.mark.system

CALLED = {"request by_client", "run by_client", "request leaf", "run leaf"}
RUN = {"execution calls", "state leaf", "state by_client", "state starts"}


def test_a_collector_gets_what_ends_and_the_rest_at_the_stop(tmp_path: Path) -> None:
    with collector() as taking:
        with node_with(tmp_path, "calling", otlp_endpoint=taking.url) as node:
            trace = node.call("by_client", 1).headers["traceresponse"][3:35]
            eventually(lambda: taking.names >= CALLED, "the spans of a call")
            assert {span["traceId"] for span in taking.spans if span["name"] in CALLED} == {trace}
            exported = eventually(lambda: counted(node.http.get("/metrics").text, "exported_spans"), "figures")
            assert exported == len(taking.spans)
            kept = {span["span_id"] for span in node.get(f"/v1/traces/{trace}")["spans"]}
            assert kept == {span["spanId"] for span in taking.spans}
            assert not taking.names & RUN
            node.call("calls", 1)
        assert taking.names >= RUN


def test_a_collector_that_stalls_holds_up_neither_calls_nor_the_stop(tmp_path: Path) -> None:
    with collector() as taking:
        taking.goes_on.clear()
        with node_with(tmp_path, "calling", otlp_endpoint=taking.url) as node:
            node.call("leaf", 1)
            assert taking.arrived.acquire(timeout=30)
            for _ in range(20):
                assert node.call("leaf", 1).status_code == 200
                assert node.call("plain", 1).status_code == 200
        assert not taking.spans
    assert "the collector did not take the last spans in time" in (tmp_path / "node.log").read_text()


def counted(metrics: str, name: str) -> int:
    """A counter."""
    (line,) = (line for line in metrics.splitlines() if line.startswith(f"actorfaas_{name}_total "))
    return int(line.split()[1])
