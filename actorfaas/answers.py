"""Answers of the HTTP API as Python values: results, streams, and problems as exceptions.

Owns the reading of responses. What is asked, and how long is waited, is decided in `client`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from actorfaas import trace_context
from actorfaas.errors import ApiProblem, NodeUnreachable, ResponseTimeout, StreamInterrupted

Json = Any  # a decoded JSON document: the caller's business

_PROBLEM = "application/problem+json"
MAX_WORDS = 500
"""Characters shown of an answer that nobody expected."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an invocation answered. `body` is exactly what the node sent; `timing` its Server-Timing header,
    `trace_id` the trace it is kept in, "" if it is in none."""

    body: bytes
    content_type: str
    request_id: str
    execution_id: str
    worker: str
    timing: str
    trace_id: str = ""

    def value(self) -> Json:
        """The result decoded: JSON; a list for streamed JSON values; text or bytes for other streams."""
        if self.content_type == "application/x-ndjson":
            return [json.loads(line) for line in self.body.splitlines() if line]
        if self.content_type == "text/plain":
            return self.body.decode()
        return self.body if self.content_type == "application/octet-stream" else json.loads(self.body)


class OpenCall:
    """An invocation whose response is arriving: `head` is known (its body empty), `pieces()` yields the body."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.head = _answer(response)

    def read(self) -> Answer:
        """The whole answer. Raises as `pieces`."""
        return replace(self.head, body=b"".join(self.pieces()))

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives. Raises StreamInterrupted when it ends early."""
        request_id = self.head.request_id
        try:
            yield from self._response.iter_bytes()
        except httpx.ReadTimeout as error:
            raise ResponseTimeout(f"request {request_id}: nothing more came in time") from error
        except httpx.TransportError as error:
            raise StreamInterrupted(
                f"request {request_id}: the response ended early: {error}; see: actorfaas logs --request {request_id}"
            ) from error


@contextmanager
def translated(url: str, connect_timeout_s: float) -> Iterator[None]:
    """Raise this package's errors for httpx's."""
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise NodeUnreachable(f"no node answers at {url} (no connection in {connect_timeout_s:g} s)") from error
    except httpx.ConnectError as error:
        raise NodeUnreachable(f"no node answers at {url} ({error})") from error
    except httpx.TimeoutException as error:
        raise ResponseTimeout(f"the node at {url} did not answer in time") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise NodeUnreachable(f"{url!r} is not a URL of a node ({error})") from error
    except httpx.TransportError as error:
        raise NodeUnreachable(f"the connection to {url} broke: {error or type(error).__name__}") from error


def _answer(response: httpx.Response) -> Answer:
    headers = response.headers
    return Answer(
        body=b"",
        content_type=headers.get("Content-Type", "").partition(";")[0].strip(),
        request_id=headers.get("X-Request-Id", ""),
        execution_id=headers.get("Actorfaas-Execution", ""),
        worker=headers.get("Actorfaas-Worker", ""),
        timing=headers.get("Server-Timing", ""),
        trace_id=trace_context.trace_id(headers.get("traceresponse", "")),
    )


def problem_of(response: httpx.Response) -> ApiProblem:
    """The exception for an answer with an error status, whoever wrote it (a proxy's is no problem document)."""
    document: dict[str, Json] = {}
    if response.headers.get("Content-Type", "").startswith(_PROBLEM):
        try:
            document = response.json()
        except ValueError:
            document = {}
    retry_after = response.headers.get("Retry-After", "")
    return ApiProblem(
        response.status_code,
        str(document.get("type", "")).rpartition(":")[2] or "http_error",
        str(document.get("detail") or document.get("title") or _first_words(response)),
        request_id=str(document.get("request_id") or response.headers.get("X-Request-Id", "")),
        execution_id=str(document.get("execution_id") or response.headers.get("Actorfaas-Execution", "")),
        retryable=bool(document.get("retryable", False)),
        retry_after_s=float(retry_after) if retry_after.isdecimal() else 0.0,
        error_type=str(document.get("error_type", "")),
        function=str(document.get("function", "")),
        traceback=str(document.get("traceback", "")),
    )


def _first_words(response: httpx.Response) -> str:
    """What to say about an answer that is no problem document; a page for browsers says nothing here."""
    is_page = response.headers.get("Content-Type", "").startswith("text/html")
    words = "" if is_page else " ".join(response.text[:MAX_WORDS].split())
    return words or response.reason_phrase or "an error without a word"


def lines_of(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Complete, non-empty lines from bytes cut anywhere."""
    rest = b""
    for piece in pieces:
        *complete, rest = (rest + piece).split(b"\n")
        yield from (line for line in complete if line)
    if rest:
        yield rest
