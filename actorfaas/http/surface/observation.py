"""What is seen of the node: logs, traces, flow, live events, workers, health."""

from __future__ import annotations

from actorfaas.http.surface.operation import LIMIT, WAIT, Operation, query

OBSERVATION: tuple[Operation, ...] = (
    Operation(
        "GET",
        "/v1/logs",
        "logs",
        "logs",
        "What functions wrote",
        "Logs",
        parameters=(
            query("function", "string", "only of this function"),
            query("request", "string", "only of this request"),
            query("execution", "string", "only of this execution"),
            query("trace", "string", "only of this trace"),
            query("since", "number", "only of the last so many seconds"),
            query("after", "integer", "only lines numbered above this; `after` of the answer before"),
            LIMIT,
            query("tail", "boolean", "the newest lines instead of the oldest"),
            WAIT,
        ),
        problems=(400,),
    ),
    Operation(
        "GET",
        "/v1/traces",
        "traces",
        "traces",
        "Traces, newest first",
        "Traces",
        parameters=(
            query("function", "string", "only those in which this function was called, or this workflow run"),
            query("since", "number", "only those that began in the last so many seconds"),
            LIMIT,
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
            query("function", "string", "only of this function or workflow"),
            query("since", "number", "only what began in the last so many seconds"),
            LIMIT,
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
            query("name", "string", "only of this workflow or function and what is below it"),
            query("since", "number", "only what began in the last so many seconds"),
            query("limit", "integer", "most calls, and most executions, that are looked at: 1 to 1000, default 200"),
            query("diagram", "boolean", "with a picture"),
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
            query(
                "watch", "string", "what to tell, separated by commas: node, workers, executions, execution, logs, flow"
            ),
            query("name", "string", "executions, flow: only of this function or workflow"),
            query("since", "number", "flow: only what began in the last so many seconds"),
            query("status", "string", "executions: only with this status"),
            query("execution_name", "string", "executions: only those whose given name begins so"),
            query("execution", "string", "execution: which one; logs: only of this execution"),
            query("function", "string", "logs: only of this function"),
            query("request", "string", "logs: only of this request"),
            query("trace", "string", "logs: only of this trace"),
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
