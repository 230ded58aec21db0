"""`actorfaas.client` and `answers` against a server on a real socket."""

from __future__ import annotations

import json

import pytest

from actorfaas.client import Client
from actorfaas.errors import ApiProblem, StreamInterrupted
from tests.fake_node import JSON, FakeNode, Reply, document, problem


class TestInvoke:
    def test_json_in_json_out(self, fake: FakeNode, client: Client) -> None:
        fake.on("POST", "/v1/invoke/hello", document({"hi": "Ada"}))
        assert client.invoke("hello", {"name": "Ada"}) == {"hi": "Ada"}
        assert json.loads(fake.last.body) == {"name": "Ada"}
        assert fake.last.headers["Content-Type"] == "application/json"
        assert fake.last.headers["Authorization"] == "Bearer secret"
        assert "Actorfaas-Strategy" not in fake.last.headers

    def test_options_become_headers(self, fake: FakeNode, client: Client) -> None:
        fake.on("POST", "/v1/invoke/hello", document(None))
        client.invoke("hello", strategy="fork", timeout_s=2.5, idempotency_key="k1")
        headers = fake.last.headers
        assert headers["Actorfaas-Strategy"] == "fork"
        assert headers["Actorfaas-Timeout"] == "2.5"
        assert headers["Idempotency-Key"] == "k1"

    def test_an_address_without_a_scheme(self, fake: FakeNode) -> None:
        fake.on("POST", "/v1/invoke/hello", document(1))
        with Client(fake.url.removeprefix("http://")) as client:
            assert client.invoke("hello") == 1

    def test_the_body_is_exactly_what_was_sent(self, fake: FakeNode, client: Client) -> None:
        reply = Reply(200, b' {"a":1.50}\n', JSON | {"Server-Timing": "run;dur=1", "Actorfaas-Worker": "hello@1_7"})
        reply.headers["Actorfaas-Execution"] = "exe_1"
        reply.headers["X-Request-Id"] = "req_1"
        fake.on("POST", "/v1/invoke/hello", reply)
        answer = client.call("hello", b"{ }")
        assert answer.body == b' {"a":1.50}\n'
        assert fake.last.body == b"{ }"
        assert (answer.timing, answer.worker) == ("run;dur=1", "hello@1_7")
        assert (answer.execution_id, answer.request_id) == ("exe_1", "req_1")
        assert answer.value() == {"a": 1.5}

    def test_names_are_quoted(self, fake: FakeNode, client: Client) -> None:
        with pytest.raises(ApiProblem):
            client.invoke("a/../b")
        assert fake.last.path == "/v1/invoke/a%2F..%2Fb"

    def test_a_problem_is_an_exception(self, fake: FakeNode, client: Client) -> None:
        reply = problem(
            500,
            "handler_error",
            "boom",
            request_id="req_9",
            retryable=True,
            error_type="ValueError",
            function="hello",
            traceback="Traceback...",
        )
        fake.on("POST", "/v1/invoke/hello", reply)
        with pytest.raises(ApiProblem) as caught:
            client.invoke("hello")
        found = caught.value
        assert (found.status, found.code, found.detail, found.request_id) == (500, "handler_error", "boom", "req_9")
        assert (found.retryable, found.error_type, found.function) == (True, "ValueError", "hello")
        assert found.traceback == "Traceback..."

    def test_retry_after(self, fake: FakeNode, client: Client) -> None:
        reply = problem(429, "queue_full", "wait")
        reply.headers["Retry-After"] = "3"
        fake.on("POST", "/v1/invoke/hello", reply)
        with pytest.raises(ApiProblem) as caught:
            client.invoke("hello")
        assert caught.value.retry_after_s == 3.0

    def test_an_error_that_is_no_problem_document(self, fake: FakeNode, client: Client) -> None:
        fake.on("POST", "/v1/invoke/hello", Reply(502, b"<h1>Bad Gateway</h1>", {"Content-Type": "text/html"}))
        with pytest.raises(ApiProblem) as caught:
            client.invoke("hello")
        assert (caught.value.status, caught.value.code) == (502, "http_error")
        assert "Bad Gateway" in caught.value.detail

    def test_start_returns_the_execution(self, fake: FakeNode, client: Client) -> None:
        fake.on("POST", "/v1/invoke/flow", Reply(202, b"", {"Location": "/v1/executions/exe_5"}))
        assert client.start("flow", b"1") == "exe_5"
        assert fake.last.headers["Prefer"] == "respond-async"


