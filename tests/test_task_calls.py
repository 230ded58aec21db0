"""`actorfaas.task_calls`: answering tasks and asking for them, against a server on a real socket."""

from __future__ import annotations

import json

import pytest

from actorfaas.client import ActivityTask, Client
from actorfaas.errors import ApiProblem
from tests.fake_node import FakeNode, Reply, document, problem

TOKEN = "exe_1.0.5"


def test_answers(fake: FakeNode, client: Client) -> None:
    for verb in ("success", "failure", "heartbeat"):
        fake.on("POST", f"/v1/tasks/{TOKEN}/{verb}", Reply(204))
    client.succeed_task(TOKEN, {"a": 1})
    assert json.loads(fake.last.body) == {"a": 1}
    client.fail_task(TOKEN, "Bad", "it is")
    assert json.loads(fake.last.body) == {"error": "Bad", "cause": "it is"}
    client.heartbeat_task(TOKEN)
    assert fake.last.body == b""


def test_a_task_that_is_over(fake: FakeNode, client: Client) -> None:
    fake.on("POST", f"/v1/tasks/{TOKEN}/success", problem(410, "task_timed_out", "it is over"))
    with pytest.raises(ApiProblem) as refused:
        client.succeed_task(TOKEN)
    assert (refused.value.status, refused.value.code) == (410, "task_timed_out")


def test_tasks_of_an_activity(fake: FakeNode, client: Client) -> None:
    fake.on("POST", "/v1/activities/knit/poll", document({"task_token": TOKEN, "input": [1]}), Reply(204))
    assert client.poll_activity("knit", worker="ada") == ActivityTask(TOKEN, [1])
    assert fake.last.query == {"wait": "60", "worker": "ada"}
    assert client.poll_activity("knit", wait_s=1e9) is None
    assert fake.last.query == {"wait": "60"}


def test_activities(fake: FakeNode, client: Client) -> None:
    fake.on("PUT", "/v1/activities/a%2Fb", document({"name": "a/b", "created_at_ms": 1}))
    fake.on("GET", "/v1/activities", document({"activities": []}))
    fake.on("DELETE", "/v1/activities/knit", Reply(204))
    assert client.create_activity("a/b")["created_at_ms"] == 1
    assert client.activities() == {"activities": []}
    client.delete_activity("knit")
    assert fake.last.method == "DELETE"
