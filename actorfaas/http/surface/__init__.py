"""The table of everything the HTTP API answers to, outside the code that answers.

Starlette's routes and the OpenAPI document are both made from it, so neither can know a path that the other does
not. `handler` names a method of one of the endpoint classes (`http.deployments`, `http.records`, `http.data`, ...); ""
stands for the invoke path, which `http.invoke` serves.
"""

from __future__ import annotations

from actorfaas.http.surface.applications import APPLICATIONS
from actorfaas.http.surface.data import DATA
from actorfaas.http.surface.executions import EXECUTIONS, INVOKE
from actorfaas.http.surface.observation import OBSERVATION
from actorfaas.http.surface.operation import Operation, Parameter

__all__ = ["INVOKE", "OPERATIONS", "Operation", "Parameter", "methods_by_path"]

OPERATIONS: tuple[Operation, ...] = (INVOKE, *APPLICATIONS, *EXECUTIONS, *DATA, *OBSERVATION)


def methods_by_path() -> dict[str, dict[str, Operation]]:
    """Path → method → operation, in the table's order."""
    paths: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return paths
