"""Sending spans to a collector of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from actorfaas import __version__
from actorfaas.errors import ActorFaasError
from actorfaas.flow.otlp import rejected, request
from actorfaas.flow.spans import Span

SPANS_AT_ONCE = 2000
TIMEOUT_S = 30.0


def export(spans: Sequence[Span], endpoint: str) -> int:
    """Send all of them to an OTLP/HTTP endpoint (.../v1/traces); how many the collector took. Raises ActorFaasError."""
    taken = 0
    with httpx.Client(timeout=TIMEOUT_S) as http:
        for first in range(0, len(spans), SPANS_AT_ONCE):
            batch = spans[first : first + SPANS_AT_ONCE]
            try:
                answer = http.post(endpoint, json=request(batch, __version__))
                answer.raise_for_status()
                refused = rejected(answer.json()) if answer.content else 0
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                raise ActorFaasError(f"{endpoint} did not take the spans: {error}") from error
            taken += len(batch) - refused
    return taken
