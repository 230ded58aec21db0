"""Every failure becomes one problem with the documented status."""

from __future__ import annotations

import orjson
import pytest

from actorfaas.errors import ActorFaasError, AskTimeout, MailboxFull, PeerUnavailable, RequestRefused
from actorfaas.http import problems
from actorfaas.http.problems import Problem
from tests.frontend_kit import execution_state, failure


def document(problem: Problem) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(problem.body("req_1"))
    return found


def test_document_has_what_rfc_9457_and_the_api_promise() -> None:
    problem = Problem("not_found", "no such thing", members={"function": "f", "error_type": ""})
    assert document(problem) == {
        "type": "urn:actorfaas:problem:not_found",
        "title": "Not found",
        "status": 404,
        "detail": "no such thing",
        "request_id": "req_1",
        "retryable": False,
        "function": "f",
    }


def test_response_has_type_length_and_request_id() -> None:
    status, headers, body = Problem("conflict", "no").response("req_1")
    found = dict(headers)
    assert status == 409
    assert found[b"content-type"] == b"application/problem+json"
    assert found[b"content-length"] == str(len(body)).encode()
    assert found[b"x-request-id"] == b"req_1"
    assert b"retry-after" not in found


@pytest.mark.parametrize(("given", "sent"), [(0.0, b"1"), (0.2, b"1"), (1.2, b"2"), (30.0, b"30")])
def test_retry_after_is_whole_seconds_rounded_up(given: float, sent: bytes) -> None:
    _, headers, _ = Problem("queue_full", "full", retry_after_s=given).response("req_1")
    assert dict(headers)[b"retry-after"] == sent


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        ("handler_error", 500, "handler_error"),
        ("worker_lost", 502, "worker_lost"),
        ("timeout", 504, "timeout"),
        ("queue_full", 429, "queue_full"),
        ("no_topic", 503, "unavailable"),
        ("cancelled", 503, "unavailable"),
        ("stopping", 503, "stopping"),
        ("unavailable", 503, "unavailable"),
        ("bad_payload", 400, "bad_payload"),
        ("bad_result", 502, "bad_result"),
        ("memory", 500, "memory"),
        ("a reason of tomorrow", 500, "internal"),
    ],
)
def test_status_of_every_reason_of_a_failed_invocation(reason: str, status: int, code: str) -> None:
    problem = problems.from_failure(failure("req_1", reason), "f", with_traceback=False)
    assert (problem.status, problem.code) == (status, code)


def test_failure_names_what_was_raised_and_shows_the_traceback_only_when_asked() -> None:
    failed = failure("r", "handler_error", error_type="KeyError", error_message="'x'", traceback="Traceback ...")
    quiet = document(problems.from_failure(failed, "f", with_traceback=False))
    assert (quiet["error_type"], quiet["detail"], quiet["function"]) == ("KeyError", "'x'", "f")
    assert "traceback" not in quiet
    assert document(problems.from_failure(failed, "f", with_traceback=True))["traceback"] == "Traceback ..."


def test_failure_that_says_retryable_is() -> None:
    failed = failure("r", "handler_error", retryable=True)
    assert problems.from_failure(failed, "f", with_traceback=False).retryable


@pytest.mark.parametrize(
    ("error", "status", "retryable"),
    [
        (RequestRefused("not_found", "no"), 404, False),
        (RequestRefused("conflict", "no"), 409, False),
        (RequestRefused("deploy_failed", "no"), 422, False),
        (RequestRefused("overloaded", "no", retryable=True), 503, True),
        (RequestRefused("stopping", "no"), 503, True),
        (RequestRefused("no such code", "no"), 500, False),
        (PeerUnavailable("gone"), 503, True),
        (AskTimeout("slow"), 504, True),
        (MailboxFull("full"), 503, True),
        (ActorFaasError("else"), 500, False),
    ],
)
def test_status_of_every_way_an_ask_fails(error: ActorFaasError, status: int, retryable: bool) -> None:
    problem = problems.from_peer_error(error)
    assert (problem.status, problem.retryable) == (status, retryable)


def test_failed_deployment_says_the_last_line_and_shows_the_traceback() -> None:
    text = 'import of app.py failed:\nTraceback (most recent call last):\n  File "app.py"\nSyntaxError: invalid syntax'
    problem = problems.from_refusal(RequestRefused("deploy_failed", text))
    assert problem.detail == "import of app.py failed: SyntaxError: invalid syntax"
    assert problem.members["traceback"] == text


@pytest.mark.parametrize(
    ("text", "summary", "traceback"),
    [
        ("no module", "no module", ""),
        ("Traceback (most recent call last):\n  x\nValueError: 1", "ValueError: 1", "all"),
        ("a: b\nb", "a: b", "all"),
        ("it failed: OSError\nx\nOSError: no model", "it failed: OSError: no model", "all"),
        ("it failed: Bad\nx\nsome.errors.Bad: twice", "it failed: some.errors.Bad: twice", "all"),
        ("it failed: SystemExit\nx\nsys.exit(3)", "it failed: SystemExit: sys.exit(3)", "all"),
    ],
)
def test_split_traceback(text: str, summary: str, traceback: str) -> None:
    assert problems.split_traceback(text) == (summary, text if traceback else "")


@pytest.mark.parametrize(
    ("status", "http", "code"),
    [
        ("running", 504, "timeout"),
        ("timed_out", 504, "timeout"),
        ("cancelled", 409, "cancelled"),
        ("failed", 500, "execution_failed"),
    ],
)
def test_status_of_every_end_of_an_execution(status: str, http: int, code: str) -> None:
    problem = problems.from_execution(execution_state("exe_1", status, error_type="ValueError"))
    assert problem is not None
    assert (problem.status, problem.code) == (http, code)
    assert problem.members == {"execution_id": "exe_1", "function": "pipeline", "error_type": "ValueError"}


def test_an_execution_that_succeeded_is_no_problem() -> None:
    assert problems.from_execution(execution_state("exe_1")) is None


def test_every_code_has_a_status_that_is_an_error() -> None:
    assert all(400 <= kind.status < 600 and kind.title for kind in problems.KINDS.values())
