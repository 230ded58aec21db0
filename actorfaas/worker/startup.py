"""From a fresh fork, or a new interpreter, to a serving worker.

The order matters: first the bond with the parent and what the process inherited is undone, then its output can be
read, then user code may run, and the memory limit comes last, on top of what the function has loaded.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from actorfaas.messages import BundleRef, FunctionSpec
from actorfaas.worker import loading, process
from actorfaas.worker.channel import Channel
from actorfaas.worker.output import Output
from actorfaas.worker.tracebacks import report_failure
from actorfaas.worker.worker import EXIT_LOAD_FAILED, Worker

if TYPE_CHECKING:
    from actorfaas.declarations import AnyFunction


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker serves. `function` is None when the worker has to load it for itself."""

    bundle: BundleRef
    spec: FunctionSpec
    function: AnyFunction | None
    signals: tuple[int, ...]
    """Those that user code or the template handles, to be reset in the worker."""


def start_forked_worker(plan: Plan, descriptors: tuple[int, int, int], template_pid: int, output: Output) -> NoReturn:
    """In the child of a template: become a worker on (LocalQueue connection, stdout, stderr). Never returns."""
    process.die_with_parent(template_pid)
    os.setpgid(0, 0)  # so that a worker can be ended together with what it started
    process.default_signals(plan.signals)
    connection, stdout, stderr = descriptors
    _take_standard_streams(stdout, stderr)
    output.after_fork()
    _serve_and_exit(plan, connection, output)


def start_cold_worker(plan: Plan, connection: int, output: Output) -> NoReturn:
    """In a new interpreter, whose standard streams are already its own: load, then serve. Never returns."""
    process.die_with_parent()
    os.set_inheritable(connection, False)  # it came through an exec, as what the handler starts must not get it
    process.default_signals(plan.signals)
    _serve_and_exit(plan, connection, output)


def load_function(bundle: BundleRef, spec: FunctionSpec) -> AnyFunction:
    """Import the bundle and initialise one function in this process. Raises LoadError."""
    loading.import_bundle(bundle)
    function = loading.find_function(bundle, spec)
    loading.initialise(bundle, function, spec)
    return function


def guarded(body: Callable[[], NoReturn], what: str) -> NoReturn:
    """Run what a forked process is for; it must never return into the stack of the process it was forked from."""
    import traceback

    try:
        body()
    except BaseException:  # noqa: BLE001  # the last guard of a process
        report_failure(f"actorfaas: {what} failed\n{traceback.format_exc()}")
    finally:
        os._exit(1)


def _serve_and_exit(plan: Plan, connection: int, output: Output) -> NoReturn:
    process.fresh_random_state()
    process.set_name(f"af:{plan.spec.name}")
    process.be_first_for_the_oom_killer()
    output.records = True
    function = plan.function
    if function is None:
        try:
            function = load_function(plan.bundle, plan.spec)
        except loading.LoadError as error:
            output.flush()
            report_failure(f"actorfaas: function {plan.spec.name}: {error.stage} failed\n{error.detail}")
            os._exit(EXIT_LOAD_FAILED)
    output.start_records()
    _show_info(logging.getLogger(plan.spec.name))
    limit = process.MemoryLimit(plan.spec.memory_mb)
    channel = Channel(socket.socket(fileno=connection))
    worker = Worker(function, channel, output, limit, plan.bundle.folder)
    os.register_at_fork(after_in_child=worker.forked_by_handler)
    status = worker.serve()
    output.flush()
    os._exit(status)  # not sys.exit: threads that user code left behind must not keep the process


def _take_standard_streams(stdout: int, stderr: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, standard in ((nothing, 0), (stdout, 1), (stderr, 2)):
        os.dup2(ours, standard)
        os.close(ours)


def _show_info(logger: logging.Logger) -> None:
    """`ctx.logger` shows information unless user code chose a level; other loggers keep Python's default."""
    if logger.level == logging.NOTSET and logging.getLogger().level == logging.WARNING:
        logger.setLevel(logging.INFO)
