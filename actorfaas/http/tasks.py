"""Endpoints for those who work outside the node: answering tasks by their tokens, and activities with their tasks."""

from __future__ import annotations

import asyncio

import orjson
from starlette.requests import Request
from starlette.responses import Response

from actorfaas.http.bodies import CallerGone, Limits, collect
from actorfaas.http.budget import Budget
from actorfaas.http.calls import now_ns
from actorfaas.http.exchange import hung_up, json_object, json_response, name, text, wait_s
from actorfaas.http.links import DATA_LAYER, EXECUTION_MANAGER, Links, Office
from actorfaas.http.problems import Problem
from actorfaas.http.render import Document
from actorfaas.ids import new_id
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
    PollActivity,
    StopPolling,
    SucceedTask,
)

MAX_WORKER_LENGTH = 80
MAX_ERROR_LENGTH = 256


class TaskEndpoints:
    """Each method answers one operation of `http.surface`."""

    def __init__(self, office: Office, links: Links) -> None:
        self._office = office
        self._links = links
        self._limits = Limits(office.settings.max_body_bytes, office.settings.body_timeout_s)
        self._budget = Budget(office.settings.max_in_flight_bytes)

    # --- tokens ------------------------------------------------------------------------------------------------------

    async def task_success(self, request: Request) -> Response:
        """The body is the task's result."""
        token = name(request, "token")
        share = self._budget.share()
        try:
            body = await collect(request.receive, dict(request.scope["headers"]), self._limits, share)
            return await self._answer(SucceedTask(token, _checked(body)))
        finally:
            share.release()

    async def task_failure(self, request: Request) -> Response:
        """The task failed."""
        token = name(request, "token")
        given = await json_object(request, self._limits.timeout_s)
        error, cause = (given.get(member, "") for member in ("error", "cause"))
        if given.keys() - {"error", "cause"} or not isinstance(error, str) or not isinstance(cause, str):
            raise Problem("invalid", 'the body is {"error": TEXT, "cause": TEXT}, both of which may be missing')
        if len(error) > MAX_ERROR_LENGTH:
            raise Problem("invalid", f"error has at most {MAX_ERROR_LENGTH} characters, not {len(error)}")
        return await self._answer(FailTask(token, error, cause))

    async def task_heartbeat(self, request: Request) -> Response:
        """The task goes on."""
        return await self._answer(BeatTask(name(request, "token")))

    async def _answer(self, message: SucceedTask | FailTask | BeatTask) -> Response:
        """Not repeated when the part that took it goes away: it may have counted."""
        await self._links.ask(EXECUTION_MANAGER, message, Done, repeat=False)
        return Response(status_code=204)

    # --- activities --------------------------------------------------------------------------------------------------

    async def activities(self, _: Request) -> Response:
        """Every activity."""
        found = await self._links.ask(DATA_LAYER, ListActivities(), ActivityRecords)
        return json_response({"activities": [_shown(one) for one in found.activities]})

    async def create_activity(self, request: Request) -> Response:
        """Make an activity."""
        message = CreateActivity(name(request, "name"))
        (made,) = (await self._links.ask(EXECUTION_MANAGER, message, ActivityRecords)).activities
        return json_response(_shown(made))

    async def delete_activity(self, request: Request) -> Response:
        """Remove an activity."""
        await self._links.ask(EXECUTION_MANAGER, DeleteActivity(name(request, "name")), Done, repeat=False)
        return Response(status_code=204)

    async def poll_activity(self, request: Request) -> Response:
        """The next task, or 204 when there is none in time. A caller that hangs up is given none."""
        activity, patience_s, worker = name(request, "name"), wait_s(request), text(request, "worker")
        if len(worker) > MAX_WORKER_LENGTH:
            raise Problem("invalid", f"worker has at most {MAX_WORKER_LENGTH} characters, not {len(worker)}")
        await json_object(request, self._limits.timeout_s)  # what follows a body is the end of the connection
        poll = PollActivity(new_id("poll"), activity, worker, now_ns() + int(patience_s * 1e9))
        ask = self._links.ask_patiently(EXECUTION_MANAGER, poll, ActivityTask, patience_s)
        answer = asyncio.create_task(ask, name=f"poll {activity}")
        gone = asyncio.create_task(hung_up(request.receive), name=f"watch {poll.poll_id}")
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                await self._links.send(EXECUTION_MANAGER, StopPolling(poll.poll_id))
                raise CallerGone
            task = answer.result()
        finally:
            answer.cancel()
            gone.cancel()
        if not task.token:
            return Response(status_code=204)
        return json_response({"task_token": task.token, "input": orjson.Fragment(task.payload)})


def _checked(body: bytes) -> bytes:
    """A body that is JSON; null where there is none. Raises Problem "bad_payload"."""
    if not body.strip():
        return b"null"
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem("bad_payload", f"the body is not JSON: {error}") from error
    return body


def _shown(record: ActivityRecord) -> Document:
    return {"name": record.activity, "created_at_ms": record.created_at_ms}
