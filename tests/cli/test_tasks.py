"""`actorfaas task` and `actorfaas activity`."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Cli
from tests.fake_node import FakeNode, Reply, document, problem

TOKEN = "exe_1.0.5"
KNIT = {"name": "knit", "created_at_ms": 1_700_000_000_000}


@pytest.mark.parametrize(
    ("arguments", "verb", "sent"),
    [
        (("succeed", TOKEN, '{"ok": true}'), "success", b'{"ok": true}'),
        (("succeed", TOKEN), "success", b"null"),
        (("fail", TOKEN, "--error", "Bad", "--cause", "it is"), "failure", b'{"error": "Bad", "cause": "it is"}'),
        (("heartbeat", TOKEN), "heartbeat", b""),
    ],
)
def test_a_task_is_answered(cli: Cli, fake: FakeNode, arguments: tuple[str, ...], verb: str, sent: bytes) -> None:
    fake.on("POST", f"/v1/tasks/{TOKEN}/{verb}", Reply(204))
    result = cli("task", *arguments)
    assert (result.exit_code, result.stdout) == (0, "")
    assert TOKEN in result.stderr
    assert fake.last.body == sent
    assert json.loads(cli("-o", "json", "task", *arguments).stdout)["task_token"] == TOKEN


def test_an_output_must_be_json(cli: Cli, fake: FakeNode) -> None:
    assert cli("task", "succeed", TOKEN, "{").exit_code == 2
    assert not fake.asked


def test_a_task_that_is_over(cli: Cli, fake: FakeNode) -> None:
    fake.on("POST", f"/v1/tasks/{TOKEN}/success", problem(410, "task_timed_out", "it is over"))
    result = cli("task", "succeed", TOKEN)
    assert result.exit_code == 1
    assert "task_timed_out" in result.stderr


def test_activities_are_made_listed_and_removed(cli: Cli, fake: FakeNode) -> None:
    fake.on("PUT", "/v1/activities/knit", document(KNIT))
    assert "activity:knit" in cli("activity", "create", "knit").stderr
    assert json.loads(cli("-o", "json", "activity", "create", "knit").stdout) == KNIT
    fake.on("GET", "/v1/activities", document({"activities": []}), document({"activities": [KNIT]}))
    assert cli("activity", "list").stdout == ""
    assert cli("activity", "list").stdout.splitlines()[1].startswith("knit")
    assert json.loads(cli("-o", "json", "activity", "list").stdout) == {"activities": [KNIT]}
    fake.on("DELETE", "/v1/activities/knit", Reply(204))
    assert "removed knit" in cli("activity", "remove", "knit").stderr
    assert json.loads(cli("-o", "json", "activity", "remove", "knit").stdout) == {"name": "knit"}


def test_a_task_is_asked_for(cli: Cli, fake: FakeNode) -> None:
    fake.on("POST", "/v1/activities/knit/poll", document({"task_token": TOKEN, "input": [1]}), Reply(204))
    result = cli("activity", "poll", "knit", "--wait", "2", "--worker", "ada")
    assert json.loads(result.stdout) == {"task_token": TOKEN, "input": [1]}
    assert fake.last.query == {"wait": "2", "worker": "ada"}
    none = cli("activity", "poll", "knit", "--wait", "0")
    assert (none.exit_code, none.stdout) == (1, "")
    assert "no task of knit" in none.stderr
