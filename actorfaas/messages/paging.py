"""Paging: ExecutionManager ↔ Swapper, and through the LocalQueue ↔ FunctionWorker.

The ExecutionManager decides which worker's memory goes and comes; the Swapper moves it. Every order is answered by
exactly one fact, unless the worker has ended. Memory is counted by control groups, in bytes.
"""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct


@message(200)
class TendWorker(Message):
    """ExecutionManager → LocalQueue: have a worker look after its own memory; answered by `WorkerTended`.

    `action`: trim (collect garbage and give free memory back), page_out (trim, then page itself out) or page_in (read
    back what its calls touched). The LocalQueue passes it on only while the worker has no lease; trim and page_out also
    need it not lent and not armed.
    """

    worker_topic: str
    action: str


@message(201)
class Tend(Message):
    """LocalQueue → FunctionWorker: the `action` of `TendWorker`."""

    action: str


@message(202)
class Tended(Message):
    """FunctionWorker → LocalQueue: done. `size_bytes`: what it advised out or in; for trim its anonymous memory."""

    action: str
    size_bytes: int
    took_ns: int


@message(203)
class WorkerTended(Message):
    """LocalQueue → ExecutionManager: what came of `TendWorker`; not `done`: the worker was not free."""

    worker_topic: str
    action: str
    done: bool
    size_bytes: int
    took_ns: int


@message(204)
class PageOutWorker(Message):
    """ExecutionManager → Swapper: bring an idle worker's private memory out; answered by `WorkerPagedOut`."""

    worker_topic: str
    function_topic: str
    pid: int


@message(205)
class WorkerPagedOut(Message):
    """Swapper → ExecutionManager. `error` says why it is not out, else "". `usage_bytes`: what is still charged.
    `shared_bytes`: what its template has in memory; 0: not known."""

    worker_topic: str
    error: str
    freed_bytes: int
    usage_bytes: int
    took_ns: int
    shared_bytes: int


@message(206)
class PageInWorker(Message):
    """ExecutionManager → Swapper: a worker that is out is needed; answered by `WorkerPagedIn`.

    `how`: reap (read and map the working set; the call waits for the answer), faasnap (the same while the call runs)
    or demand (nothing is read; faults are counted). Without a record, the next call is recorded instead.
    """

    worker_topic: str
    function_topic: str
    pid: int
    how: str


@message(207)
class WorkerPagedIn(Message):
    """Swapper → ExecutionManager. `did`: reap, faasnap, demand, or record (there was no record: the call faults, and
    what it touches is recorded until `CallEnded`). `error`: why nothing was read, else ""."""

    worker_topic: str
    did: str
    error: str
    read_bytes: int
    took_ns: int


@message(208)
class CallEnded(Message):
    """ExecutionManager → Swapper: the first call after `PageInWorker` is over; answered by `CallMeasured`."""

    worker_topic: str


@message(209)
class CallMeasured(Message):
    """Swapper → ExecutionManager: major page faults from the end of the page-in (or its start, if nothing was to be
    waited for) to the end of the call, and the function's recorded working set (0: none). `did` is "" if nothing was
    measured: the worker is not known, or has ended."""

    worker_topic: str
    function_topic: str
    did: str
    major_faults: int
    working_set_bytes: int


@message(210)
class MemoryMeasured(Message):
    """Swapper → ExecutionManager, several times a second: what all functions use together.

    `pressure_percent`: share of the last 10 s in which some task waited for memory; negative: not told.
    """

    usage_bytes: int
    pressure_percent: float
    swap_total_bytes: int
    swap_used_bytes: int


@message(211)
class PageOutTemplate(Message):
    """ExecutionManager → Swapper: all workers of a function are out: bring out what they share with their template."""

    function_topic: str


@message(212)
class TemplatePagedOut(Message):
    """Swapper → ExecutionManager: the answer to `PageOutTemplate`."""

    function_topic: str
    error: str
    freed_bytes: int


@message(213)
class ForgetWorker(Message):
    """ExecutionManager → Swapper: the worker has ended, or is about to."""

    worker_topic: str


@message(214)
class GetPagingMode(Message):
    """ExecutionManager → Swapper (ask → PagingMode); its connection is then told the facts of this conversation."""


@message(215)
class PagingMode(Message):
    """How memory can be moved here. `mode`: outside (the Swapper pages workers), self (workers page themselves), none.

    `sentence` says why, for people. `budget_bytes`: what all functions may use together; 0: no limit.
    """

    mode: str
    sentence: str
    budget_bytes: int


@struct
class WorkerMemory:
    """One worker in `SwapperDescription`, of those that have a control group or were paged. Unknown numbers are -1.

    `last_page_in_ns`: how long the last one took.
    """

    worker_topic: str
    usage_bytes: int
    swap_bytes: int
    working_set_bytes: int
    last_page_in_ns: int


@message(216)
class DescribeSwapper(Message):
    """Anyone → Swapper (ask → SwapperDescription)."""


@message(217)
class SwapperDescription(Message):
    """Reply to `DescribeSwapper`; `mode` and `sentence` as in `PagingMode`. The counters are since its start."""

    mode: str
    sentence: str
    usage_bytes: int
    budget_bytes: int
    swap_total_bytes: int
    swap_used_bytes: int
    page_outs: int
    page_ins: int
    paged_out_bytes: int
    paged_in_bytes: int
    workers: tuple[WorkerMemory, ...]


@message(218)
class SaveLearned(Message):
    """Swapper or ExecutionManager → DataLayer (ask → Done): what was learned about a function or workflow version
    (`topic`) replaces what there was of this kind; with an empty record, that is forgotten.

    `kind`: "working_set" (a function's; the Swapper's), "costs" (a function's) or "habits" (a workflow's).
    """

    topic: str
    kind: str
    record: bytes


@message(219)
class GetLearned(Message):
    """Swapper or ExecutionManager → DataLayer (ask → LearnedRecord, or Refused "not_found")."""

    topic: str
    kind: str


@message(220)
class LearnedRecord(Message):
    """Reply to `GetLearned`."""

    record: bytes
