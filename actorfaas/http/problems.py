"""Which error becomes which HTTP status, as RFC 9457 problem details.

Owns the table of problem codes. A `Problem` is raised anywhere below the ASGI application and becomes one
`application/problem+json` response; nothing else decides a status for a failure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from actorfaas.errors import ActorFaasError, AskTimeout, MailboxFull, PeerUnavailable, RequestRefused
from actorfaas.messages import ExecutionState, InvocationFailed

CONTENT_TYPE = b"application/problem+json"
TYPE_PREFIX = "urn:actorfaas:problem:"

Headers = list[tuple[bytes, bytes]]


class Kind(NamedTuple):
    """What every problem with one code has in common."""

    status: int
    title: str
    retryable: bool = False
    retry_after_s: float = 0.0


KINDS: dict[str, Kind] = {
    "bad_payload": Kind(400, "The request body is not JSON"),
    "invalid": Kind(400, "The request is not valid"),
    "unauthorized": Kind(401, "A bearer token is required"),
    "forbidden": Kind(403, "The request comes from where it may not"),
    "invalid_token": Kind(400, "The task token is malformed"),
    "not_found": Kind(404, "Not found"),
    "task_does_not_exist": Kind(404, "There is no such task"),
    "method_not_allowed": Kind(405, "Method not allowed"),
    "head_timeout": Kind(408, "The request's head did not arrive in time", True),
    "body_timeout": Kind(408, "The request body did not arrive in time", True),
    "conflict": Kind(409, "Conflict"),
    "busy": Kind(409, "Busy"),
    "execution_already_exists": Kind(409, "An execution has this name"),
    "cancelled": Kind(409, "The execution was cancelled"),
    "task_timed_out": Kind(410, "The task is over"),
    "precondition_failed": Kind(412, "Precondition failed"),
    "body_too_large": Kind(413, "The request body is too large"),
    "deploy_failed": Kind(422, "The deployment failed"),
    "idempotency_key_reused": Kind(422, "The Idempotency-Key was used for another request"),
    "head_too_large": Kind(431, "The request's headers are too large"),
    "queue_full": Kind(429, "Too many requests wait for this function", True, 1.0),
    "handler_error": Kind(500, "The handler raised"),
    "memory": Kind(500, "The handler ran out of memory"),
    "execution_failed": Kind(500, "The execution failed"),
    "internal": Kind(500, "Internal error"),
    "worker_lost": Kind(502, "The worker was lost", True),
    "bad_result": Kind(502, "The handler's result is not JSON"),
    "overloaded": Kind(503, "Too many requests are under way", True, 1.0),
    "restarting": Kind(503, "A part of the node is restarting", True, 1.0),
    "stopping": Kind(503, "The node is stopping", True, 1.0),
    "unavailable": Kind(503, "Not available now", True, 1.0),
    "timeout": Kind(504, "Timeout"),
}
"""Every problem code this API can answer with."""

_REASONS = {"no_topic": "unavailable", "cancelled": "unavailable"}
"""Reasons of `InvocationFailed` that are called otherwise over HTTP. The caller itself never cancels a synchronous
call and then reads the answer, so `cancelled` there means that the platform dropped the request."""


class Problem(ActorFaasError):
    """A request fails with one of `KINDS`; `members` that are not empty are added to the document."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retryable: bool | None = None,
        retry_after_s: float = 0.0,
        headers: Headers | None = None,
        members: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        kind = KINDS[code]
        self.code = code
        self.status = kind.status
        self.title = kind.title
        self.detail = detail
        self.retryable = kind.retryable if retryable is None else retryable
        self.retry_after_s = retry_after_s or kind.retry_after_s
        self.headers = headers or []
        self.members = {name: value for name, value in (members or {}).items() if value}

    def body(self, request_id: str) -> bytes:
        """The problem document."""
        document: dict[str, Any] = {  # mixed JSON values
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            "retryable": self.retryable,
            **self.members,
        }
        return orjson.dumps(document)

    def response(self, request_id: str) -> tuple[int, Headers, bytes]:
        """Status, headers and body, ready to be sent."""
        body = self.body(request_id)
        headers: Headers = [
            (b"content-type", CONTENT_TYPE),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode("ascii")),
            *self.headers,
        ]
        if self.status in (429, 503):
            headers.append((b"retry-after", b"%d" % max(1, math.ceil(self.retry_after_s))))
        return self.status, headers, body


def from_refusal(error: RequestRefused, members: Mapping[str, str] | None = None) -> Problem:
    """The problem for an actor's refusal; a code this API does not know is an internal error."""
    code = error.code if error.code in KINDS else "internal"
    retryable = True if error.retryable else None
    if code == "deploy_failed":
        summary, traceback = split_traceback(error.detail)
        return Problem(code, summary, retryable=retryable, members={**(members or {}), "traceback": traceback})
    return Problem(code, error.detail, retryable=retryable, retry_after_s=error.retry_after_s, members=members)


def from_peer_error(error: ActorFaasError, members: Mapping[str, str] | None = None) -> Problem:
    """The problem for an ask that was refused, not answered, or could not be sent."""
    if isinstance(error, RequestRefused):
        return from_refusal(error, members)
    if isinstance(error, PeerUnavailable):
        return Problem("restarting", f"{error}; try again in a moment", members=members)
    if isinstance(error, AskTimeout):
        return Problem("timeout", str(error), retryable=True, members=members)
    if isinstance(error, MailboxFull):
        return Problem("overloaded", f"{error}; try again in a moment", members=members)
    return Problem("internal", str(error), members=members)


def from_failure(failed: InvocationFailed, function: str, *, with_traceback: bool) -> Problem:
    """The problem for an invocation without a result."""
    code = _REASONS.get(failed.reason, failed.reason)
    if code not in KINDS:
        code = "internal"
    return Problem(
        code,
        failed.error_message or KINDS[code].title,
        retryable=True if failed.retryable else None,
        retry_after_s=failed.retry_after_s,
        members={
            "error_type": failed.error_type,
            "function": function,
            "traceback": failed.traceback if with_traceback else "",
        },
    )


def from_execution(state: ExecutionState) -> Problem | None:
    """The problem for an execution that did not succeed; None when it did. `running` means: not in time."""
    name = state.name
    match state.status:
        case "succeeded":
            return None
        case "running":
            code, detail = "timeout", f"{name} is still running; see /v1/executions/{state.execution_id}"
        case "timed_out":
            code, detail = "timeout", state.error_message or f"{name} ran out of time"
        case "cancelled":
            code, detail = "cancelled", state.error_message or f"{name} was cancelled"
        case _:
            code, detail = "execution_failed", state.error_message or f"{name} failed"
    members = {"execution_id": state.execution_id, "function": name, "error_type": state.error_type}
    return Problem(code, detail, members=members)


def split_traceback(detail: str) -> tuple[str, str]:
    """A deploy error's text as (one line for people, the traceback or ""); the last line says what was raised."""
    text = detail.strip()
    if "\n" not in text:
        return text, ""
    lines = text.splitlines()
    first, last = lines[0].strip(), lines[-1].strip()
    if first.startswith("Traceback"):
        return last, text
    if first.endswith(last):
        return first, text
    said, _, kind = first.rpartition(": ")
    if said and last.partition(":")[0].rpartition(".")[2] == kind:
        first = said  # the last line names the type of the error itself
    return f"{first.rstrip(':')}: {last}", text
