"""Template control: FunctionWorker supervisor ↔ template process.

A SOCK_SEQPACKET pair, one frame a packet; file descriptors travel beside the frame (SCM_RIGHTS).
"""

from __future__ import annotations

from actorfaas.messages.base import Message, message
from actorfaas.messages.supervision import BundleRef, FunctionSpec, WorkflowSpec


@message(180)
class LoadBundle(Message):
    """Supervisor → bundle template, first: import the bundle's entry module. `bare`: import nothing, its workers do."""

    bundle: BundleRef
    bare: bool


@message(181)
class BundleLoaded(Message):
    """Bundle template → supervisor: imported; what the decorators declared, and how many threads there are now."""

    functions: tuple[FunctionSpec, ...]
    workflows: tuple[WorkflowSpec, ...]
    threads: int
    import_ns: int


@message(182)
class LoadFailed(Message):
    """Template → supervisor: user code failed in `stage` (import, declare, init); the template exits."""

    stage: str
    error_type: str
    detail: str


@message(183)
class ForkTemplate(Message):
    """Supervisor → bundle template, with one descriptor (the child's control socket): fork the template of one
    function; it runs the init hook, collects and freezes garbage, and says `TemplateReady` on its own socket.

    `home`: the entrance of the control group that it moves to before anything else, "" for none.
    """

    function_topic: str
    spec: FunctionSpec
    home: str = ""


@message(184)
class TemplateReady(Message):
    """Function template → supervisor, on its own control socket (or `LoadFailed`)."""

    function_topic: str
    pid: int
    threads: int
    init_ns: int


@message(185)
class ForkWorker(Message):
    """Supervisor → function template, with three descriptors: queue connection, stdout, stderr.

    `entrance`: of the control group the worker is to be born in, "" for the template's own.
    """

    serial: int
    entrance: str = ""


@message(186)
class ChildForked(Message):
    """Template → supervisor: the process for `ForkTemplate` (serial 0) or `ForkWorker` exists; `pid` 0 when
    the kernel refused to make one."""

    serial: int
    pid: int
    fork_ns: int


@message(187)
class ChildExited(Message):
    """Template → supervisor: a child was reaped; `signal` 0 when it exited by itself."""

    pid: int
    exit_code: int
    signal: int
    max_rss_bytes: int


@message(188)
class ColdStart(Message):
    """Supervisor → new interpreter (strategy cold), as one frame on an inherited pipe: what to import and serve."""

    function_topic: str
    bundle: BundleRef
    spec: FunctionSpec
