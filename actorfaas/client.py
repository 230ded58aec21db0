"""The HTTP API as Python calls: what the command line uses, and anyone else.

    from actorfaas.client import Client

    with Client() as node:
        node.invoke("hello", {"name": "Ada"})

In a handler, its invocations belong to the trace of the handler's own call. Every method raises ClientError:
NodeUnreachable, ResponseTimeout, ApiProblem or StreamInterrupted. Replies of the listing methods are the API's own
JSON. Its connection is `api_connection`'s; tasks of others are in `task_calls`, functions' data in `data_calls`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict, Unpack
from urllib.parse import quote

import httpx

from actorfaas import trace_context
from actorfaas.answers import Answer, OpenCall, lines_of, problem_of, translated
from actorfaas.api_connection import CONNECT_TIMEOUT_S, Json, filled
from actorfaas.data_calls import DataCalls
from actorfaas.task_calls import ActivityTask, TaskCalls

__all__ = ["ActivityTask", "Answer", "Client", "InvokeOptions", "OpenCall"]

HISTORY_PAGE = 10_000
"""Events of a history that are asked for at once."""

DEPLOY_TIMEOUT_S = 600.0
INVOKE_TIMEOUT_S = 86_400.0
"""An invocation without a limit of its own: the node's limit ends it long before."""
GRACE_S = 10.0
"""How much longer than the node the client waits, so that the node's own answer (504) arrives."""
LOG_WAIT_S = 20.0


class InvokeOptions(TypedDict, total=False):
    """How an invocation is to be done: which way to an instance, its time limit, and a key under which it runs once, or
    a name that only one execution has."""

    strategy: str
    timeout_s: float | None
    idempotency_key: str
    execution_name: str


class LogFilter(TypedDict, total=False):
    """Which lines: of a function, a request, an execution, a trace."""

    function: str
    request: str
    execution: str
    trace: str


