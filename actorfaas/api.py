"""The decorators, and how a bundle template reads what they declared.

Owns the registry of this process. What the decorators make, the settings' defaults and the checks are in
`declarations`; what a handler is given is in `context`. Every instance imports this module: nothing heavy here.
"""

# ruff: noqa: F811 (ruff knows overloads only by typing's own name, which is not imported here)

from __future__ import annotations

import sys

from actorfaas.composing import (
    Chain,
    choose,
    each,
    fail,
    parallel,
    pass_,
    succeed,
    wait,
    when,
)
from actorfaas.conditions import event
from actorfaas.context import Context
from actorfaas.declarations import Function, Workflow, first_paragraph
from actorfaas.errors import (
    DataRefused,
    DeclarationError,
    MessageRefused,
    ReceiveTimeout,
    VersionConflict,
    WorkflowFailed,
)

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is; importing typing would cost every instance 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, ParamSpec, TypeVar, overload

    from actorfaas.declarations import AnyFunction, Definition, Json

    P = ParamSpec("P")
    R = TypeVar("R")
else:

    def overload(declaration):
        """Stands in for typing.overload."""
        return declaration


__all__ = [
    "Chain",
    "Context",
    "DataRefused",
    "DeclarationError",
    "Function",
    "MessageRefused",
    "ReceiveTimeout",
    "VersionConflict",
    "Workflow",
    "WorkflowFailed",
    "choose",
    "declared",
    "each",
    "event",
    "fail",
    "function",
    "parallel",
    "pass_",
    "succeed",
    "wait",
    "when",
    "workflow",
]

_registry: list[tuple[AnyFunction | Workflow, object]] = []
"""What this process has declared, in order, each with its module's `__spec__`: a reload makes a new one."""


@overload
def function(handler: Callable[P, R], /) -> Function[P, R]: ...


@overload
def function(
    *,
    name: str | None = None,
    timeout_s: float | None = None,
    memory_mb: int = 512,
    concurrency: int = 16,
    queue_limit: int = 1000,
    warm: int = 1,
    idle_timeout_s: float = 60.0,
    retries: int = 0,
    retry_delay_s: float = 0.1,
    init: Callable[[], object] | None = None,
    env: Mapping[str, str] | None = None,
    strategy: str = "auto",
) -> Callable[[Callable[P, R]], Function[P, R]]: ...


def function(
    handler: Callable[P, R] | None = None,
    /,
    **settings: Any,  # those of the second overload, which type checkers and editors know
) -> Function[P, R] | Callable[[Callable[P, R]], Function[P, R]]:
    """Declare a function; use it as `@function` or `@function(timeout_s=5, ...)`.

    The handler takes `(event)` or `(event, context)`: the decoded JSON, and a `Context`. It may be a plain function,
    `async def`, a generator or an async generator (the last two stream).

    name            how it is called; default: the handler's own name
    timeout_s       a call that takes longer is ended; default: the node's `default_timeout_s`
    memory_mb       memory one instance may use
    concurrency     most instances alive at once, so most calls at once
    queue_limit     calls that may wait for an instance; more are refused with 429
    warm            instances kept alive when there is nothing to do
    idle_timeout_s  an instance above `warm` goes after so long without a call: out of memory where it can, else it ends
    retries         further attempts after a failed one, the first after `retry_delay_s`, then twice as long each
    init            called once, before instances are forked: load models, open read-only data
    env             environment variables
    strategy        how an instance is obtained: auto, resident, swap, reap, faasnap, fork or cold

    Raises DeclarationError (a ValueError) for a name or a setting that cannot be.
    """

    def declare(handler: Callable[P, R]) -> Function[P, R]:
        made = Function(handler, **settings)
        _register(made, handler.__globals__)
        return made

    return declare if handler is None else declare(handler)


@overload
def workflow(builder: Callable[[], Definition], /) -> Workflow: ...