class TestStream:
    def test_json_values_one_by_one_however_they_are_cut(self, fake: FakeNode, client: Client) -> None:
        pieces = [b'{"a"', b": 1}\n[2", b"]\n", b'"last"']
        fake.on("POST", "/v1/invoke/s", Reply(headers={"Content-Type": "application/x-ndjson"}, pieces=pieces))
        assert list(client.stream("s")) == [{"a": 1}, [2], "last"]
        assert client.invoke("s") == [{"a": 1}, [2], "last"]

    def test_bytes_and_text(self, fake: FakeNode, client: Client) -> None:
        pieces = [b"\x00", b"\xff"]
        fake.on("POST", "/v1/invoke/s", Reply(headers={"Content-Type": "application/octet-stream"}, pieces=pieces))
        assert b"".join(client.stream("s")) == b"\x00\xff"
        assert client.invoke("s") == b"\x00\xff"
        fake.on("POST", "/v1/invoke/s", Reply(headers={"Content-Type": "text/plain; charset=utf-8"}, pieces=[b"a"]))
        assert client.invoke("s") == "a"

    def test_a_function_that_does_not_stream(self, fake: FakeNode, client: Client) -> None:
        fake.on("POST", "/v1/invoke/s", document({"whole": True}))
        assert list(client.stream("s")) == [{"whole": True}]

    def test_what_came_before_the_interruption_is_delivered(self, fake: FakeNode, client: Client) -> None:
        headers = {"Content-Type": "application/x-ndjson", "X-Request-Id": "req_7"}
        fake.on("POST", "/v1/invoke/s", Reply(headers=headers, pieces=[b"1\n", b"2\n"], cut=True))
        values = client.stream("s")
        assert [next(values), next(values)] == [1, 2]
        with pytest.raises(StreamInterrupted, match="actorfaas logs --request req_7"):
            next(values)


class TestManagement:
    def test_deploy(self, fake: FakeNode, client: Client) -> None:
        fake.on("PUT", "/v1/deployments/shop", document({"app": "shop", "version": 3}, 201))
        assert client.deploy("shop", b"zip", entry="app.py")["version"] == 3
        assert (fake.last.body, fake.last.query) == (b"zip", {"entry": "app.py"})
        assert fake.last.headers["Content-Type"] == "application/zip"

    def test_rollback(self, fake: FakeNode, client: Client) -> None:
        fake.on("POST", "/v1/deployments/shop/rollback", document({"version": 2}))
        client.rollback("shop")
        assert fake.last.body == b""
        client.rollback("shop", 2)
        assert json.loads(fake.last.body) == {"version": 2}

    def test_answers_without_content(self, fake: FakeNode, client: Client) -> None:
        fake.on("DELETE", "/v1/deployments/shop", Reply(204))
        fake.on("POST", "/v1/executions/exe_1/cancel", Reply(204))
        client.remove("shop")
        assert client.cancel("exe_1") is None

    def test_redrive(self, fake: FakeNode, client: Client) -> None:
        fake.on("POST", "/v1/executions/exe_1/redrive", document({"redrive_count": 1}, 202))
        assert client.redrive("exe_1") == {"redrive_count": 1}

    def test_only_given_filters_are_sent(self, fake: FakeNode, client: Client) -> None:
        fake.on("GET", "/v1/executions", document({"executions": [], "next_cursor": None}))
        client.executions(status="failed")
        assert fake.last.query == {"status": "failed", "limit": "20"}

    def test_waiting_for_an_execution(self, fake: FakeNode, client: Client) -> None:
        fake.on("GET", "/v1/executions/exe_1", document({"status": "running"}))
        assert client.execution("exe_1", wait_s=2.5)["status"] == "running"
        assert fake.last.query == {"wait": "2.5"}

    def test_a_state_is_tried(self, fake: FakeNode, client: Client) -> None:
        fake.on("POST", "/v1/test-state", document({"status": "SUCCEEDED"}))
        assert client.test_state("a", {"x": 1}, workflow="flow", mock={"result": 2}) == {"status": "SUCCEEDED"}
        sent = {"workflow": "flow", "state": "a", "input": {"x": 1}, "mock": {"result": 2}}
        assert json.loads(fake.last.body) == sent
        client.test_state(definition={"Type": "Succeed"})
        assert json.loads(fake.last.body) == {"definition": {"Type": "Succeed"}, "state": "", "input": None}

    def test_readiness(self, fake: FakeNode, client: Client) -> None:
        fake.on("GET", "/readyz", Reply(503), Reply(200))
        assert [client.is_ready(), client.is_ready()] == [False, True]

    def test_logs_are_followed_from_where_the_last_answer_ended(self, fake: FakeNode, client: Client) -> None:
        fake.on(
            "GET",
            "/v1/logs",
            document({"lines": [{"seq": 4}, {"seq": 5}], "after": 5}),
            document({"lines": [], "after": 5}),
            document({"lines": [{"seq": 6}], "after": 6}),
        )
        lines = client.follow_logs(function="f", after=3)
        assert [next(lines)["seq"] for _ in range(3)] == [4, 5, 6]
        assert [asked.query["after"] for asked in fake.asked] == ["3", "5", "5"]
        assert fake.last.query["function"] == "f"
        assert fake.last.query["wait"]
