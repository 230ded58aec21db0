"""What a version must satisfy to be served: names, settings within limits, definitions that can be run.

Limits are what a node could honour at most; what is sensible below them is the user's business. Which names others own
is left to `core.catalogue`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from actorfaas.ids import STRATEGIES
from actorfaas.messages import FunctionSpec, WorkflowSpec
from actorfaas.states.validate import MAX_SECONDS, validate

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_DURABILITIES = ("standard", "express")

MAX_MEMORY_MB = 1024 * 1024
"""One TiB: more than a machine for this has; in bytes it still fits wherever the kernel wants it."""

MAX_CONCURRENCY = 10_000
"""Above `max_workers` on purpose: that limit holds anyway, and a bundle fits on nodes of different size."""

MAX_QUEUE_LIMIT = 100_000
"""A waiting request keeps its payload in the LocalQueue's memory."""

MAX_RETRIES = 100
"""The delay between attempts doubles each time, but may be nothing: a function that always fails must end."""


def declared_names(functions: Collection[FunctionSpec], workflows: Collection[WorkflowSpec]) -> list[str]:
    """The names that a version wants to be invoked by, in order."""
    return [spec.name for spec in functions] + [flow.name for flow in workflows]


def problems(
    functions: Collection[FunctionSpec],
    workflows: Collection[WorkflowSpec],
    max_workers: int,
    refused: Collection[str] = (),
) -> Iterator[str]:
    """Everything that keeps a version from being served by a node of `max_workers` that has not what is `refused`,
    naming what each is about."""
    names = declared_names(functions, workflows)
    if not names:
        yield "nothing is declared: decorate a function with @function"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name!r} is declared twice"
    for name in names:
        if not _NAME.fullmatch(name):
            yield f"{name!r} is not a name: letters, digits, '.', '-' and '_', at most 80"
    for spec in functions:
        yield from _of_function(spec, max_workers)
    known = {spec.name for spec in functions}
    for flow in workflows:
        yield from _of_workflow(flow, known, refused)


def _of_function(spec: FunctionSpec, max_workers: int) -> Iterator[str]:
    if spec.strategy not in STRATEGIES:
        yield f"function {spec.name!r}: strategy must be one of {', '.join(sorted(STRATEGIES))}"
    for setting, least, most in _limits(spec, max_workers):
        value: float = getattr(spec, setting)
        if not least <= value <= most:  # nor is NaN within
            yield f"function {spec.name!r}: {setting} must be from {least} to {most}, not {value}"


def _limits(spec: FunctionSpec, max_workers: int) -> Iterator[tuple[str, float, float]]:
    """Each number of a function: its setting, the least and the most it may be."""
    yield "memory_mb", 1, MAX_MEMORY_MB
    yield "concurrency", 1, MAX_CONCURRENCY
    yield "queue_limit", 0, MAX_QUEUE_LIMIT
    yield "warm", 0, max(1, min(max_workers, spec.concurrency))
    yield "retries", 0, MAX_RETRIES
    for setting in ("timeout_s", "idle_timeout_s", "retry_delay_s"):
        yield setting, 0, MAX_SECONDS  # what comes later is no instant that a message can hold


def _of_workflow(flow: WorkflowSpec, functions: Collection[str], refused: Collection[str]) -> Iterator[str]:
    if flow.durability not in _DURABILITIES:
        yield f"workflow {flow.name!r}: durability must be standard or express"
    if not 0 <= flow.timeout_s <= MAX_SECONDS:
        yield f"workflow {flow.name!r}: timeout_s must be from 0 to {MAX_SECONDS}, not {flow.timeout_s}"
    for problem in validate(flow.definition, functions, refused=refused, is_express=flow.durability == "express"):
        yield f"workflow {flow.name!r} {problem}"