@overload
def workflow(
    name: str,
    definition: Definition | None = None,
    /,
    *,
    asl: Mapping[str, Json] | None = None,
    durability: str = "standard",
    timeout_s: float | None = None,
) -> Workflow: ...


@overload
def workflow(
    *, name: str | None = None, durability: str = "standard", timeout_s: float | None = None
) -> Callable[[Callable[[], Definition]], Workflow]: ...


def workflow(
    first: str | Callable[[], Definition] | None = None,
    definition: Definition | None = None,
    /,
    *,
    name: str | None = None,
    asl: Mapping[str, Json] | None = None,
    **settings: Any,  # durability and timeout_s, as in the overloads
) -> Workflow | Callable[[Callable[[], Definition]], Workflow]:
    """Declare a workflow: `workflow("name", a >> b)`, `workflow("name", asl={...})`, or `@workflow` on a function
    without parameters that returns either (its docstring becomes the definition's Comment);
    `@workflow(durability="express")` gives it settings.

    In ASL, the `Resource` of a Task state is a function's name. `durability`: standard (survives a crash; at least
    once) or express (nothing is written before the result). `timeout_s`: limit for a whole execution; default: what
    the ASL says, else the node's default. Raises DeclarationError (a ValueError).
    """
    caller = sys._getframe(1).f_globals
    if isinstance(first, str):
        given = definition if asl is None else asl
        if given is None or (asl is not None and definition is not None):
            raise DeclarationError(f"workflow {first!r} needs one definition: a chain such as a >> b, or asl={{...}}")
        return _make_workflow(caller, first, given, str(asl.get("Comment", "")) if asl else "", settings)

    def declare(builder: Callable[[], Definition]) -> Workflow:
        chosen = builder.__name__ if name is None else name
        return _make_workflow(caller, chosen, builder(), first_paragraph(builder.__doc__), settings)

    return declare if first is None else declare(first)


def _make_workflow(
    caller: dict[str, Any],  # the globals of a module
    name: str,
    definition: Definition,
    description: str,
    settings: dict[str, Any],  # keyword arguments of Workflow
) -> Workflow:
    module = caller.get("__name__", "__main__")
    made = Workflow(name, definition, module=module, description=description, **settings)
    _register(made, caller)
    return made


def declared(module_names: Iterable[str]) -> tuple[list[AnyFunction], list[Workflow]]:
    """What these modules have declared, in order, and every other function that their workflows chain.

    Raises DeclarationError when two declarations share a name.
    """
    modules = frozenset(module_names)
    everything = [made for made, _ in _registry]
    workflows = [made for made in everything if isinstance(made, Workflow) and made.module in modules]
    chained = {id(function) for one in workflows for function in one.functions.values()}
    functions = [
        made for made in everything if isinstance(made, Function) and (made.module in modules or id(made) in chained)
    ]
    owners: dict[str, str] = {}
    found: list[AnyFunction | Workflow] = [*functions, *workflows]
    for one in found:
        if one.name in owners:
            raise DeclarationError(f"the name {one.name!r} is declared twice: {owners[one.name]} and {_place(one)}")
        owners[one.name] = _place(one)
    return functions, workflows


def _place(made: AnyFunction | Workflow) -> str:
    if isinstance(made, Function):
        return f"{made.module}.py line {made.line}"
    return f"a workflow in {made.module}"


def _register(made: AnyFunction | Workflow, module_globals: Mapping[str, object]) -> None:
    """Add a declaration; a module loaded again replaces what it declared before. Raises on a name used twice."""
    origin = module_globals.get("__spec__")
    for earlier in list(_registry):
        other, other_origin = earlier
        if other.module != made.module:
            continue
        if other_origin is not origin or (origin is None and other.name == made.name):
            _registry.remove(earlier)  # the module was reloaded, or this is an interactive session
        elif other.name == made.name:
            raise DeclarationError(f"the name {made.name!r} is declared twice: {_place(other)} and {_place(made)}")
    _registry.append((made, origin))
