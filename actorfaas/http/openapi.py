"""The OpenAPI 3.1 document, made from the table of operations. Pure."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any

from actorfaas.http.problems import CONTENT_TYPE
from actorfaas.http.schemas import DOCUMENTS, Schema, component, schema_of
from actorfaas.http.surface import INVOKE, OPERATIONS, Operation, Parameter, methods_by_path

_PROBLEM_CONTENT = {CONTENT_TYPE.decode(): {"schema": {"$ref": "#/components/schemas/Problem"}}}
_BODIES: dict[str, Schema] = {"application/zip": {"type": "string", "format": "binary"}}


@cache
def document(version: str) -> dict[str, Any]:
    """The whole document for a node of this version."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "actorfaas",
            "version": version,
            "description": "A single-node Function-as-a-Service platform.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{}, {"token": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in OPERATIONS)],
        "paths": {
            path: {method.lower(): _operation(operation) for method, operation in methods.items()}
            for path, methods in methods_by_path().items()
        },
        "components": {
            "schemas": {name: component(name) for name in DOCUMENTS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation) -> Schema:
    built: Schema = {
        "operationId": operation.handler or "invoke",
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [
            *(_path_parameter(name) for name in path_names(operation.path)),
            *(_parameter(parameter) for parameter in operation.parameters),
        ],
        "responses": _responses(operation),
    }
    if operation.body:
        schema = _BODIES.get(operation.body, {})
        built["requestBody"] = {"required": False, "content": {operation.body: {"schema": schema}}}
    return built


def path_names(path: str) -> list[str]:
    """The names in braces of a path template."""
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _path_parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _parameter(parameter: Parameter) -> Schema:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": False,
        "description": parameter.text,
        "schema": schema_of(parameter.kind),
    }


def _responses(operation: Operation) -> Schema:
    good: Schema = {"description": HTTPStatus(operation.status).phrase}
    if "/" in operation.response:
        good["content"] = {operation.response: {"schema": {}}}
    elif operation.response:
        good["content"] = {"application/json": {"schema": schema_of(operation.response)}}
    responses: Schema = {str(operation.status): good}
    if operation is INVOKE:
        responses["202"] = {
            "description": "Accepted: it runs durably (Prefer: respond-async)",
            "content": {"application/json": {"schema": schema_of("Accepted")}},
        }
    if operation.path.startswith("/v1/"):
        for status in sorted({401, 403, 503, *operation.problems}):
            responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": _PROBLEM_CONTENT}
    elif operation.response == "Readiness":
        responses["503"] = {"description": "Not ready", "content": good["content"]}
    return responses
