"""`actorfaas trace`, and traces in what other verbs say."""

from __future__ import annotations

import json

import pytest

from actorfaas.flow.spans import of_call
from actorfaas.http.render import span
from tests.cli.conftest import Cli
from tests.fake_node import FakeNode, Reply, document
from tests.flow.kit import TRACE, traced_call

DOCUMENT = {"trace_id": TRACE, "spans": [span(one) for one in of_call(traced_call())]}
SUMMARY = {
    "trace_id": TRACE,
    "name": "f",
    "kind": "request",
    "began_at_ms": 1_700_000_000_000,
    "took_ms": 1.5,
    "error": "KeyError",
    "request_id": "req_1",
    "execution_id": "",
}


def test_a_trace_is_drawn(cli: Cli, fake: FakeNode) -> None:
    fake.on("GET", f"/v1/traces/{TRACE}", document(DOCUMENT))
    lines = cli("trace", TRACE).stdout.splitlines()
    assert lines[0].startswith("request f (resident)")
    assert [line.split()[0] for line in lines[1:]] == ["queue", "start", "run"]


def test_a_trace_as_json(cli: Cli, fake: FakeNode) -> None:
    fake.on("GET", f"/v1/traces/{TRACE}", document(DOCUMENT))
    assert json.loads(cli("-o", "json", "trace", TRACE).stdout) == DOCUMENT


def test_traces_are_listed(cli: Cli, fake: FakeNode) -> None:
    fake.on("GET", "/v1/traces", document({"traces": [SUMMARY]}))
    result = cli("trace", "--function", "f", "--since", "2m", "--limit", "5")
    assert fake.last.query == {"function": "f", "since": "120", "limit": "5"}
    assert TRACE in result.stdout
    assert "KeyError" in result.stdout


def test_no_traces_say_which_are_kept(cli: Cli, fake: FakeNode) -> None:
    fake.on("GET", "/v1/traces", document({"traces": []}))
    assert "trace_share" in cli("trace").stderr


def test_a_trace_is_not_filtered(cli: Cli) -> None:
    assert cli("trace", TRACE, "--function", "f").exit_code == 2


def test_the_timing_of_a_call_names_its_trace(cli: Cli, fake: FakeNode) -> None:
    reply = document(1, traceresponse=f"00-{TRACE}-{'b' * 16}-01")
    fake.on("POST", "/v1/invoke/f", reply)
    assert f"actorfaas trace {TRACE}" in cli("invoke", "f", "--timing").stderr


def test_logs_are_filtered_by_the_node(cli: Cli, fake: FakeNode) -> None:
    fake.on("GET", "/v1/logs", document({"lines": [], "after": 0}))
    cli("logs", "--function", "f", "--trace", TRACE, "--since", "90s")
    assert fake.last.query == {"function": "f", "trace": TRACE, "since": "90", "limit": "100", "tail": "true"}
    assert cli("logs", "f", "--function", "g").exit_code == 2


def test_a_trace_is_sent_to_a_collector(cli: Cli, fake: FakeNode) -> None:
    fake.on("GET", f"/v1/traces/{TRACE}", document(DOCUMENT))
    fake.on("POST", "/v1/collected", document({}))
    result = cli("trace", TRACE, "--otlp", f"{fake.url}/v1/collected")
    assert (result.exit_code, result.stderr) == (0, f"4 of 4 spans sent to {fake.url}/v1/collected\n")
    sent = json.loads(fake.last.body)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [one["name"] for one in sent] == ["request f", "queue f", "start f", "run f"]


def test_spans_of_many_traces_are_sent_in_batches(cli: Cli, fake: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorfaas.cli.export.SPANS_AT_ONCE", 3)
    fake.on("GET", "/v1/spans", document({"spans": DOCUMENT["spans"]}))
    fake.on("POST", "/v1/collected", document({"partialSuccess": {"rejectedSpans": "1"}}))
    result = cli("trace", "--since", "5m", "--otlp", f"{fake.url}/v1/collected")
    assert result.stderr.startswith("2 of 4 spans")
    assert len([one for one in fake.asked if one.method == "POST"]) == 2


@pytest.mark.parametrize("answer", [None, [1], "ok"])
def test_an_answer_that_is_no_collectors_is_a_failure(cli: Cli, fake: FakeNode, answer: object) -> None:
    fake.on("GET", f"/v1/traces/{TRACE}", document(DOCUMENT))
    fake.on("POST", "/v1/collected", document(answer))
    result = cli("trace", TRACE, "--otlp", f"{fake.url}/v1/collected")
    assert (result.exit_code, "is no ExportTraceServiceResponse" in result.stderr) == (1, True)


def test_a_collector_that_refuses_is_a_failure(cli: Cli, fake: FakeNode) -> None:
    fake.on("GET", f"/v1/traces/{TRACE}", document(DOCUMENT))
    fake.on("POST", "/v1/collected", Reply(503))
    result = cli("trace", TRACE, "--otlp", f"{fake.url}/v1/collected")
    assert (result.exit_code, "503" in result.stderr) == (1, True)
    assert cli("trace", TRACE, "--otlp", "http://127.0.0.1:1/").exit_code == 1
