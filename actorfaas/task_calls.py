"""The part of the client for those who work outside the node: answering tasks, and asking activities for them.

    with Client() as node:
        while True:
            if task := node.poll_activity("review"):
                node.succeed_task(task.token, review(task.input))

Base of `client.Client`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

from actorfaas.api_connection import ApiConnection, Json

POLL_S = 60.0
"""How long one question for a task waits, at most: the node's limit."""


@dataclass(frozen=True, slots=True)
class ActivityTask:
    """A task of an activity: answer it by its `token`."""

    token: str
    input: Json


class TaskCalls(ApiConnection):
    """Answers to tasks, and activities. Every method raises as those of the client do."""

    def succeed_task(self, token: str, output: Json = None) -> None:
        """Give the task that `token` names its result. Raises ApiProblem `task_timed_out` when it is over already."""
        self._request("POST", _task(token, "success"), content=json.dumps(output).encode())

    def fail_task(self, token: str, error: str = "", cause: str = "") -> None:
        """Let the task that `token` names fail; without an `error` it is States.TaskFailed."""
        self._request("POST", _task(token, "failure"), content=json.dumps({"error": error, "cause": cause}).encode())

    def heartbeat_task(self, token: str) -> None:
        """Say that the task that `token` names goes on."""
        self._request("POST", _task(token, "heartbeat"))

    def poll_activity(self, name: str, *, worker: str = "", wait_s: float = POLL_S) -> ActivityTask | None:
        """The next task of an activity; None when there is none within `wait_s` (at most 60). `worker`: who asks, for
        the history."""
        wait_s = min(wait_s, POLL_S)
        params = {"wait": f"{wait_s:g}"} | ({"worker": worker} if worker else {})
        path = f"{_activity(name)}/poll"
        response = self._request("POST", path, params=params, timeout_s=POLL_S + wait_s)
        if response.status_code == 204:
            return None
        found = self._json(response)
        return ActivityTask(found["task_token"], found["input"])

    def create_activity(self, name: str) -> Json:
        """Make an activity: `{name, created_at_ms}`. One that is there stays as it is."""
        return self._json(self._request("PUT", _activity(name)))

    def activities(self) -> Json:
        """Every activity: `{activities: [{name, created_at_ms}]}`."""
        return self._json(self._request("GET", "/v1/activities"))

    def delete_activity(self, name: str) -> None:
        """Remove an activity; its tasks wait for their time limits."""
        self._request("DELETE", _activity(name))


def _task(token: str, verb: str) -> str:
    return f"/v1/tasks/{quote(token, safe='')}/{verb}"


def _activity(name: str) -> str:
    return f"/v1/activities/{quote(name, safe='')}"
