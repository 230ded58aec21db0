"""The seam between the pools and paging: what paging is told of workers, and what it is asked.

The pools know where each worker's memory is (`core.lifecycle`) and use workers that are out like any others; what to
bring out and in, when, and at which price is decided behind `Pager`. Nobody there calls back while being told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from actorfaas.core.worker import Worker

PREFETCHED, CONCURRENT, SWAPPED = "prefetched", "concurrent", "swapped"
"""Start kinds of calls whose worker was out, see `messages.InvocationResult`."""

REAP, FAASNAP, DEMAND = "reap", "faasnap", "demand"
"""How a worker is brought in, see `messages.PageInWorker`."""

HOW_OF_STRATEGY = {"swap": DEMAND, "reap": REAP, "faasnap": FAASNAP}
"""The strategies in which every call meets a worker that is out, and what they do about it."""


UNLIMITED = 1 << 30
"""More instances than any node may have."""


class Pager(Protocol):
    """Decides about memory. Whatever it wants is done later, never during these calls."""

    is_active: bool
    """Whether memory can be moved at all. Otherwise workers that are out are called as they are."""

    def changed(self, worker: Worker) -> None:
        """A worker waits, is needed, or has been used: its fields say which."""

    def kept(self, worker: Worker, now_ns: int) -> None:
        """A worker that was to be brought out stays: it is needed, or could not be brought out."""

    def gone(self, worker: Worker) -> None:
        """A worker has ended."""

    def page_out(self, worker: Worker, now_ns: int) -> None:
        """Bring it out; `Dispatch.paged_out` follows."""

    def page_in(self, worker: Worker, how: str, now_ns: int) -> str:
        """Bring it in; `Dispatch.paged_in` follows. The start kind of a call that does not wait for that."""

    def call_ended(self, worker: Worker) -> None:
        """A call of it is over, perhaps the first since its page-in."""

    def not_needed(self, worker: Worker) -> None:
        """A worker that is out is no longer reserved: it is not to be brought in for that."""

    def way_in(self, topic: str, *, can_start: bool) -> str:
        """How to bring in a worker that is out, for a call that waits for it: `REAP` or `FAASNAP`; "" when a new
        instance, if one `can_start`, costs less."""

    def gains(self, topic: str, share: float, *, can_start: bool) -> bool:
        """Whether bringing in a worker for a state that comes with this likelihood is worth it. `can_start`: a new
        instance would be the alternative."""

    def room(self, topic: str) -> int:
        """How many instances of a function may be started now: for more, memory is short."""

    def make_room(self, topic: str) -> None:
        """Calls wait for the first instance of a function, for which `room` says 0."""

    def template_changed(self, topic: str) -> None:
        """Instances were asked for, or one has reported itself, or will not come: its pool says which."""

    def born(self, topic: str, took_ns: int) -> None:
        """A fork that was asked for `took_ns` ago has reported itself."""

    def served(self, topic: str, now_ns: int) -> None:
        """A function was called, once or more; told at most about twice a second."""

    def ran(self, topic: str, run_ns: int) -> None:
        """A function's handler took so long."""

    def returned(self, topic: str, start_kind: str, took_ns: int) -> None:
        """A call whose instance was had so took so long from its delivery on: what it spent on faults is part of it."""

    def expect(self, worker: Worker, before: Sequence[str], began_ns: int, now_ns: int) -> None:
        """A worker that is out is reserved for the state after `before`: the functions of the state that began at
        `began_ns` and of those between. It is to be in by then."""

    def function_gone(self, topic: str) -> None:
        """A function version is no longer served."""


class NoPager:
    """Paging where there is none: everything is resident. Also the state before anything is known."""

    is_active: bool = False

    def changed(self, worker: Worker) -> None:
        """See Pager."""

    def kept(self, worker: Worker, now_ns: int) -> None:
        """See Pager."""

    def gone(self, worker: Worker) -> None:
        """See Pager."""

    def page_out(self, worker: Worker, now_ns: int) -> None:
        """See Pager."""

    def page_in(self, worker: Worker, how: str, now_ns: int) -> str:
        """See Pager."""
        return SWAPPED

    def call_ended(self, worker: Worker) -> None:
        """See Pager."""

    def not_needed(self, worker: Worker) -> None:
        """See Pager."""

    def way_in(self, topic: str, *, can_start: bool) -> str:
        """See Pager."""
        return REAP

    def gains(self, topic: str, share: float, *, can_start: bool) -> bool:
        """See Pager."""
        return False

    def room(self, topic: str) -> int:
        """See Pager."""
        return UNLIMITED

    def make_room(self, topic: str) -> None:
        """See Pager."""

    def template_changed(self, topic: str) -> None:
        """See Pager."""

    def born(self, topic: str, took_ns: int) -> None:
        """See Pager."""

    def served(self, topic: str, now_ns: int) -> None:
        """See Pager."""

    def ran(self, topic: str, run_ns: int) -> None:
        """See Pager."""

    def returned(self, topic: str, start_kind: str, took_ns: int) -> None:
        """See Pager."""

    def expect(self, worker: Worker, before: Sequence[str], began_ns: int, now_ns: int) -> None:
        """See Pager."""

    def function_gone(self, topic: str) -> None:
        """See Pager."""
