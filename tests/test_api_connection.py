"""A connection to a node's API: what goes wrong on the way."""

from __future__ import annotations

import socket
import threading

import pytest

from actorfaas.client import Client
from actorfaas.errors import NodeUnreachable, ResponseTimeout
from tests.fake_node import FakeNode, Reply, document


def test_nobody_answers() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with Client(url) as client, pytest.raises(NodeUnreachable, match=f"no node answers at {url}"):
            client.functions()


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8080", "http://[", "http://"])
def test_not_a_url(url: str) -> None:
    with pytest.raises(NodeUnreachable), Client(url) as client:
        client.functions()


def test_something_else_answers(fake: FakeNode, client: Client) -> None:
    fake.on("GET", "/v1/functions", Reply(200, b"<html>", {"Content-Type": "text/html"}))
    with pytest.raises(NodeUnreachable, match="is no actorfaas node"):
        client.functions()


def test_no_answer_in_time(fake: FakeNode, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorfaas.client.GRACE_S", 0.05)
    held = threading.Event()
    fake.on("POST", "/v1/invoke/slow", Reply(hold=held))
    try:
        with pytest.raises(ResponseTimeout, match="did not answer in time"):
            client.invoke("slow", timeout_s=0.05)
    finally:
        held.set()


def test_a_node_on_this_machine_is_not_asked_through_a_proxy(fake: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    fake.on("GET", "/v1/functions", document({"functions": []}))
    with Client(fake.url) as client:
        assert client.functions() == {"functions": []}
