"""What is said of one operation of the HTTP API, and the parameters that several have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter or request header."""

    name: str
    place: str  # query or header
    kind: str  # string, integer, number, boolean or an enumeration of `http.schemas`
    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `response` names a schema of `http.schemas`, or is a media type with a slash."""

    method: str
    path: str
    handler: str
    tag: str
    summary: str
    response: str
    status: int = 200
    parameters: tuple[Parameter, ...] = ()
    body: str = ""  # media type of the request body
    problems: tuple[int, ...] = ()


def query(name: str, kind: str, text: str) -> Parameter:
    """A query parameter."""
    return Parameter(name, "query", kind, text)


def header(name: str, kind: str, text: str) -> Parameter:
    """A request header."""
    return Parameter(name, "header", kind, text)


LIMIT = query("limit", "integer", "most entries in the answer")
CURSOR = query("cursor", "string", "next_cursor of the page before")
WAIT = query("wait", "number", "seconds to wait for news before answering, at most 60")
