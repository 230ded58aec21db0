"""What the paging policy is told and what it asks for. Pure data.

Facts come from whoever owns the workers and whoever moves their pages; instructions go to the latter. Every
instruction is answered by a fact: `PageOut` by `PagedOut` or `PageOutFailed`, `PageIn` by `PagedIn` or `PageInFailed`,
`PageOutTemplate` by `TemplatePagedOut` or `TemplatePageOutFailed`; or the worker or template is gone.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Cause(enum.StrEnum):
    """Why pages move."""

    IDLE = "idle"
    """Nothing says that the instance is needed soon."""
    BUDGET = "budget"
    """Memory is short."""
    WANTED = "wanted"
    """A reservation or a call needs it."""
    PREDICTED = "predicted"
    """The function's next calls are expected."""


@dataclass(frozen=True, slots=True)
class WorkerIdle:
    """A worker waits, new or after `uses` calls since it was told of last (0: a reservation was given up).

    `size_bytes`: what paging it out frees. `working_set_bytes`: what paging it in reads. `cost_ns`: what a call loses
    when it is out (`costs.FunctionCosts.bring_back_ns`).
    """

    worker: str
    function: str
    size_bytes: int
    working_set_bytes: int
    cost_ns: float
    uses: int = 1


@dataclass(frozen=True, slots=True)
class WorkerBusy:
    """A worker is reserved or called. `page_in`: its working set is to be brought in if it is out."""

    worker: str
    function: str
    page_in: bool = False


@dataclass(frozen=True, slots=True)
class WorkerGone:
    """A worker has ended, whatever was under way."""

    worker: str


@dataclass(frozen=True, slots=True)
class PagedOut:
    """A worker waits out of memory, by an instruction or not; `freed_bytes` by its control group. `shared_bytes`: what
    its function's template has in memory now; 0: not known."""

    worker: str
    freed_bytes: int
    shared_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PageOutFailed:
    """A worker could not be paged out (it became busy, the swapfile is full, the kernel refuses)."""

    worker: str


@dataclass(frozen=True, slots=True)
class PagedIn:
    """A worker's working set is in memory."""

    worker: str
    read_bytes: int


@dataclass(frozen=True, slots=True)
class PageInFailed:
    """A worker's working set could not be brought in; if called, it faults its pages in."""

    worker: str


@dataclass(frozen=True, slots=True)
class TemplateIdle:
    """A function's template exists, in memory, and forks nothing. `size_bytes`: what paging it out frees."""

    function: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class TemplateBusy:
    """A function's template is being made or forks."""

    function: str


@dataclass(frozen=True, slots=True)
class TemplatePagedOut:
    """What a function's template and its workers share is out of memory."""

    function: str
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class TemplatePageOutFailed:
    """It could not be paged out."""

    function: str


@dataclass(frozen=True, slots=True)
class FunctionGone:
    """A function version is stopped; its workers are told of one by one, before or after."""

    function: str


@dataclass(frozen=True, slots=True)
class WindowPredicted:
    """`arrivals` expects `instances` simultaneous calls of a function between two instants; replaces the one before."""

    function: str
    start_ns: int
    end_ns: int
    instances: int = 1


@dataclass(frozen=True, slots=True)
class UsageMeasured:
    """What all workers and templates use, by their control groups."""

    usage_bytes: int


@dataclass(frozen=True, slots=True)
class PressureMeasured:
    """/proc/pressure/memory or the control group's: `some avg10`, in percent."""

    some_avg10_percent: float


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; see `Policy.next_due_ns`."""


Event = (
    WorkerIdle
    | WorkerBusy
    | WorkerGone
    | PagedOut
    | PageOutFailed
    | PagedIn
    | PageInFailed
    | TemplateIdle
    | TemplateBusy
    | TemplatePagedOut
    | TemplatePageOutFailed
    | FunctionGone
    | WindowPredicted
    | UsageMeasured
    | PressureMeasured
    | Tick
)


@dataclass(frozen=True, slots=True)
class PageOut:
    """Bring an idle worker's private memory out."""

    worker: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class PageIn:
    """Bring a worker's working set in."""

    worker: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class PageOutTemplate:
    """Bring out what a function's template shares with its workers, which are all out."""

    function: str
    cause: Cause


Instruction = PageOut | PageIn | PageOutTemplate
