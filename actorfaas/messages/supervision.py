"""Templates and workers: ExecutionManager ↔ FunctionWorker supervisor."""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct


@struct
class FunctionSpec:
    """What a decorator declared about one function; the defaults live in `actorfaas.api`.

    `module` is the handler's inside the bundle, `init` the name of its init hook in that module, or "". `kind`: sync,
    async, generator, async_generator. `concurrency`: most instances alive at once. `warm`: instances kept alive when
    idle. `retries`: further attempts after a failure.
    """

    name: str
    module: str
    kind: str
    strategy: str
    timeout_s: float
    memory_mb: int
    concurrency: int
    queue_limit: int
    warm: int
    idle_timeout_s: float
    retries: int
    retry_delay_s: float
    init: str
    env: dict[str, str]
    description: str


@struct
class WorkflowSpec:
    """One workflow: its Amazon States Language definition as JSON bytes in `definition`."""

    name: str
    definition: bytes
    durability: str
    timeout_s: float
    description: str


@struct
class BundleRef:
    """Where a bundle's code is on disk: an extracted, immutable folder; `python` is the interpreter to use."""

    app: str
    sha256: str
    folder: str
    entry: str
    python: str


@message(80)
class PrepareBundle(Message):
    """ExecutionManager → FunctionWorker supervisor (ask → BundlePrepared or Refused "deploy_failed").

    Extracts the archive (once per content), builds its virtual environment when it has requirements, imports it in a
    process of its own and reads what its decorators declared. `detail` of a refusal holds the traceback.
    """

    app: str
    archive: str
    sha256: str
    entry: str


@message(81)
class BundlePrepared(Message):
    """Reply to `PrepareBundle`."""

    bundle: BundleRef
    functions: tuple[FunctionSpec, ...]
    workflows: tuple[WorkflowSpec, ...]


@message(82)
class StartFunction(Message):
    """ExecutionManager → FunctionWorker supervisor (ask → FunctionStarted or Refused "deploy_failed"): make the
    template process: import, init hook, freeze. Idempotent."""

    function_topic: str
    bundle: BundleRef
    spec: FunctionSpec


@message(83)
class FunctionStarted(Message):
    """Reply to `StartFunction`. Not `forkable`: user imports started `threads` threads, so workers import anew."""

    function_topic: str
    template_pid: int
    forkable: bool
    threads: int
    import_ns: int
    init_ns: int


@message(84)
class StopFunction(Message):
    """ExecutionManager → FunctionWorker supervisor (ask → Done): end the template and every worker of it."""

    function_topic: str
    deadline_s: float


@message(85)
class StartWorkers(Message):
    """ExecutionManager → FunctionWorker supervisor: `count` new instances (`start_kind` fork or cold).

    Each is answered by `WorkerStarted` (and, through the LocalQueue, `WorkerReported`) or `WorkerStartFailed`.
    `pooled`: it is to be kept; a forked one then gets a control group of its own. Not for those that serve one request:
    the group would cost as much as the fork.
    """

    function_topic: str
    start_kind: str
    count: int
    pooled: bool = True


@message(86)
class WorkerStarted(Message):
    """FunctionWorker supervisor → ExecutionManager: the process exists and its connection is with the LocalQueue."""

    function_topic: str
    worker_topic: str
    pid: int
    start_kind: str
    fork_ns: int


@message(87)
class WorkerStartFailed(Message):
    """FunctionWorker supervisor → ExecutionManager: no such instance came to be."""

    function_topic: str
    start_kind: str
    detail: str


@message(88)
class KillWorker(Message):
    """ExecutionManager → FunctionWorker supervisor: SIGKILL one worker, for `reason` (timeout, cancelled, stuck)."""

    function_topic: str
    pid: int
    reason: str


@message(89)
class WorkerExited(Message):
    """FunctionWorker supervisor → ExecutionManager and LocalQueue: a worker process was reaped.

    `detail` is a sentence part for people: "exited with status 3", "was killed by signal 9 (SIGKILL): timeout".
    """

    function_topic: str
    worker_topic: str
    pid: int
    exit_code: int
    signal: int
    detail: str
    max_rss_bytes: int


@message(90)
class TemplateExited(Message):
    """FunctionWorker supervisor → ExecutionManager: a template died by itself; it is restarted after the delay,
    and `TemplateRestarted` follows. Its workers died with it."""

    function_topic: str
    detail: str
    restart_in_s: float


@message(91)
class TemplateRestarted(Message):
    """FunctionWorker supervisor → ExecutionManager: workers can be started again."""

    function_topic: str
    template_pid: int


@struct
class TemplateState:
    """One template in `SupervisorDescription`."""

    function_topic: str
    template_pid: int
    forkable: bool
    threads: int
    workers: int
    restarts: int


@message(92)
class DescribeSupervisor(Message):
    """Anyone → FunctionWorker supervisor (ask): `SupervisorDescription`."""


@message(93)
class SupervisorDescription(Message):
    """Reply to `DescribeSupervisor`."""

    templates: tuple[TemplateState, ...]