class Client(TaskCalls, DataCalls):
    """A connection to one node. Use as a context manager, or `close()` it. Not to be shared between threads."""

    # --- invocations ---------------------------------------------------------------------------------------------

    def invoke(self, name: str, value: Json = None, **options: Unpack[InvokeOptions]) -> Json:
        """Call a function or run a workflow with a JSON value; returns its decoded result."""
        return self.call(name, json.dumps(value).encode(), **options).value()

    def call(self, name: str, body: bytes = b"", **options: Unpack[InvokeOptions]) -> Answer:
        """As `invoke`, with the JSON as bytes in and out, and what the node said about the call."""
        with self.open(name, body, **options) as opened:
            return opened.read()

    @contextmanager
    def open(self, name: str, body: bytes = b"", **options: Unpack[InvokeOptions]) -> Iterator[OpenCall]:
        """As `call`, for a response that is to be read piece by piece."""
        timeout = _call_timeout(options.get("timeout_s"))
        headers = _invocation_headers(**options) | trace_context.headers(trace_context.current)
        request = self._http.build_request("POST", _invoke_path(name), content=body, headers=headers, timeout=timeout)
        response = self._send(request, stream=True)
        try:
            if response.status_code >= 400:
                with translated(self.url, CONNECT_TIMEOUT_S):
                    response.read()
                raise problem_of(response)
            yield OpenCall(response)
        finally:
            response.close()

    def stream(self, name: str, value: Json = None, **options: Unpack[InvokeOptions]) -> Iterator[Json]:
        """Call a generator function; yields its items as they come: JSON values, or pieces of bytes."""
        with self.open(name, json.dumps(value).encode(), **options) as opened:
            if opened.head.content_type == "application/x-ndjson":
                yield from (json.loads(line) for line in lines_of(opened.pieces()))
            elif opened.head.content_type == "application/json":
                yield json.loads(b"".join(opened.pieces()))
            else:
                yield from opened.pieces()

    def start(self, name: str, body: bytes = b"", **options: Unpack[InvokeOptions]) -> str:
        """Start an asynchronous execution; returns its id once the node has accepted it."""
        headers = _invocation_headers(**options) | trace_context.headers(trace_context.current)
        headers["Prefer"] = "respond-async"
        response = self._request("POST", _invoke_path(name), content=body, headers=headers)
        location: str = response.headers.get("Location", "")
        return response.headers.get("Actorfaas-Execution", "") or location.rpartition("/")[2]

    # --- executions ------------------------------------------------------------------------------------------------

    def execution(self, execution_id: str, *, wait_s: float = 0.0, cursor: str = "") -> Json:
        """State, output, error, map runs and states of an execution, of a long one the states of a page (`next_cursor`
        gives the next one); waits up to `wait_s` for it to end."""
        return self._get(
            f"/v1/executions/{quote(execution_id, safe='')}",
            wait_s=wait_s,
            wait=f"{wait_s:g}" if wait_s else "",
            cursor=cursor,
        )

    def execution_definition(self, execution_id: str) -> Json:
        """The definition of the workflow version that an execution runs with."""
        return self._get(f"/v1/executions/{quote(execution_id, safe='')}/definition")

    def executions(
        self,
        *,
        name: str = "",
        status: str = "",
        execution_name: str = "",
        started_from_ms: int = 0,
        started_before_ms: int = 0,
        limit: int = 20,
        cursor: str = "",
    ) -> Json:
        """Executions, newest first: `{executions, next_cursor}`. `execution_name`: how the name they were given begins.
        A page may be short of `limit`; it is the last one when `next_cursor` is None."""
        return self._get(
            "/v1/executions",
            name=name,
            status=status,
            execution_name=execution_name,
            started_from_ms=str(started_from_ms or ""),
            started_before_ms=str(started_before_ms or ""),
            limit=str(limit),
            cursor=cursor,
        )

    def history(self, execution_id: str) -> Json:
        """Every event of an execution: `{execution_id, events}`, read a page at a time."""
        path = f"/v1/executions/{quote(execution_id, safe='')}/history"
        whole = self._get(path, limit=str(HISTORY_PAGE))
        cursor = whole.pop("next_cursor", None)
        while cursor:
            page = self._get(path, limit=str(HISTORY_PAGE), cursor=cursor)
            whole["events"] += page["events"]
            cursor = page.get("next_cursor")
        return whole

    def cancel(self, execution_id: str) -> Json:
        """Stop an execution."""
        return self._json(self._request("POST", f"/v1/executions/{quote(execution_id, safe='')}/cancel"))

    def redrive(self, execution_id: str) -> Json:
        """Go on with an execution that failed, timed out or was cancelled, from what failed: `{redrive_count, ...}`."""
        path = f"/v1/executions/{quote(execution_id, safe='')}/redrive"
        return self._json(self._request("POST", path, timeout_s=DEPLOY_TIMEOUT_S))

    # --- deployments -----------------------------------------------------------------------------------------------

    def deploy(self, app: str, archive: bytes, *, entry: str = "") -> Json:
        """Deploy a zip archive (`actorfaas.packing.pack` makes one): `{app, version, functions, workflows, ...}`."""
        return self._json(
            self._request(
                "PUT",
                f"/v1/deployments/{quote(app, safe='')}",
                content=archive,
                params={"entry": entry} if entry else {},
                headers={"Content-Type": "application/zip"},
                timeout_s=DEPLOY_TIMEOUT_S,
            )
        )

    def deployments(self) -> Json:
        """The active version of every application."""
        return self._get("/v1/deployments")

    def deployment(self, app: str) -> Json:
        """Every version of one application."""
        return self._get(f"/v1/deployments/{quote(app, safe='')}")

    def rollback(self, app: str, version: int = 0) -> Json:
        """Make an earlier version current; 0: the one before."""
        path = f"/v1/deployments/{quote(app, safe='')}/rollback"
        body = json.dumps({"version": version}).encode() if version else b""
        return self._json(self._request("POST", path, content=body, timeout_s=DEPLOY_TIMEOUT_S))

    def remove(self, app: str) -> None:
        """Stop serving an application."""
        self._request("DELETE", f"/v1/deployments/{quote(app, safe='')}")

    # --- what there is ---------------------------------------------------------------------------------------------

    def functions(self) -> Json:
        """Every function that can be called."""
        return self._get("/v1/functions")

    def function(self, name: str) -> Json:
        """One function with its settings."""
        return self._get(f"/v1/functions/{quote(name, safe='')}")

    def workflows(self) -> Json:
        """Every workflow that can be run."""
        return self._get("/v1/workflows")

    def workflow(self, name: str) -> Json:
        """One workflow with its definition."""
        return self._get(f"/v1/workflows/{quote(name, safe='')}")

    def test_state(
        self,
        state: str = "",
        value: Json = None,
        *,
        workflow: str = "",
        definition: Json = None,
        **options: Json,
    ) -> Json:
        """Try a state: of a deployed workflow, of a definition, or (`state` "") a definition that is one state.

        `options` are the other fields of `POST /v1/test-state`: `mock={"result": ...}` (or `{"error": ...,
        "cause": ...}`), `inspection_level="DEBUG"`, `variables`, `context`, `retries`, `failed_iterations`, `items`.
        Without a mock a Task's function is called.
        """
        of = {"workflow": workflow} if workflow else {"definition": definition}
        body = json.dumps({**of, "state": state, "input": value, **options}).encode()
        headers = {"Content-Type": "application/json"}
        return self._json(
            self._request("POST", "/v1/test-state", content=body, headers=headers, timeout_s=INVOKE_TIMEOUT_S)
        )

    def workers(self) -> Json:
        """The pool of instances."""
        return self._get("/v1/workers")

    def node(self) -> Json:
        """The node: version, settings, actors."""
        return self._get("/v1/node")

    def is_ready(self) -> bool:
        """Whether the node says that it can serve requests. Raises NodeUnreachable when none answers."""
        return self._send(self._http.build_request("GET", "/readyz")).status_code == 200

    # --- logs --------------------------------------------------------------------------------------------------------

    def logs(
        self,
        *,
        since_s: float = 0.0,
        after: int = 0,
        limit: int = 100,
        tail: bool = False,
        wait_s: float = 0.0,
        **wanted: Unpack[LogFilter],
    ) -> Json:
        """Lines that functions wrote: `{lines, after}`; continue with that `after`. `tail`: the newest ones."""
        return self._get(
            "/v1/logs",
            wait_s=wait_s,
            **wanted,
            since=_seconds(since_s),
            after=str(after) if after else "",
            limit=str(limit),
            tail="true" if tail else "",
            wait=f"{wait_s:g}" if wait_s else "",
        )

    def follow_logs(self, *, after: int = 0, **wanted: Unpack[LogFilter]) -> Iterator[Json]:
        """Lines as they are written, after the line numbered `after`, without end."""
        while True:
            reply = self.logs(**wanted, after=after, limit=1000, wait_s=LOG_WAIT_S)
            yield from reply["lines"]
            after = int(reply["after"])

    # --- traces ------------------------------------------------------------------------------------------------------

    def trace(self, trace_id: str) -> Json:
        """One trace: `{trace_id, spans}`."""
        return self._get(f"/v1/traces/{quote(trace_id, safe='')}")

    def traces(self, *, function: str = "", since_s: float = 0.0, limit: int = 100) -> Json:
        """Traces, newest first: `{traces}`; only those in which `function` was called, or a workflow of that name."""
        return self._get("/v1/traces", function=function, since=_seconds(since_s), limit=str(limit))

    def spans(self, *, function: str = "", since_s: float = 0.0, limit: int = 100) -> Json:
        """Every span of the newest `limit` calls and `limit` executions: `{spans}`."""
        return self._get("/v1/spans", function=function, since=_seconds(since_s), limit=str(limit))


def _seconds(seconds: float) -> str:
    return f"{seconds:g}" if seconds else ""


def _invoke_path(name: str) -> str:
    return f"/v1/invoke/{quote(name, safe='')}"


def _call_timeout(timeout_s: float | None) -> httpx.Timeout:
    limit_s = INVOKE_TIMEOUT_S if timeout_s is None else timeout_s + GRACE_S
    return httpx.Timeout(limit_s, connect=CONNECT_TIMEOUT_S)


def _invocation_headers(
    *, strategy: str = "", timeout_s: float | None = None, idempotency_key: str = "", execution_name: str = ""
) -> dict[str, str]:
    given = {
        "Content-Type": "application/json",
        "Actorfaas-Strategy": strategy,
        "Actorfaas-Timeout": "" if timeout_s is None else f"{timeout_s:g}",
        "Idempotency-Key": idempotency_key,
        "Actorfaas-Execution-Name": execution_name,
    }
    return filled(given)
