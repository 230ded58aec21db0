"""The Swapper of the test world: takes orders, carries them out when the test says so, well or not, in any order
between workers; and what must hold of every order.

Its workers' memory is real here: `out` are those whose memory it has brought out and not back.
"""

from __future__ import annotations

from collections import deque

from actorfaas.core import lifecycle
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.effects import Effect, Tell
from actorfaas.messages import (
    CallEnded,
    CallMeasured,
    ForgetWorker,
    Message,
    PageInWorker,
    PageOutTemplate,
    PageOutWorker,
    PagingMode,
    TemplatePagedOut,
    TendWorker,
    WorkerPagedIn,
    WorkerPagedOut,
)

MB = 1_000_000
OUTSIDE, SELF, NONE = "outside", "self", "none"


def mode_of(name: str, budget_bytes: int = 0) -> PagingMode:
    """What the Swapper says about how memory can be moved."""
    return PagingMode(name, f"the test's mode is {name}", budget_bytes)


class SwapperPlayer:
    """One Swapper; a restarted one is a new object."""

    def __init__(self, mode: PagingMode, out: set[str], recorded: set[str]) -> None:
        self.mode = mode
        self.out = out
        self.recorded = recorded
        self.orders: dict[str, deque[Message]] = {}
        self.recording: set[str] = set()
        self.page_outs: list[str] = []
        self.page_ins: list[tuple[str, str]] = []
        self.templates: list[str] = []

    def take(self, order: Message) -> None:
        """An order arrives; those of one worker are carried out one after the other."""
        if isinstance(order, PageOutTemplate):
            self.orders.setdefault(order.function_topic, deque()).append(order)
            return
        assert isinstance(order, PageOutWorker | PageInWorker | CallEnded | ForgetWorker), order
        self.orders.setdefault(order.worker_topic, deque()).append(order)

    def carry_out(self, choice: int = 0, error: str = "") -> Message | None:
        """Do the first order of one of the workers; `error`: it fails. The answer, if there is one."""
        if not self.orders:
            return None
        names = list(self.orders)
        name = names[choice % len(names)]
        order = self.orders[name].popleft()
        if not self.orders[name]:
            del self.orders[name]
        if self.mode.mode != OUTSIDE:
            error = error or self.mode.sentence
        return self._answer(order, error)

    def _answer(self, order: Message, error: str) -> Message | None:
        match order:
            case PageOutWorker(worker_topic=worker):
                self.recording.discard(worker)
                if not error:
                    self.out.add(worker)
                    self.page_outs.append(worker)
                return WorkerPagedOut(worker, error, 0 if error else 5 * MB, 300_000, 1_000_000, 40 * MB)
            case PageInWorker(worker_topic=worker, function_topic=function, how=how):
                if error:
                    return WorkerPagedIn(worker, "demand", error, 0, 1_000_000)
                did = how if function in self.recorded else "record"
                if did == "record":
                    self.recording.add(worker)
                self.page_ins.append((worker, did))
                if did in ("reap", "faasnap"):
                    self.out.discard(worker)
                return WorkerPagedIn(worker, did, "", 0 if did == "demand" else MB, 3_000_000)
            case CallEnded(worker_topic=worker):
                function = worker.rpartition("_")[0]
                if worker in self.recording:
                    self.recording.remove(worker)
                    self.recorded.add(function)
                size_bytes = MB if function in self.recorded else 0
                return CallMeasured(worker, function, "", 0, size_bytes)
            case PageOutTemplate(function_topic=function):
                self.templates.append(function)
                return TemplatePagedOut(function, error, 0 if error else 40 * MB)
        return None


class Watch:
    """What must hold of every order, seen as it leaves the ExecutionManager."""

    def __init__(self) -> None:
        self.under_way: set[str] = set()

    def leaves(self, effect: Effect, dispatch: Dispatch) -> None:
        """An effect is carried out."""
        if not isinstance(effect, Tell):
            return
        match effect.message:
            case TendWorker(worker_topic=topic, action="trim" | "page_out"):
                self._may_go(topic, dispatch)
            case PageOutWorker(worker_topic=topic):
                self._may_go(topic, dispatch)
                assert topic not in self.under_way, f"{topic} is ordered out twice"
                self.under_way.add(topic)
            case ForgetWorker(worker_topic=topic):
                self.under_way.discard(topic)

    def answered(self, answer: Message) -> None:
        """A fact arrives."""
        if isinstance(answer, WorkerPagedOut):
            self.under_way.discard(answer.worker_topic)
        elif isinstance(answer, PagingMode) and answer.mode == NONE:
            self.under_way.clear()  # workers whose orders are still under way count as out and may be called

    @staticmethod
    def _may_go(topic: str, dispatch: Dispatch) -> None:
        worker = dispatch.worker(topic)
        if worker is None:
            return  # told to exit in the same moment
        assert worker.phase == lifecycle.PAGING_OUT, f"{topic} is {worker.phase} and was ordered out"
        held = [worker.claim, worker.lent_to, worker.stays_in, worker.releasing]
        assert not any(held), f"{topic} is in use, or to stay, and was ordered out"
