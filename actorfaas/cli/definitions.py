"""Definitions that a person names on the command line: of a workflow or execution, or in a file that is not deployed.

Where NAME ends in .json it is a definition's file, where it ends in .py or .py:WORKFLOW a module's; both are checked.
"""

from __future__ import annotations

import json
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actorfaas.cli.output import note
from actorfaas.cli.target import Options
from actorfaas.errors import ApiProblem, ClientError
from actorfaas.messages import BundleRef, WorkflowSpec

if TYPE_CHECKING:
    from actorfaas.client import Client

Json = Any  # a decoded JSON document: a definition

EXECUTION_PREFIX = "exe_"


@dataclass(frozen=True, slots=True)
class Definition:
    """What was found, and what it is called. `visits`: to its states, of an execution."""

    name: str
    definition: dict[str, Json]
    visits: tuple[Json, ...] = ()


def definition_of(options: Options, name: str) -> Definition:
    """The definition that NAME stands for. Raises click's exceptions, and ClientError of a node."""
    found = definition_in_file(name)
    if found is not None:
        return found
    with options.client() as node:
        if name.startswith(EXECUTION_PREFIX):
            return _of_execution(node, name)
        try:
            return Definition(name, node.workflow(name)["definition"])
        except ApiProblem as problem:
            if problem.status != 404:
                raise
        try:
            node.function(name)
        except ApiProblem as problem:
            if problem.status != 404:
                raise
            raise ClientError(f"no workflow is called {name!r}; see: actorfaas list") from None
        raise click.UsageError(f"{name} is a function; only workflows have a definition")


def _of_execution(node: Client, execution_id: str) -> Definition:
    execution = node.execution(execution_id)
    if execution["kind"] != "workflow":
        raise click.UsageError(f"{execution_id} is an execution of a function; only workflows have a definition")
    definition = node.execution_definition(execution_id)
    visits, page = list(execution["states"]), execution
    while page.get("next_cursor"):
        page = node.execution(execution_id, cursor=page["next_cursor"])
        visits += page["states"]
    return Definition(f"{execution['name']}, {execution_id}", definition, tuple(visits))


def definition_in_file(name: str, *, may_be_state: bool = False) -> Definition | None:
    """The definition in the file that NAME is; None of what names no file. `may_be_state`: one state will do."""
    path, _, workflow = name.rpartition(":") if ".py:" in name else (name, "", "")
    if path.endswith(".json"):
        return _of_file(Path(path), may_be_state)
    return _of_module(Path(path), workflow) if path.endswith(".py") else None


def _of_file(path: Path, may_be_state: bool) -> Definition:
    from actorfaas.states.validate import validate

    try:
        source = path.read_bytes()
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from None
    name = path.name.removesuffix(".json").removesuffix(".asl")
    if may_be_state and is_state(source):
        return Definition(name, json.loads(source))
    problems = validate(source, refused=())
    if problems:
        raise ClientError(f"{path} is no valid definition: {'; '.join(map(str, problems))}")
    return Definition(name, json.loads(source))


def is_state(source: bytes) -> bool:
    """Whether JSON text is the definition of one state."""
    try:
        found = json.loads(source)
    except ValueError:
        return False
    return isinstance(found, dict) and "Type" in found


def _of_module(path: Path, workflow: str) -> Definition:
    found = {one.name: one for one in _declared(path)}
    if workflow and workflow not in found:
        raise ClientError(f"{path} has no workflow {workflow!r}; it has {', '.join(found) or 'none'}")
    if not workflow and len(found) != 1:
        raise ClientError(f"{path} has {len(found)} workflows; name one, as {path}:{next(iter(found), 'WORKFLOW')}")
    spec = found[workflow or next(iter(found))]
    return Definition(spec.name, json.loads(spec.definition))


def _declared(path: Path) -> tuple[WorkflowSpec, ...]:
    """The workflows of a module, which is imported in this process."""
    from actorfaas.worker.loading import LoadError, declared_specs, import_bundle

    if not path.is_file():
        raise click.FileError(str(path), "there is no such file")
    bundle = BundleRef(app="", sha256="", folder=str(path.resolve().parent), entry=path.name, python="")
    try:
        with chdir(Path.cwd()):  # importing goes into the module's folder
            import_bundle(bundle)
            return declared_specs(bundle)[1]
    except LoadError as error:
        note(error.detail.rstrip())
        raise ClientError(f"{path} could not be imported") from None
