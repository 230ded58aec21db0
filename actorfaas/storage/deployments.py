"""Deployments: immutable versions of an application, numbered from 1, at most one of them active.

Specifications are kept as JSON objects by field name, so that a person can read them with any SQLite tool.
"""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, fields
from typing import Any

import orjson

from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    BundleRef,
    DeploymentRecord,
    Deployments,
    DeploymentSaved,
    FunctionSpec,
    SaveDeployment,
    WorkflowSpec,
)
from actorfaas.storage.writer import Transaction

_COLUMNS = "app, version, active, created_at_ms, bundle, functions, workflows"
_FUNCTION_FIELDS = frozenset(one.name for one in fields(FunctionSpec))


def save(transaction: Transaction, request: SaveDeployment, now_ms: int) -> DeploymentSaved:
    """Store the next version of an application, inactive. Raises RequestRefused "invalid"."""
    try:
        workflows = [{**asdict(workflow), "definition": workflow.definition.decode()} for workflow in request.workflows]
    except UnicodeDecodeError as error:
        raise RequestRefused("invalid", f"a workflow definition is not UTF-8: {error}") from error
    app = request.bundle.app
    version: int = transaction.execute(
        "SELECT coalesce(max(version), 0) + 1 FROM deployment WHERE app = ?", (app,)
    ).fetchone()[0]
    functions = [asdict(function) for function in request.functions]
    transaction.execute(
        f"INSERT INTO deployment ({_COLUMNS}) VALUES (?, ?, 0, ?, ?, ?, ?)",
        (app, version, now_ms, _json(asdict(request.bundle)), _json(functions), _json(workflows)),
    )
    return DeploymentSaved(app, version)


def activate(transaction: Transaction, app: str, version: int) -> None:
    """Make one version the active one, or none (0). Raises RequestRefused "not_found"."""
    wanted = transaction.execute("SELECT 1 FROM deployment WHERE app = ? AND version = ?", (app, version)).fetchone()
    if version and wanted is None:
        raise RequestRefused("not_found", f"application {app!r} has no version {version}")
    transaction.execute("UPDATE deployment SET active = 0 WHERE app = ? AND active", (app,))
    transaction.execute("UPDATE deployment SET active = 1 WHERE app = ? AND version = ?", (app, version))


def page(connection: sqlite3.Connection, app: str, active_only: bool) -> Deployments:
    """Versions by application, newest first."""
    conditions = (["app = ?"] if app else []) + (["active"] if active_only else [])
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM deployment {where}ORDER BY app, version DESC", (app,) if app else ()
    )
    return Deployments(tuple(_record(*row) for row in rows))


def _record(
    app: str, version: int, active: int, created_at_ms: int, bundle: str, functions: str, workflows: str
) -> DeploymentRecord:
    return DeploymentRecord(
        app,
        version,
        bool(active),
        created_at_ms,
        BundleRef(**orjson.loads(bundle)),
        tuple(_function(spec) for spec in orjson.loads(functions)),
        tuple(WorkflowSpec(**{**spec, "definition": spec["definition"].encode()}) for spec in orjson.loads(workflows)),
    )


def _function(spec: dict[str, Any]) -> FunctionSpec:  # values of any field
    """A specification as it was stored, without what an earlier actorfaas kept and nothing reads any more."""
    return FunctionSpec(**{name: value for name, value in spec.items() if name in _FUNCTION_FIELDS})


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
