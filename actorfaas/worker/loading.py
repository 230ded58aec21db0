"""Loading user code: the bundle on `sys.path`, its entry module, what it declares, a function's init hook.

Failures become `LoadError` with the stage and a traceback of the person's frames only.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from actorfaas import api
from actorfaas.messages import BundleRef, FunctionSpec, LoadFailed, WorkflowSpec
from actorfaas.worker import process
from actorfaas.worker.handlers import ASYNC_KINDS
from actorfaas.worker.tracebacks import error_message, error_type, user_traceback

if TYPE_CHECKING:
    from actorfaas.declarations import AnyFunction

_INSTALLED = f"{os.sep}site-packages{os.sep}"


class LoadError(Exception):
    """User code failed in `stage` (import, declare, init); `detail` is the traceback for people."""

    def __init__(self, stage: str, error_type: str, detail: str) -> None:
        super().__init__(f"{stage} failed: {detail}")
        self.stage = stage
        self.error_type = error_type
        self.detail = detail

    def message(self) -> LoadFailed:
        """The same as a message to the supervisor."""
        return LoadFailed(stage=self.stage, error_type=self.error_type, detail=self.detail)


def import_bundle(bundle: BundleRef) -> None:
    """Import the entry module, with the bundle first on `sys.path` and as the working folder. Raises LoadError."""
    folder = os.path.abspath(bundle.folder)
    os.chdir(folder)
    sys.path.insert(0, folder)
    name = _module_name(bundle.entry)
    with _stage("import", folder):
        module = importlib.import_module(name)
    origin = getattr(module, "__file__", None) or ""
    if not origin.startswith(os.path.join(folder, "")):
        raise LoadError(
            "import",
            "ImportError",
            f"the entry module {name!r} is hidden by {origin or 'a built-in module'}; give it another name",
        )


def declared_specs(bundle: BundleRef) -> tuple[tuple[FunctionSpec, ...], tuple[WorkflowSpec, ...]]:
    """What the imported bundle declares. Raises LoadError."""
    with _stage("declare", bundle.folder):
        functions, workflows = api.declared(_bundle_modules(bundle.folder))
        return tuple(one.spec() for one in functions), tuple(one.spec() for one in workflows)


def find_function(bundle: BundleRef, spec: FunctionSpec) -> AnyFunction:
    """The declared function that `spec` describes, in the imported bundle. Raises LoadError."""
    with _stage("declare", bundle.folder):
        functions, _ = api.declared(_bundle_modules(bundle.folder))
        for one in functions:
            if one.name == spec.name:
                return one
        raise LookupError(f"the bundle declares no function {spec.name!r} any more")


def initialise(bundle: BundleRef, function: AnyFunction, spec: FunctionSpec) -> None:
    """Apply the function's environment variables and run its init hook. Raises LoadError."""
    os.environ.update(spec.env)
    if spec.kind in ASYNC_KINDS:
        import asyncio  # noqa: F401  # once here instead of in every worker's first call
    if function.init is not None:
        with _stage("init", bundle.folder):
            function.init()


def settle_memory() -> None:
    """Make what is loaded cheap to share: collect garbage, trim the heap, keep the collector off what remains."""
    gc.collect()
    process.give_back_free_memory()
    gc.freeze()


@contextmanager
def _stage(stage: str, folder: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001  # user code raises anything
        detail = user_traceback(error, os.path.abspath(folder))
        if isinstance(error, SystemExit):
            detail += f"the code called sys.exit({error_message(error)})\n"
        raise LoadError(stage, error_type(error), detail) from None


def _module_name(entry: str) -> str:
    return entry.removesuffix(".py").strip("/").replace("/", ".").removesuffix(".__init__")


def _bundle_modules(folder: str) -> list[str]:
    """Names of the imported modules whose files are the bundle's own."""
    prefix = os.path.join(os.path.abspath(folder), "")
    return [
        name
        for name, module in list(sys.modules.items())
        if (origin := getattr(module, "__file__", None))
        and origin.startswith(prefix)
        and _INSTALLED not in origin[len(prefix) - 1 :]
    ]
