"""A connection to the HTTP API of one node: requests out, answers in, problems as exceptions.

Base of the parts of `client.Client`.
"""

from __future__ import annotations

from typing import Any, Self

import httpx

from actorfaas import __version__
from actorfaas.answers import problem_of, translated
from actorfaas.discovery import find_node
from actorfaas.errors import NodeUnreachable

Json = Any  # a decoded JSON document: the caller's business

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 60.0
"""How long an answer of the API may take; invocations and deployments have their own limits."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ApiConnection:
    """Use as a context manager, or `close()` it. Not to be shared between threads."""

    def __init__(self, url: str = "", *, token: str = "") -> None:
        target = find_node(url, token)
        self.url = (target.url if "://" in target.url else f"http://{target.url}").rstrip("/")
        headers = {"User-Agent": f"actorfaas/{__version__}"}
        if target.token:
            headers["Authorization"] = f"Bearer {target.token}"
        with translated(self.url, CONNECT_TIMEOUT_S):
            parts = httpx.URL(self.url)
            is_near = parts.host in _LOOPBACK  # no proxy between a person and their own node
            self._http = httpx.Client(
                base_url=self.url,
                headers=headers,
                timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
                trust_env=not is_near,
                verify=not (is_near and parts.scheme == "http"),  # no need to read certificates, which takes 80 ms
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _get(self, path: str, *, wait_s: float = 0.0, **params: str) -> Json:
        return self._json(self._request("GET", path, params=filled(params), timeout_s=ANSWER_TIMEOUT_S + wait_s))

    def _request(
        self,
        method: str,
        path: str,
        *,
        content: bytes = b"",
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> httpx.Response:
        request = self._http.build_request(
            method,
            path,
            content=content or None,
            headers=headers,
            params=params,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
        )
        response = self._send(request)
        if response.status_code >= 400:
            raise problem_of(response)
        return response

    def _send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        with translated(self.url, CONNECT_TIMEOUT_S):
            return self._http.send(request, stream=stream)

    def _json(self, response: httpx.Response) -> Json:
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise NodeUnreachable(f"what answers at {self.url} is no actorfaas node: its answer is not JSON") from error


def filled(params: dict[str, str]) -> dict[str, str]:
    """The parameters that have a value."""
    return {name: value for name, value in params.items() if value}
