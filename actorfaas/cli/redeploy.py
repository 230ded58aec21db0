"""Keeping a node in step with code on disk: which applications changed, deploying those, saying what became of it.

Owns what is deployed from where. Watching the files is left to `develop`.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actorfaas.cli.deployments import in_words, warn_unforkable
from actorfaas.cli.output import note
from actorfaas.discovery import DEFAULT_URL
from actorfaas.errors import ApiProblem, ClientError, DeployError
from actorfaas.packing import Bundle, Ignore, find_apps, pack

if TYPE_CHECKING:
    from actorfaas.client import Client

Json = Any  # a decoded JSON document: what the API answered


@dataclass(slots=True)
class Served:
    """One application as it was last tried (`sha256`, `files`) and as it is served (`version` 0: never deployed).

    `is_due`: the last try failed for a reason that may pass, such as a part of the node restarting.
    """

    path: Path
    app: str
    sha256: str = ""
    files: frozenset[str] = frozenset()
    version: int = 0
    is_due: bool = False
    names: frozenset[str] = frozenset()


class Redeployer:
    """Deploys the applications at `root` to a node, again when their files change."""

    def __init__(self, node: Client, root: Path) -> None:
        self._node = node
        self._root = root.absolute()
        self._served: dict[Path, Served] = {}

    def deploy_all(self) -> None:
        """Deploy everything at the root. Raises DeployError when there is nothing."""
        for path in find_apps(self._root):
            self._deploy(path, changed=())

    def has_due(self) -> bool:
        """Whether `files_changed` should be called again although nothing changed."""
        return any(served.is_due for served in self._served.values())

    def files_changed(self, changed: Iterable[Path]) -> None:
        """Deploy the applications these files belong to; remove those that are gone."""
        try:
            present = find_apps(self._root)
        except DeployError as error:
            note(click.style(f"{error}; what was deployed stays in service", fg="red"))
            return
        for path in [path for path in self._served if path not in present]:
            self._remove(self._served.pop(path))
        for path in present:
            inside = sorted({name for file in changed if (name := _name_inside(path, file))})
            served = self._served.get(path)
            if inside or served is None or served.is_due:
                self._deploy(path, inside)

    def _deploy(self, path: Path, changed: Iterable[str]) -> None:
        try:
            bundle = pack(path)
        except DeployError as error:
            note(click.style(f"{path.name}: {error}", fg="red"))
            return
        served = self._served.setdefault(path, Served(path, bundle.app))
        if bundle.sha256 == served.sha256 and not served.is_due:
            return
        known = served.files.union(bundle.files)  # not an editor's files that were there for a moment
        served.sha256, served.files, served.is_due = bundle.sha256, frozenset(bundle.files), False
        self._send(served, bundle, [name for name in changed if name in known])

    def _send(self, served: Served, bundle: Bundle, changed: list[str]) -> None:
        started = time.perf_counter()
        try:
            deployed = self._node.deploy(bundle.app, bundle.archive, entry=bundle.entry)
        except ApiProblem as problem:
            served.is_due = problem.retryable
            self._say_failed(problem, served)
        except ClientError as error:
            served.is_due = True
            note(click.style(f"{served.path.name}: {error}", fg="red"))
        else:
            self._say_deployed(deployed, served, changed, time.perf_counter() - started)

    def _say_deployed(self, deployed: Json, served: Served, changed: list[str], seconds: float) -> None:
        before, served.names = served.names, frozenset([*deployed["functions"], *deployed["workflows"]])
        served.version = deployed["version"]
        what = f" ({', '.join(changed)})" if changed else ""
        said = f"{in_words(deployed)} after {seconds:.2f} s{what}"
        note(click.style(said, fg="green", bold=True))
        self._say_names(before, [*deployed["workflows"], *deployed["functions"]])
        warn_unforkable(deployed)

    def _say_failed(self, problem: ApiProblem, served: Served) -> None:
        note((problem.traceback or problem.detail).rstrip())
        stays = f"version {served.version} stays in service" if served.version else "nothing is in service yet"
        note(click.style(f"{served.app} was not deployed; {stays}", fg="red", bold=True))

    def _say_names(self, before: frozenset[str], names: list[str]) -> None:
        for name in sorted(before - set(names)):
            note(f"  - {name}")
        for name in names:
            if name not in before:
                for line in call_lines(self._node.url, name):
                    note(f"  {line}")

    def _remove(self, served: Served) -> None:
        if not served.version:
            return
        try:
            self._node.remove(served.app)
            note(click.style(f"{served.app} was removed", fg="yellow"))
        except ClientError as error:
            note(click.style(f"{served.app} could not be removed: {error}", fg="red"))


def call_lines(url: str, name: str) -> list[str]:
    """Commands that call `name`, ready to be pasted."""
    option = "" if url == DEFAULT_URL else f" --url {shlex.quote(url)}"
    return [
        f"actorfaas{option} invoke {name} '{{}}'",
        f"curl {shlex.quote(f'{url}/v1/invoke/{name}')} -d '{{}}'",
    ]


def _name_inside(app: Path, file: Path) -> str:
    """How `file` is called inside the application at `app`; "" when it does not belong to it."""
    if app.is_file():
        return file.name if file == app or file == app.with_name("requirements.txt") else ""
    if not file.is_relative_to(app):
        return ""
    name = file.relative_to(app).as_posix()
    return "" if Ignore.of_folder(app).excludes(name) else name
