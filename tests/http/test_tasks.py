"""Answers to tasks, and activities, over a real socket: what is asked, what is answered, what is refused."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from actorfaas.http.calls import now_ns
from actorfaas.messages import (
    ActivityRecord,
    ActivityRecords,
    ActivityTask,
    BeatTask,
    CreateActivity,
    DeleteActivity,
    Done,
    FailTask,
    ListActivities,
    Message,
    PollActivity,
    Refused,
    StopPolling,
    SucceedTask,
)
from tests.actors_kit import Kit
from tests.frontend_kit import Node, frontend
from tests.http.shapes import check

TOKEN = "exe_1.0.5"
KNIT = ActivityRecord("knit", 1_700_000_000_000)


@pytest.mark.parametrize(
    ("verb", "body", "message"),
    [
        ("success", b'{"ok":true}', SucceedTask(TOKEN, b'{"ok":true}')),
        ("success", b" ", SucceedTask(TOKEN, b"null")),
        ("failure", b'{"error":"Bad","cause":"it is"}', FailTask(TOKEN, "Bad", "it is")),
        ("failure", b"", FailTask(TOKEN, "", "")),
        ("heartbeat", b"", BeatTask(TOKEN)),
    ],
)
async def test_an_answer_reaches_the_execution_manager(node: Node, verb: str, body: bytes, message: Message) -> None:
    answer = node.post(f"/v1/tasks/{TOKEN}/{verb}", body)
    asked, sender = await node.manager.expect_ask(type(message))
    assert asked == message
    assert not answer.done()
    sender.reply(Done())
    assert (await answer).status_code == 204


@pytest.mark.parametrize(
    ("code", "status"), [("task_timed_out", 410), ("task_does_not_exist", 404), ("invalid_token", 400)]
)
async def test_tokens_are_refused_by_name(node: Node, code: str, status: int) -> None:
    node.manager.answer(BeatTask, Refused(code, "no"))
    answer = await node.post(f"/v1/tasks/{TOKEN}/heartbeat")
    assert answer.status_code == status
    assert answer.json()["type"] == f"urn:actorfaas:problem:{code}"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/v1/tasks/{TOKEN}/success", b"{"),
        (f"/v1/tasks/{TOKEN}/failure", b"[]"),
        (f"/v1/tasks/{TOKEN}/failure", b'{"error":1}'),
        (f"/v1/tasks/{TOKEN}/failure", b'{"reason":"x"}'),
        (f"/v1/tasks/{TOKEN}/failure", b'{"error":"' + b"x" * 257 + b'"}'),
        ("/v1/tasks/a%20b/heartbeat", b""),
        ("/v1/activities/knit/poll?wait=soon", b""),
        (f"/v1/activities/knit/poll?worker={'x' * 81}", b""),
    ],
)
async def test_what_makes_no_sense_is_refused(node: Node, path: str, body: bytes) -> None:
    assert (await node.post(path, body)).status_code == 400
    assert not node.manager.received(Message)


async def test_a_result_that_is_too_large_is_refused(kit: Kit) -> None:
    async with frontend(kit, max_body_bytes=100) as node:
        assert (await node.post(f"/v1/tasks/{TOKEN}/success", b'"' + b"x" * 100 + b'"')).status_code == 413


async def test_an_answer_is_not_given_twice_when_its_part_goes(node: Node) -> None:
    answer = node.post(f"/v1/tasks/{TOKEN}/success", b"1")
    await node.manager.expect(SucceedTask)
    (await node.manager.expect_caller("frontend")).close()
    assert (await answer).status_code == 503
    assert not node.manager.received(SucceedTask)


async def test_activities_are_made_listed_and_removed(node: Node) -> None:
    node.manager.answer(CreateActivity, ActivityRecords((KNIT,)))
    made = await node.client.put("/v1/activities/knit")
    check(made.json(), "Activity")
    assert made.json() == {"name": "knit", "created_at_ms": 1_700_000_000_000}
    node.data.answer(ListActivities, ActivityRecords((KNIT,)))
    listed = (await node.get("/v1/activities")).json()
    check(listed, "Activities")
    assert listed == {"activities": [made.json()]}
    node.manager.answer(DeleteActivity, lambda one: Done() if one.activity == "knit" else Refused("not_found", "no"))
    assert (await node.client.delete("/v1/activities/knit")).status_code == 204
    assert (await node.client.delete("/v1/activities/purl")).status_code == 404


async def test_a_poll_waits_for_a_task(node: Node) -> None:
    before = now_ns()
    answer = node.post("/v1/activities/knit/poll?wait=30&worker=ada")
    poll, sender = await node.manager.expect_ask(PollActivity)
    assert (poll.activity, poll.worker) == ("knit", "ada")
    assert 25e9 < poll.wait_until_ns - before < 40e9
    sender.reply(ActivityTask(TOKEN, b'{"wool": 1}'))
    found = await answer
    check(found.json(), "ActivityTask")
    assert found.json() == {"task_token": TOKEN, "input": {"wool": 1}}


async def test_a_poll_without_a_task(node: Node) -> None:
    node.manager.answer(PollActivity, ActivityTask("", b""))
    answer = await node.post("/v1/activities/knit/poll")
    assert (answer.status_code, answer.content) == (204, b"")
    node.manager.answer(PollActivity, Refused("not_found", "no"))
    assert (await node.post("/v1/activities/knit/poll")).status_code == 404


async def test_a_worker_that_hangs_up_is_withdrawn(node: Node) -> None:
    asking = asyncio.create_task(node.client.post("/v1/activities/knit/poll?wait=60", timeout=0.3))
    poll = await node.manager.expect(PollActivity)
    with pytest.raises(httpx.ReadTimeout):
        await asking
    assert await node.manager.expect(StopPolling) == StopPolling(poll.poll_id)
