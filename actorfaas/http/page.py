"""The web page: plain files, read once, served under `/ui/` with headers that keep anything else out.

The page is a client of the API like any other: what it shows it asks for under `/v1`, with the node's token. So its
files are for everybody who may reach the port; `http.guard` still checks Host and Origin.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from actorfaas.diagrams.style import STYLE
from actorfaas.http.problems import Problem

ROOT = "/ui/"
_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def _digest(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode("ascii")


HEADERS: Mapping[str, str] = {
    # Pictures of workflows bring their style with them: that one and no other is let in by its hash.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        f"style-src 'self' 'sha256-{_digest(STYLE.encode())}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page."""

    content: bytes
    media_type: str
    etag: str


def files() -> dict[str, File]:
    """The page's files by name, from the package."""
    found = {}
    for entry in resources.files("actorfaas.http").joinpath("ui").iterdir():
        media_type = _MEDIA_TYPES.get(entry.name.rpartition(".")[2])
        if media_type is not None:
            content = entry.read_bytes()
            found[entry.name] = File(content, media_type, f'"{_digest(content)}"')
    return found


class Page:
    """Answers for the page's files; none of them depends on who asks."""

    def __init__(self) -> None:
        self._files = files()

    def routes(self) -> list[Route]:
        """Where the page is: `/ui/`, and its files below; the node's bare address leads there."""
        return [
            Route("/", self._lead, methods=["GET"]),
            Route("/ui", self._lead, methods=["GET"]),
            Route(ROOT, self._file, methods=["GET"]),
            Route(ROOT + "{file}", self._file, methods=["GET"]),
        ]

    async def _lead(self, _: Request) -> Response:
        return RedirectResponse(ROOT, 307)

    async def _file(self, request: Request) -> Response:
        file = self._files.get(request.path_params.get("file", "index.html"))
        if file is None:
            raise Problem("not_found", f"the page has no file {request.path_params['file']!r}")
        headers = {**HEADERS, "etag": file.etag}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=file.media_type, headers=headers)
