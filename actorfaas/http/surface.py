"""The table of everything the HTTP API answers to, outside the code that answers.

Starlette's routes and the OpenAPI document are both made from it, so neither can know a path that the other does
not. `handler` names a method of one of the classes in `http.deployments`, `http.records`, `http.data`,
`http.pictures`, `http.flow`, `http.inspection` and `http.events`; "" stands for the invoke path, which `http.invoke`
serves.
"""

from __future__ import annotations

from dataclasses import dataclass

from actorfaas.ids import STRATEGY_MEANINGS


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


def _query(name: str, kind: str, text: str) -> Parameter:
    return Parameter(name, "query", kind, text)


def _header(name: str, kind: str, text: str) -> Parameter:
    return Parameter(name, "header", kind, text)


_LIMIT = _query("limit", "integer", "most entries in the answer")
_WAIT = _query("wait", "number", "seconds to wait for news before answering, at most 60")
_EVENTS = (
    _query("limit", "integer", "most events of the history that are looked at, 1 to 10000, default 1000"),
    _query("cursor", "string", "next_cursor of the page before"),
)

_ENTRY = "/v1/data/{app}/entry"
_KEY = _query("key", "string", "which one; of a set the member, of counters the counter")
_IF_VERSION = _query("if_version", "integer", "only if it has this version; 0: only if it is absent")
_DATA = (
    _query("kind", "data_kind", "value, if not given"),
    _query("name", "string", "of the map or set"),
)

_STRATEGY = "; ".join(f"{name}: {meaning}" for name, meaning in STRATEGY_MEANINGS.items())

INVOKE = Operation(
    "POST",
    "/v1/invoke/{name}",
    "",
    "invoke",
    "Call a function or run a workflow",
    "application/json",
    parameters=(
        _header("Prefer", "string", "respond-async: answer 202 at once and run durably"),
        _header("Idempotency-Key", "string", "run at most once for this key; repeats get the same result"),
        _header("Actorfaas-Execution-Name", "string", "the execution's name: one of each name, as in Step Functions"),
        _header("Actorfaas-Strategy", "strategy", f"how an instance is obtained. {_STRATEGY}"),
        _header("Actorfaas-Timeout", "number", "seconds; the function's own limit cannot be exceeded"),
        _header("traceparent", "string", "W3C trace context, handed to the handler"),
        _header("X-Request-Id", "string", "this request's id: 1 to 64 letters, digits, dots, _ and -"),
    ),
    body="application/json",
    problems=(400, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504),
)

