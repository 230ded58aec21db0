"""The Swapper: brings workers' memory out and back, records working sets, and measures.

A thin shell: what blocks is in `actorfaas.swap.pager` and runs in threads, page-outs apart from page-ins, so that none
of these ever waits for those of others. It carries out what the ExecutionManager orders and decides nothing about
workers; what it decides is when a working set is recorded again. Each order is answered by exactly one fact.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import ClassVar, ParamSpec, TypeVar

from actorfaas.actors.swap_orders import Call, Turns, Worker
from actorfaas.actors.swap_recording import Recordings
from actorfaas.actors.swap_watching import Watch
from actorfaas.config import Settings
from actorfaas.errors import SwapError
from actorfaas.ids import worker_topic
from actorfaas.messages import (
    CallEnded,
    CallMeasured,
    DescribeSwapper,
    ForgetWorker,
    FunctionMemory,
    GetPagingMode,
    MeasureMemory,
    MemoryFigures,
    Message,
    PageInWorker,
    PageOutTemplate,
    PageOutWorker,
    SwapperDescription,
    TemplatePagedOut,
    WorkerMemory,
    WorkerPagedIn,
    WorkerPagedOut,
)
from actorfaas.runtime.actor import Actor, Connection, Overflow, Sender
from actorfaas.swap import cgroup
from actorfaas.swap.pager import Memory, PagedOut, Pager, Process
from actorfaas.swap.records import Records

PAGE_OUTS_AT_ONCE = 2
PAGE_INS_AT_ONCE = 4
CLOSE_TIMEOUT_S = 0.8
REST_AFTER_S = 0.3
"""What a page-out leaves because it is still being written is reclaimed so much later."""

P = ParamSpec("P")
T = TypeVar("T")


class Swapper(Actor):
    """Owns what is known of workers' memory."""

    name: ClassVar[str] = "swapper"
    peers: ClassVar[tuple[str, ...]] = ("data_layer",)
    overflow: ClassVar[Overflow] = Overflow.PAUSE

    def __init__(self, settings: Settings, pager: Pager | None = None) -> None:
        super().__init__(settings)
        self._pager = pager or Pager(cgroup.handed_down(), os.getppid())
        self._workers: dict[str, Worker] = {}
        self._closing: set[Worker] = set()
        self._turns = Turns(PAGE_OUTS_AT_ONCE)
        self._out_threads = ThreadPoolExecutor(PAGE_OUTS_AT_ONCE, "page-out")
        self._in_threads = ThreadPoolExecutor(PAGE_INS_AT_ONCE, "page-in")
        self._measure_thread = ThreadPoolExecutor(1, "measure")
        self._records = Records()
        self._recordings = Recordings(self, self._records, partial(self._in_thread, self._in_threads))
        self._watch = Watch(self, self._pager, partial(self._in_thread, self._measure_thread))
        self._page_outs = self._page_ins = self._paged_out_bytes = self._paged_in_bytes = 0

    # --- life --------------------------------------------------------------------------------------------------------

    async def set_up(self) -> None:
        """Find out what can be done here, and watch it."""
        self._loop = asyncio.get_running_loop()
        await self._watch.begin()
        self.spawn(self._watch.run(), "measure")

    async def tear_down(self) -> None:
        """Let go of every process. Threads at work end by themselves: the kernel does not leave off in the middle."""
        for worker in list(self._workers.values()):
            self._forget(worker)
        if lines := [line for worker in self._closing if (line := worker.last_order)]:
            await asyncio.wait(lines, timeout=CLOSE_TIMEOUT_S)
        for pool in (self._in_threads, self._out_threads, self._measure_thread):
            pool.shutdown(wait=False, cancel_futures=True)

    def peer_disconnected(self, connection: Connection) -> None:
        """Nobody is told there any more."""
        self._watch.listeners.discard(connection)

    def receive(self, message: Message, sender: Sender) -> None:
        """Put an order behind those of its worker, or answer at once."""
        match message:
            case PageOutWorker():
                self._order_page_out(message, sender.connection)
            case PageInWorker():
                self._order_page_in(message, sender.connection)
            case CallEnded():
                self._order_measuring(message.worker_topic, sender.connection)
            case ForgetWorker():
                if (worker := self._workers.get(message.worker_topic)) is not None:
                    self._forget(worker)
            case PageOutTemplate():
                self.spawn(self._page_out_function(message.function_topic, sender.connection), "page out a function")
            case GetPagingMode():
                self._watch.listeners.add(sender.connection)
                sender.reply(self._watch.paging_mode())
            case MeasureMemory():
                self.spawn(self._tell_figures(sender), "figures")
            case DescribeSwapper():
                self.spawn(self._describe(sender), "describe")
            case _:
                sender.refuse("invalid", f"{self.name} does not take {type(message).__name__}")

    # --- orders ------------------------------------------------------------------------------------------------------

    def _order_page_out(self, order: PageOutWorker, asker: Connection) -> None:
        worker = self._worker_of(order)
        if worker.is_full:
            asker.tell(WorkerPagedOut(order.worker_topic, "too many orders wait for this worker", 0, 0, 0, 0))
            return
        worker.then(lambda: self._page_out(worker, asker), "page out")

    def _order_page_in(self, order: PageInWorker, asker: Connection) -> None:
        worker = self._worker_of(order)
        if worker.is_full:
            asker.tell(WorkerPagedIn(order.worker_topic, "demand", "too many orders wait for this worker", 0, 0))
            return
        worker.page_ins_waiting += 1
        self._turns.step_out(worker)
        worker.then(lambda: self._page_in(worker, order.how, asker), "page in")

    def _order_measuring(self, worker_topic: str, asker: Connection) -> None:
        worker = self._workers.get(worker_topic)
        if worker is None or worker.is_full:
            asker.tell(CallMeasured(worker_topic, "", "", 0, 0))
            return
        worker.then(lambda: self._measure_call(worker, asker), "measure")

    def _worker_of(self, order: PageOutWorker | PageInWorker) -> Worker:
        """The worker of an order. A process that has ended is never taken for one that has its number now."""
        worker = self._workers.get(order.worker_topic)
        if worker is None or worker.has_ended or worker.pid != order.pid:
            if worker is not None:
                self._forget(worker)
            worker = Worker(order.worker_topic, order.function_topic, order.pid, self.spawn)
            self._workers[order.worker_topic] = worker
        return worker

    def _forget(self, worker: Worker) -> None:
        """Close it once the orders it has are done."""
        if self._workers.get(worker.topic) is worker:
            del self._workers[worker.topic]
        if worker not in self._closing:
            self._closing.add(worker)
            worker.then(lambda: self._close(worker), "forget")

    async def _close(self, worker: Worker) -> None:
        await self._recordings.end(worker)
        if worker.process is not None:
            self._loop.remove_reader(worker.process.target.pidfd)
            self._pager.close(worker.process)
            worker.process = None
        self._closing.discard(worker)

    async def _open(self, worker: Worker, pool: ThreadPoolExecutor) -> Process:
        """Its process, opened at first need and watched until it ends."""
        if worker.process is None:
            worker.process = await self._in_thread(pool, self._pager.open, worker.pid, worker.function_topic)
            self._loop.add_reader(worker.process.target.pidfd, self._ended, worker)
        return worker.process

    def _ended(self, worker: Worker) -> None:
        self._loop.remove_reader(worker.hold().target.pidfd)
        worker.has_ended = True
        if worker.call is not None:
            worker.call.ended.set()
        if self._workers.get(worker.topic) is worker:
            self._forget(worker)

    # --- page-out ----------------------------------------------------------------------------------------------------

    async def _page_out(self, worker: Worker, asker: Connection) -> None:
        started_ns = time.monotonic_ns()
        await self._recordings.end(worker)
        await self._recordings.load(worker.function_topic)
        done = PagedOut(0, 0, "it was needed before its turn came")
        if await self._turns.take(worker):
            try:
                done = await self._carry_out_page_out(worker)
            except (SwapError, OSError) as error:
                done = PagedOut(0, 0, str(error))
            finally:
                self._turns.give_back()
        if not done.error:
            self._loop.call_later(REST_AFTER_S, self._order_rest, worker, worker.last_order)
        took_ns = time.monotonic_ns() - started_ns
        self._page_outs += 1
        self._paged_out_bytes += done.freed_bytes
        asker.tell(
            WorkerPagedOut(worker.topic, done.error, done.freed_bytes, done.usage_bytes, took_ns, done.shared_bytes)
        )

    def _order_rest(self, worker: Worker, page_out: asyncio.Task[None] | None) -> None:
        """Unless it was needed since, free what could not be freed at once because it was still being written."""
        if worker.last_order is page_out and worker.process is not None and not worker.is_at_work:
            worker.then(lambda: self._free_rest(worker), "reclaim")

    async def _free_rest(self, worker: Worker) -> None:
        if worker.is_needed() or worker.has_ended:
            return
        with suppress(SwapError, OSError):  # what is left is little, and the next page-out tries again
            self._paged_out_bytes += await self._in_thread(self._out_threads, self._pager.reclaim_rest, worker.hold())

    async def _carry_out_page_out(self, worker: Worker) -> PagedOut:
        self._watch.require_outside()
        process = await self._open(worker, self._out_threads)
        topic = worker.function_topic
        record = self._records.fitting(topic, process.layout)
        remember = self._records.is_wanted(topic, process.layout) or self._records.is_to_look(topic)
        work = partial(self._pager.page_out, process, record, worker.is_needed, remember=remember)
        return await self._in_thread(self._out_threads, work)

    async def _page_out_function(self, function_topic: str, asker: Connection) -> None:
        freed, error = 0, ""
        if any(w.is_at_work for w in self._workers.values() if w.function_topic == function_topic):
            error = "a worker of it is at work"
        else:
            try:
                self._watch.require_outside()
                freed = await self._in_thread(self._out_threads, self._pager.page_out_function, function_topic)
            except (SwapError, OSError) as refused:
                error = str(refused)
        self._paged_out_bytes += freed
        asker.tell(TemplatePagedOut(function_topic, error, freed))

    # --- page-in and the call after it -------------------------------------------------------------------------------

    async def _page_in(self, worker: Worker, how: str, asker: Connection) -> None:
        started_ns = time.monotonic_ns()
        await self._recordings.end(worker)
        await self._recordings.load(worker.function_topic)
        did, error, read_bytes = "demand", "", 0
        try:
            did, read_bytes = await self._carry_out_page_in(worker, how)
        except (SwapError, OSError) as refused:
            error = str(refused)
        finally:
            worker.page_ins_waiting -= 1
        worker.last_page_in_ns = took_ns = time.monotonic_ns() - started_ns
        self._page_ins += 1
        self._paged_in_bytes += read_bytes
        asker.tell(WorkerPagedIn(worker.topic, did, error, read_bytes, took_ns))

    async def _carry_out_page_in(self, worker: Worker, how: str) -> tuple[str, int]:
        """What was done, and how many bytes it read."""
        self._watch.require_outside()
        process = await self._open(worker, self._in_threads)
        topic = worker.function_topic
        record = self._records.fitting(topic, process.layout)
        if self._records.is_wanted(topic, process.layout) and not self._recordings.is_full:
            read_bytes = 0
            if record is not None and not record.memory:  # of another address space: files, which are the same
                read_bytes = await self._in_thread(self._in_threads, self._pager.page_in, process, record)
            if how != "demand":
                read_bytes += await self._in_thread(self._in_threads, self._pager.read_all, process)
            recorder = await self._in_thread(self._in_threads, self._pager.start_recording, process)
            self._recordings.begin(worker, recorder, self._pager.faults(process))
            return "record", read_bytes
        faults = self._pager.faults(process)
        worker.call = Call("demand", faults)
        if how == "demand" or record is None:
            return "demand", 0
        strategy = "faasnap" if how == "faasnap" else "reap"
        looks = self._records.look(topic)
        work = partial(self._pager.page_in, process, record, remember=looks)
        read_bytes = await self._in_thread(self._in_threads, work)
        if strategy == "reap":  # of faasnap, the call runs meanwhile: all its faults count
            faults = self._pager.faults(process)
        worker.call = Call(strategy, faults, shows=looks)
        return strategy, read_bytes

    async def _measure_call(self, worker: Worker, asker: Connection) -> None:
        call = worker.call
        did, major = "", 0
        if call is not None:
            try:
                did, major = call.did, self._pager.faults(worker.hold()).major - call.faults.major
            except (SwapError, OSError) as error:
                self.log.debug("a call could not be measured", topic=worker.topic, error=str(error))
            await self._recordings.end(worker, keep=bool(did))
            if did in ("reap", "faasnap"):
                self._records.called(worker.function_topic, major)
                if call is not None and call.shows:
                    await self._recordings.grow(worker, self._pager, major)
        size_bytes = self._records.size_bytes(worker.function_topic)
        asker.tell(CallMeasured(worker.topic, worker.function_topic, did, major, size_bytes))

    # --- descriptions ------------------------------------------------------------------------------------------------

    async def _describe(self, sender: Sender) -> None:
        """All workers that have groups, and those that were ordered about without one."""
        held = [(worker, worker.process) for worker in self._workers.values() if worker.process is not None]
        memory = await self._in_thread(self._measure_thread, self._memory_of, held)
        now, mode = self._watch.sample, self._watch.mode
        workers = []
        for (topic, function_topic), found in memory.items():
            known = self._workers.get(topic)
            page_in_ns = known.last_page_in_ns if known else -1
            workers.append(WorkerMemory(topic, *found, self._records.size_bytes(function_topic), page_in_ns))
        sender.reply(
            SwapperDescription(
                mode.name,
                mode.sentence,
                now.usage_bytes,
                mode.budget_bytes,
                now.swap_total_bytes,
                now.swap_used_bytes,
                self._page_outs,
                self._page_ins,
                self._paged_out_bytes,
                self._paged_in_bytes,
                tuple(workers),
            )
        )

    async def _tell_figures(self, sender: Sender) -> None:
        """Sums, and each function's part."""
        functions = await self._in_thread(self._measure_thread, self._pager.memory_by_function)
        now = self._watch.sample
        sender.reply(
            MemoryFigures(
                now.usage_bytes,
                self._watch.mode.budget_bytes,
                now.swap_total_bytes,
                now.swap_used_bytes,
                self._page_outs,
                self._page_ins,
                self._paged_out_bytes,
                self._paged_in_bytes,
                tuple(FunctionMemory(topic, *memory) for topic, memory in functions),
            )
        )

    def _memory_of(self, held: list[tuple[Worker, Process]]) -> dict[tuple[str, str], Memory]:
        """By worker and function topic; in a thread."""
        found = {(worker_topic(topic, pid), topic): memory for topic, pid, memory in self._pager.memory_by_leaf()}
        for worker, process in held:
            found[worker.topic, worker.function_topic] = self._pager.memory_of(process)
        return found

    async def _in_thread(self, pool: ThreadPoolExecutor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._loop.run_in_executor(pool, partial(work, *args, **kwargs))
