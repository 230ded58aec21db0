"""A template: the process that has loaded user code and forks what needs it. Single-threaded, no event loop.

`python -m actorfaas.worker.template CONTROL` (a descriptor) is a bundle template. It imports the bundle, then forks one
function template per function; those run the init hook, freeze, and fork workers. Both serve the same loop over the
control socket and ended children. A template ends when its control socket is closed; its children die with it.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from actorfaas.errors import WireError
from actorfaas.messages import (
    BundleLoaded,
    BundleRef,
    ChildExited,
    ChildForked,
    ForkTemplate,
    ForkWorker,
    FunctionSpec,
    LoadBundle,
    LoadFailed,
    TemplateReady,
)
from actorfaas.worker import loading, process
from actorfaas.worker.control import Control, close_all
from actorfaas.worker.output import Output, limit_from_environment
from actorfaas.worker.startup import Plan, guarded, start_forked_worker
from actorfaas.worker.tracebacks import report_failure
from actorfaas.worker.warmup import warm_up
from actorfaas.worker.worker import EXIT_CONNECTION_LOST, EXIT_LOAD_FAILED, EXIT_OK

if TYPE_CHECKING:
    from actorfaas.declarations import AnyFunction

_DESCRIPTORS_OF_A_TEMPLATE = 1
_DESCRIPTORS_OF_A_WORKER = 3
_WAKE_BYTES = 4096


class Template:
    """One template process: its control socket and its children. `plan` is None in a bundle template."""

    def __init__(self, control: Control, output: Output, order: LoadBundle, plan: Plan | None, home: int = -1) -> None:
        """`home`: the entrance of the control group it is in, open; -1 for none."""
        self._control = control
        self._output = output
        self._order = order
        self._plan = plan
        self._home = home
        self._move_failed = False
        self._children: set[int] = set()
        self._pid = os.getpid()
        process.hold_standard_streams()
        self._wake_reader, self._wake_writer = _watch_children()

    def serve(self) -> int:
        """Fork and reap until the control socket is closed; returns the exit status. Raises WireError, OSError."""
        poll = select.poll()
        poll.register(self._control.fileno(), select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._wake_reader in ready:
                self._reap()
            if self._control.fileno() in ready:
                received = self._control.receive()
                if received is None:
                    return EXIT_OK
                self._obey(*received)

    def _obey(self, message: object, descriptors: list[int]) -> None:
        match message:
            case ForkWorker() if self._plan is not None and len(descriptors) == _DESCRIPTORS_OF_A_WORKER:
                self._fork_worker(message, self._plan, descriptors)
            case ForkTemplate() if self._plan is None and len(descriptors) == _DESCRIPTORS_OF_A_TEMPLATE:
                self._fork_template(message, descriptors)
            case _:
                close_all(descriptors)
                report_failure(
                    f"actorfaas: a template cannot do {type(message).__name__} with {len(descriptors)} descriptors"
                )

    def _fork_worker(self, order: ForkWorker, plan: Plan, descriptors: list[int]) -> None:
        connection, stdout, stderr = descriptors

        def become_worker() -> NoReturn:
            self._leave()
            start_forked_worker(plan, (connection, stdout, stderr), self._pid, self._output)

        self._fork(order.serial, descriptors, become_worker, order.entrance)

    def _fork_template(self, order: ForkTemplate, descriptors: list[int]) -> None:
        def become_template() -> NoReturn:
            process.die_with_parent(self._pid)
            self._leave()
            self._output.after_fork()
            control = Control(descriptors[0])
            os._exit(_until_closed(lambda: _run_function_template(control, self._output, self._order, order)))

        self._fork(0, descriptors, become_template)

    def _fork(self, serial: int, descriptors: list[int], become: Callable[[], NoReturn], entrance: str = "") -> None:
        """Fork; the child takes `descriptors` and never returns, the parent closes its own and says `ChildForked`.

        The child is born in the control group with that `entrance`, if this template has one to go home to.
        """
        self._output.flush()
        begin_ns = time.monotonic_ns()
        is_out = bool(entrance) and self._home >= 0 and self._move(entrance)
        try:
            pid = os.fork()
        except OSError as error:
            report_failure(f"actorfaas: cannot fork: {error}")
            pid = -1
        if pid == 0:
            guarded(become, "a forked process")
        if is_out:  # first of all: every page it writes to after a fork is a new one, which is counted where it is then
            self._return()
        fork_ns = time.monotonic_ns() - begin_ns
        if pid > 0:
            self._children.add(pid)
        close_all(descriptors)
        self._control.tell(ChildForked(serial=serial, pid=max(pid, 0), fork_ns=fork_ns))

    def _move(self, entrance: str) -> bool:
        """Whether it could be; a worker that must live in the wrong group is better than none."""
        try:
            process.move_to_group(entrance)
        except OSError as error:
            if not self._move_failed:
                self._move_failed = True
                report_failure(f"actorfaas: workers cannot have control groups of their own: {error}")
            return False
        return True

    def _return(self) -> None:
        """Back from a worker's group; a template that cannot come back leaves no more, and that is said once."""
        try:
            process.enter_group(self._home)
        except OSError as error:
            report_failure(f"actorfaas: a template cannot return to its control group: {error}")
            os.close(self._home)
            self._home = -1

    def _leave(self) -> None:
        """In a child: close what belongs to the template it came from."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._control.close()
        close_all([one for one in (self._wake_reader, self._wake_writer, self._home) if one >= 0])

    def _reap(self) -> None:
        """Report every child that has ended. Others' children (user code may start processes) are only reaped."""
        with suppress(BlockingIOError):
            while len(os.read(self._wake_reader, _WAKE_BYTES)) == _WAKE_BYTES:
                pass
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._children:
                self._children.discard(pid)
                code = os.waitstatus_to_exitcode(status)
                self._control.tell(
                    ChildExited(
                        pid=pid,
                        exit_code=max(code, 0),
                        signal=max(-code, 0),
                        max_rss_bytes=usage.ru_maxrss * 1024,
                    )
                )


