"""What `actorfaas load` calls: names and patterns on the command line, a script's calls, or a bare address."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from actorfaas.cli.target import Options
from actorfaas.discovery import find_node
from actorfaas.errors import ConfigError
from actorfaas.load.http_requests import render
from actorfaas.load.plan import Target
from actorfaas.load.script import Load, TargetCall, call

Json = Any  # whatever JSON can say


def of_script(path: str) -> Load:
    """The `load` of a script. Raises ConfigError when there is none; what the script raises itself is not caught."""
    spec = importlib.util.spec_from_file_location("actorfaas_load_script", path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise ConfigError(f"there is no load script {path}")
    sys.path.insert(0, str(Path(path).resolve().parent))  # as Python does for a script: it may have modules beside it
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found = getattr(module, "load", None)
    if not isinstance(found, Load):
        raise ConfigError(f"{path} has no `load = Load(...)` (from actorfaas.load import Load, call)")
    return found


def named(names: Sequence[str], data: str | None, inputs: Sequence[str], *, traced: bool) -> tuple[TargetCall, ...]:
    """Calls of NAME, NAME=WEIGHT or, with a trace, NAME=ROW. Raises ConfigError and click.UsageError."""
    given = dict(_pair(text, "--input") for text in inputs)
    calls = []
    for text in names:
        name, _, value = text.partition("=")
        body = _json(given.pop(name)) if name in given else None if data is None else _json(data)
        calls.append(
            replace(call(name, body, weight=1.0 if traced else _weight(text, value)), row=value if traced else "")
        )
    if given:
        raise click.UsageError(f"--input {next(iter(given))}: that is not called")
    return tuple(calls)


def of_node(
    options: Options, calls: Sequence[TargetCall], headers: Sequence[str], strategy: str, seed: int
) -> tuple[str, tuple[TargetCall, ...], tuple[Target, ...]]:
    """The node's address, and the calls and requests to it: patterns become all names they match.

    Raises ConfigError for what the node does not have, NodeUnreachable when there is none.
    """
    with options.client() as node:
        known = sorted(one["name"] for one in (*node.functions()["functions"], *node.workflows()["workflows"]))
        url = node.url
    found = tuple(one for given in calls for one in _matching(given, known))
    sent = dict(_header(text) for text in headers)
    token = find_node(options.url, options.token).token
    if token:
        sent["Authorization"] = f"Bearer {token}"
    if strategy:
        sent["Actorfaas-Strategy"] = strategy
    return url, found, tuple(one.target(url, sent, seed) for one in found)


def bare(
    options: Options, data: str | None, headers: Sequence[str], method: str, inputs: Sequence[str]
) -> tuple[str, tuple[Target, ...]]:
    """An address that is called as it is. Raises click.UsageError when none was given."""
    if not options.url:
        raise click.UsageError(
            "say what to call: NAMEs of functions or workflows, a SCRIPT.py, or --url for any address"
        )
    if inputs:
        raise click.UsageError("--input is for NAMEs; with a bare --url use --data")
    body = b"" if data is None else _bytes(data)
    sent: Mapping[str, str] = dict(_header(text) for text in headers)
    request = render(method or ("GET" if data is None else "POST"), options.url, body, sent)
    return options.url, (Target(options.url, (request,)),)


def _matching(given: TargetCall, known: Sequence[str]) -> list[TargetCall]:
    names = [given.name] if given.name in known else [name for name in known if fnmatchcase(name, given.name)]
    if not names:
        raise ConfigError(f"the node has no function or workflow {given.name}; what there is: actorfaas list")
    return [replace(given, name=name) for name in names]


def _weight(text: str, value: str) -> float:
    try:
        return float(value) if value else 1.0
    except ValueError:
        raise click.UsageError(f"{text}: {value!r} is no weight; rows are bound with --trace") from None


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise click.UsageError(f"{text!r} is no header: write it as NAME: VALUE")
    return name.strip(), value.strip()


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"{option} {text}: write it as NAME=INPUT")
    return name, value


def _bytes(given: str) -> bytes:
    if not given.startswith("@"):
        return given.encode()
    try:
        return Path(given[1:]).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{given[1:]} cannot be read: {error.strerror}") from error


def _json(given: str) -> Json:
    try:
        return json.loads(_bytes(given))
    except ValueError as error:
        raise click.UsageError(f"{given} is no JSON: {error}") from error
