"""Deployments: Frontend ↔ ExecutionManager ↔ DataLayer."""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct
from actorfaas.messages.supervision import BundleRef, FunctionSpec, WorkflowSpec


@message(100)
class Deploy(Message):
    """Frontend → ExecutionManager (ask → Deployed or Refused "deploy_failed"/"conflict"/"invalid").

    Everything is checked, imported, initialised and stored before any request sees the new version.
    """

    app: str
    archive: str
    sha256: str
    entry: str


@message(101)
class Deployed(Message):
    """Reply to `Deploy` and `Rollback`: the version now active. `unchanged`: it was that already."""

    app: str
    version: int
    functions: tuple[str, ...]
    workflows: tuple[str, ...]
    unforkable: tuple[str, ...]
    unchanged: bool = False


@message(102)
class Rollback(Message):
    """Frontend → ExecutionManager (ask → Deployed): make an earlier version current; 0 means the one before."""

    app: str
    version: int


@message(103)
class RemoveApp(Message):
    """Frontend → ExecutionManager (ask → Done or Refused "not_found"): stop serving an application."""

    app: str


@struct
class Route:
    """What the Frontend needs to admit a request for `name`. `kind`: function or workflow. `memory_mb`: as declared."""

    name: str
    kind: str
    app: str
    version: int
    topic: str
    strategy: str
    timeout_s: float
    max_attempts: int
    retry_delay_s: float
    durability: str
    streams: bool
    description: str
    memory_mb: int = 0


@message(104)
class GetRoutes(Message):
    """Frontend → ExecutionManager (ask → RoutesChanged); later changes are told to the same connection."""


@message(105)
class RoutesChanged(Message):
    """ExecutionManager → Frontend: everything that can be invoked now."""

    routes: tuple[Route, ...]


@struct
class DeploymentRecord:
    """One immutable version of an application as stored."""

    app: str
    version: int
    active: bool
    created_at_ms: int
    bundle: BundleRef
    functions: tuple[FunctionSpec, ...]
    workflows: tuple[WorkflowSpec, ...]


@message(106)
class SaveDeployment(Message):
    """ExecutionManager → DataLayer (ask → DeploymentSaved): store the next version of an application, inactive."""

    bundle: BundleRef
    functions: tuple[FunctionSpec, ...]
    workflows: tuple[WorkflowSpec, ...]


@message(107)
class DeploymentSaved(Message):
    """Reply to `SaveDeployment`."""

    app: str
    version: int


@message(108)
class ActivateDeployment(Message):
    """ExecutionManager → DataLayer (ask → Done): make a stored version the current one; version 0: none is."""

    app: str
    version: int


@message(109)
class ListDeployments(Message):
    """Anyone → DataLayer (ask → Deployments). `app` "" means all; `active_only`: current versions only."""

    app: str
    active_only: bool


@message(110)
class Deployments(Message):
    """Reply to `ListDeployments`, newest version first within an application."""

    deployments: tuple[DeploymentRecord, ...]
