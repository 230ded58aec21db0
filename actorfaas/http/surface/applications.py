"""What is deployed: versions of applications, functions, workflows."""

from __future__ import annotations

from actorfaas.http.surface.operation import Operation, query

APPLICATIONS: tuple[Operation, ...] = (
    Operation(
        "PUT",
        "/v1/deployments/{app}",
        "deploy",
        "deployments",
        "Deploy a bundle as the application's next version",
        "Deployed",
        201,
        (query("entry", "string", "the module to import, as a path inside the bundle; app.py if not given"),),
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
)