def main() -> None:
    """Be a bundle template on the control socket given as an argument."""
    process.die_with_parent()
    process.set_name("af:template")
    output = Output(limit_from_environment())
    output.install()
    control = Control(int(sys.argv[1]))
    guarded(lambda: os._exit(_until_closed(lambda: _run_bundle_template(control, output))), "a bundle template")


def _run_bundle_template(control: Control, output: Output) -> int:
    received = control.receive()
    if received is None:
        return EXIT_OK
    order, descriptors = received
    close_all(descriptors)
    if not isinstance(order, LoadBundle):
        report_failure(f"actorfaas: a template was first told {type(order).__name__} instead of LoadBundle")
        return EXIT_LOAD_FAILED
    try:
        control.tell(_load(order))
    except loading.LoadError as error:
        output.flush()
        control.tell(error.message())
        return EXIT_LOAD_FAILED
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
        detail = "what the bundle declares does not fit one control message; split the application"
        control.tell(LoadFailed(stage="declare", error_type="OverflowError", detail=detail))
        return EXIT_LOAD_FAILED
    loading.settle_memory()
    return Template(control, output, order, None).serve()


def _load(order: LoadBundle) -> BundleLoaded:
    if order.bare:
        return BundleLoaded(functions=(), workflows=(), threads=process.thread_count(), import_ns=0)
    begin_ns = time.monotonic_ns()
    loading.import_bundle(order.bundle)
    functions, workflows = loading.declared_specs(order.bundle)
    import_ns = time.monotonic_ns() - begin_ns
    return BundleLoaded(functions=functions, workflows=workflows, threads=process.thread_count(), import_ns=import_ns)


def _run_function_template(control: Control, output: Output, loaded: LoadBundle, order: ForkTemplate) -> int:
    process.set_name(f"af-t:{order.spec.name}")
    home = _settle(order.home)
    begin_ns = time.monotonic_ns()
    try:
        function = None if loaded.bare else _initialised(loaded.bundle, order.spec)
    except loading.LoadError as error:
        output.flush()
        control.tell(error.message())
        return EXIT_LOAD_FAILED
    init_ns = time.monotonic_ns() - begin_ns
    output.capture_logging()
    warm_up(output)
    loading.settle_memory()
    control.tell(
        TemplateReady(
            function_topic=order.function_topic,
            pid=os.getpid(),
            threads=process.thread_count(),
            init_ns=init_ns,
        )
    )
    plan = Plan(loaded.bundle, order.spec, function, process.handled_signals())
    return Template(control, output, loaded, plan, home).serve()


def _settle(home: str) -> int:
    """Move to the control group of this function's template; its entrance, open, or -1 when that is not to be."""
    if not home:
        return -1
    try:
        process.move_to_group(home)
        return process.open_group(home)
    except OSError as error:
        report_failure(f"actorfaas: a template cannot move to its control group: {error}")
        return -1


def _initialised(bundle: BundleRef, spec: FunctionSpec) -> AnyFunction:
    function = loading.find_function(bundle, spec)
    loading.initialise(bundle, function, spec)
    return function


def _until_closed(run: Callable[[], int]) -> int:
    """The exit status of `run`; a control connection that breaks ends the template as a closed one does."""
    try:
        return run()
    except (BrokenPipeError, ConnectionResetError):  # closed while the template was saying something
        return EXIT_OK
    except (OSError, WireError) as error:
        report_failure(f"actorfaas: a template's control connection broke: {error}")
        return EXIT_CONNECTION_LOST


def _watch_children() -> tuple[int, int]:
    """A pipe that becomes readable when a child ends, as (reader, writer). The handler itself does nothing."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return reader, writer


if __name__ == "__main__":
    main()
