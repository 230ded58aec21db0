"""The pools' workers as the paging policy sees them. Pure; when it is told is left to `steering`."""

from __future__ import annotations

from actorfaas.core import lifecycle
from actorfaas.core.pool import Pool
from actorfaas.core.worker import Worker
from actorfaas.swap.paging_state import Place


def waits(worker: Worker) -> bool:
    """Whether the policy may move a worker. Those that go out at once anyway are not offered to it."""
    if worker.claim is not None or worker.releasing or worker.lent_to not in ("", worker.function_topic):
        return False
    if worker.phase == lifecycle.RESIDENT:
        return not worker.goes_out
    return worker.phase == lifecycle.SWAPPED


def forks(pool: Pool) -> bool:
    """Whether a function's template is at work, or about to be."""
    reporting = any(one.phase == lifecycle.REPORTING and one.start_kind == "fork" for one in pool.workers.values())
    return reporting or any(start.kind == "fork" for start in pool.starts)


def places(worker: Worker, *, leaving: bool) -> tuple[Place | None, ...]:
    """Where the policy may believe a worker to be; None: it does not know it. `leaving`: it has sent it out itself."""
    if worker.stays_in or worker.phase == lifecycle.REPORTING:
        return (None,)
    if worker.phase == lifecycle.PAGING_OUT:
        return (Place.PAGING_OUT,) if leaving else (Place.BUSY,)
    if worker.phase == lifecycle.PAGING_IN:
        return (Place.PAGING_IN, Place.BUSY)
    if not waits(worker):
        return (Place.BUSY,)
    if worker.phase == lifecycle.SWAPPED:
        return (Place.SWAPPED,)
    return (Place.PAGING_OUT,) if leaving else (Place.IDLE,)