OPERATIONS: tuple[Operation, ...] = (
    INVOKE,
    Operation(
        "PUT",
        "/v1/deployments/{app}",
        "deploy",
        "deployments",
        "Deploy a bundle as the application's next version",
        "Deployed",
        201,
        (_query("entry", "string", "the module to import, as a path inside the bundle; app.py if not given"),),
        "application/zip",
        (400, 409, 413, 422, 503, 504),
    ),
    Operation("GET", "/v1/deployments", "deployments", "deployments", "Active versions", "Deployments"),
    Operation(
        "GET",
        "/v1/deployments/{app}",
        "deployment",
        "deployments",
        "All versions of one application, newest first",
        "Deployments",
        problems=(404,),
    ),
    Operation(
        "POST",
        "/v1/deployments/{app}/rollback",
        "rollback",
        "deployments",
        'Make an earlier version current: {"version": N}, or the one before',
        "Deployed",
        body="application/json",
        problems=(400, 404, 409, 422),
    ),
    Operation(
        "DELETE",
        "/v1/deployments/{app}",
        "remove",
        "deployments",
        "Stop serving an application",
        "",
        204,
        problems=(404,),
    ),
    Operation("GET", "/v1/functions", "functions", "functions", "What can be called", "Functions"),
    Operation("GET", "/v1/functions/{name}", "function", "functions", "One function", "Function", problems=(404,)),
    Operation("GET", "/v1/workflows", "workflows", "workflows", "What can be run", "Workflows"),
    Operation("GET", "/v1/workflows/{name}", "workflow", "workflows", "One workflow", "Workflow", problems=(404,)),
    Operation(
        "POST",
        "/v1/test-state",
        "test_state",
        "workflows",
        "Try one state of a workflow; its function is called if it is not mocked",
        "Trial",
        body="application/json",
        problems=(400, 404, 408, 413, 429, 503, 504),
    ),
    Operation(
        "GET",
        "/v1/workflows/{name}/diagram",
        "workflow_diagram",
        "workflows",
        "One workflow as a picture",
        "image/svg+xml",
        problems=(404,),
    ),
    Operation(
        "GET",
        "/v1/executions",
        "executions",
        "executions",
        "Executions, newest first",
        "Executions",
        parameters=(
            _query("name", "string", "only of this function or workflow"),
            _query("status", "string", "only with this status"),
            _query("execution_name", "string", "only those whose given name begins so"),
            _query("started_from_ms", "integer", "only those that started then or later (ms since the epoch)"),
            _query("started_before_ms", "integer", "only those that started before"),
            _LIMIT,
            _query("cursor", "string", "next_cursor of the page before"),
        ),
        problems=(400,),
    ),
    Operation(
        "GET",
        "/v1/executions/{id}",
        "execution",
        "executions",
        "One execution: status, output, map runs, and a page of its states with their timing",
        "Execution",
        parameters=(_WAIT, *_EVENTS),
        problems=(400, 404),
    ),
    Operation(
        "GET",
        "/v1/executions/{id}/input",
        "input",
        "executions",
        "What one execution was started with",
        "application/json",
        problems=(404,),
    ),
    Operation(
        "GET",
        "/v1/executions/{id}/history",
        "history",
        "executions",
        "A page of the events of one execution",
        "History",
        parameters=_EVENTS,
        problems=(400, 404),
    ),
    Operation(
        "GET",
        "/v1/executions/{id}/definition",
        "execution_definition",
        "executions",
        "The definition that the execution runs with",
        "application/json",
        problems=(404,),
    ),
    Operation(
        "GET",
        "/v1/executions/{id}/diagram",
        "execution_diagram",
        "executions",
        "The execution's workflow as a picture, every state coloured by what became of it",
        "image/svg+xml",
        problems=(404,),
    ),
    Operation(
        "POST",
        "/v1/executions/{id}/cancel",
        "cancel",
        "executions",
        "Stop an execution",
        "",
        204,
        problems=(404, 409),
    ),
    Operation(
        "POST",
        "/v1/executions/{id}/redrive",
        "redrive",
        "executions",
        "Go on with an execution that failed, timed out or was cancelled, from what failed",
        "Redriven",
        202,
        problems=(404, 409, 422, 503),
    ),
    Operation(
        "POST",
        "/v1/tasks/{token}/success",
        "task_success",
        "tasks",
        "Give a task that waits for somebody outside its result",
        "",
        204,
        body="application/json",
        problems=(400, 404, 408, 410, 413),
    ),
    Operation(
        "POST",
        "/v1/tasks/{token}/failure",
        "task_failure",
        "tasks",
        'Let such a task fail: {"error": NAME, "cause": TEXT}',
        "",
        204,
        body="application/json",
        problems=(400, 404, 408, 410, 413),
    ),
    Operation(
        "POST",
        "/v1/tasks/{token}/heartbeat",
        "task_heartbeat",
        "tasks",
        "Say that such a task goes on",
        "",
        204,
        problems=(400, 404, 410),
    ),
    Operation("GET", "/v1/activities", "activities", "tasks", "Every activity", "Activities"),
    Operation(
        "PUT",
        "/v1/activities/{name}",
        "create_activity",
        "tasks",
        "Make an activity; one that is there stays as it is",
        "Activity",
        problems=(400, 409),
    ),
    Operation(
        "DELETE",
        "/v1/activities/{name}",
        "delete_activity",
        "tasks",
        "Remove an activity",
        "",
        204,
        problems=(400, 404),
    ),
    Operation(
        "POST",
        "/v1/activities/{name}/poll",
        "poll_activity",
        "tasks",
        "The next task of an activity; 204 when there is none in time",
        "ActivityTask",
        parameters=(
            _query("wait", "number", "seconds to wait for a task, at most 60"),
            _query("worker", "string", "who asks, for the execution's history"),
        ),
        problems=(400, 404),
    ),
    Operation(
        "GET",
        "/v1/logs",
        "logs",
        "logs",
        "What functions wrote",
        "Logs",
        parameters=(
            _query("function", "string", "only of this function"),
            _query("request", "string", "only of this request"),
            _query("execution", "string", "only of this execution"),
            _query("trace", "string", "only of this trace"),
            _query("since", "number", "only of the last so many seconds"),
            _query("after", "integer", "only lines numbered above this; `after` of the answer before"),
            _LIMIT,
            _query("tail", "boolean", "the newest lines instead of the oldest"),
            _WAIT,
        ),
        problems=(400,),
    ),
    Operation(
        "GET",
        "/v1/data/{app}",
        "data_keys",
        "data",
        "Keys of an application's data (of the tenant's: @tenant), or the names of its maps or sets",
        "DataKeys",
        parameters=(
            *_DATA,
            _query("prefix", "string", "only those that begin with this"),
            _query("after", "string", "only those after this; next_after of the page before"),
            _LIMIT,
        ),
        problems=(400,),
    ),
    Operation(
        "GET", _ENTRY, "data_get", "data", "One value", "DataEntry", parameters=(_KEY, *_DATA), problems=(400, 404)
    ),
    Operation(
        "PUT",
        _ENTRY,
        "data_put",
        "data",
        "Set a value, or put a member into a set",
        "DataEntry",
        parameters=(_KEY, *_DATA, _IF_VERSION, _query("ttl_s", "number", "seconds after which it is gone")),
        body="application/json",
        problems=(400, 408, 412, 413),
    ),
    Operation(
        "POST",
        _ENTRY,
        "data_add",
        "data",
        "Add to a counter",
        "DataEntry",
        parameters=(_KEY, *_DATA, _query("amount", "integer", "what to add; 1 if not given")),
        problems=(400,),
    ),
    Operation(
        "DELETE",
        _ENTRY,
        "data_delete",
        "data",
        "Remove a key, a member or a counter",
        "",
        204,
        (_KEY, *_DATA, _IF_VERSION),
        problems=(400, 412),
    ),
    Operation(
        "GET",
        "/v1/traces",
        "traces",
        "traces",
        "Traces, newest first",
        "Traces",
        parameters=(
            _query("function", "string", "only those in which this function was called, or this workflow run"),
            _query("since", "number", "only those that began in the last so many seconds"),
            _LIMIT,
        ),
        problems=(400,),
    ),
    Operation(
        "GET",
        "/v1/traces/{id}",
        "trace",
        "traces",
        "One trace: every span",
        "Trace",
        problems=(400, 404),
    ),
    Operation(
        "GET",
        "/v1/spans",
        "spans",
        "traces",
        "Every span of the newest calls and executions",
        "Spans",
        parameters=(
            _query("function", "string", "only of this function or workflow"),
            _query("since", "number", "only what began in the last so many seconds"),
            _LIMIT,
        ),
        problems=(400,),
    ),
    Operation(
        "GET",
        "/v1/flow",
        "flow",
        "traces",
        "What calls what, where the time goes and what would help, from the newest calls and executions",
        "Flow",
        parameters=(
            _query("name", "string", "only of this workflow or function and what is below it"),
            _query("since", "number", "only what began in the last so many seconds"),
            _query("limit", "integer", "most calls, and most executions, that are looked at: 1 to 1000, default 200"),
            _query("diagram", "boolean", "with a picture"),
        ),
        problems=(400, 503, 504),
    ),
    Operation(
        "GET",
        "/v1/events",
        "events",
        "node",
        "What goes on, as server-sent events until the client hangs up",
        "text/event-stream",
        parameters=(
            _query(
                "watch", "string", "what to tell, separated by commas: node, workers, executions, execution, logs, flow"
            ),
            _query("name", "string", "executions, flow: only of this function or workflow"),
            _query("since", "number", "flow: only what began in the last so many seconds"),
            _query("status", "string", "executions: only with this status"),
            _query("execution_name", "string", "executions: only those whose given name begins so"),
            _query("execution", "string", "execution: which one; logs: only of this execution"),
            _query("function", "string", "logs: only of this function"),
            _query("request", "string", "logs: only of this request"),
            _query("trace", "string", "logs: only of this trace"),
        ),
        problems=(400,),
    ),
    Operation("GET", "/v1/workers", "workers", "node", "The pool of workers and the topics", "Workers"),
    Operation("GET", "/v1/node", "node", "node", "Version, settings, actors, mechanisms in use", "Node"),
    Operation("GET", "/healthz", "healthz", "node", "The HTTP server lives", "Health"),
    Operation("GET", "/readyz", "readyz", "node", "Requests can be served", "Readiness", problems=(503,)),
    Operation("GET", "/metrics", "metrics", "node", "Prometheus metrics", "text/plain"),
    Operation("GET", "/openapi.json", "openapi", "node", "This document", "application/json"),
)


def methods_by_path() -> dict[str, dict[str, Operation]]:
    """Path → method → operation, in the table's order."""
    paths: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return paths
