"""`actorfaas trace`, and traces in what other verbs say."""

from __future__ import annotations

import json

from actorfaas.flow.spans import of_call
from actorfaas.http.render import span
from tests.cli.conftest import Cli
from tests.fake_node import FakeNode, document
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
