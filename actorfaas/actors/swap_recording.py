"""Working sets as the Swapper keeps them: recorded during calls, saved to the DataLayer, loaded at first need.

Which calls are recorded and what a record is used for is the Swapper's; which records there are, `swap.records`'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from actorfaas.actors.swap_orders import Call, Worker
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused, SwapError
from actorfaas.messages import Done, GetLearned, LearnedRecord, SaveLearned
from actorfaas.runtime.actor import Actor
from actorfaas.swap import record_format
from actorfaas.swap.pager import Pager
from actorfaas.swap.recorder import Recorder
from actorfaas.swap.records import Records
from actorfaas.swap.target import Faults
from actorfaas.swap.working_set import WorkingSet

RECORD_KIND = "working_set"
MOST_RECORDINGS = 8
LOAD_TIMEOUT_S = 1.0
FIRST_SCAN_S = 0.0002
SCAN_GROWTH = 1.25
SLOWEST_SCAN_S = 1.0


class InThread(Protocol):
    """Runs what blocks in a thread."""

    def __call__(self, work: Callable[..., Any], *arguments: Any) -> Awaitable[Any]: ...  # Any: of whatever is run


class Recordings:
    """The recordings under way, and how records come and go."""

    def __init__(self, actor: Actor, records: Records, in_thread: InThread) -> None:
        self._actor = actor
        self._log = actor.log
        self._records = records
        self._in_thread = in_thread
        self._under_way = 0

    @property
    def is_full(self) -> bool:
        """Whether no other call should be recorded now."""
        return self._under_way >= MOST_RECORDINGS

    def begin(self, worker: Worker, recorder: Recorder, faults: Faults) -> None:
        """Record the call that comes now, until `end`."""
        worker.call = call = Call("record", faults, recorder)
        self._under_way += 1
        call.scanning = self._actor.spawn(self._scan(worker, call, recorder), f"record {worker.topic}")

    async def _scan(self, worker: Worker, call: Call, recorder: Recorder) -> None:
        """Look again and again, less and less often, until the call has ended."""
        pause_s = FIRST_SCAN_S
        while not call.ended.is_set():
            try:
                await self._in_thread(recorder.scan)
            except (SwapError, OSError) as error:
                self._log.debug("a recording broke off", topic=worker.topic, error=str(error))
                return
            try:
                async with asyncio.timeout(pause_s):
                    await call.ended.wait()
            except TimeoutError:
                pause_s = min(pause_s * SCAN_GROWTH, SLOWEST_SCAN_S)

    async def end(self, worker: Worker, *, keep: bool = False) -> None:
        """The call is over. What was recorded of it is kept only if it is known to have come to its end."""
        call, worker.call = worker.call, None
        if call is None or call.recorder is None or call.scanning is None:
            return
        call.ended.set()
        await asyncio.wait({call.scanning})
        self._under_way -= 1
        if not keep:
            return
        before = self._records.half(worker.function_topic, call.recorder.layout)
        try:
            record = await self._in_thread(partial(call.recorder.finish, before=before))
        except (SwapError, OSError) as error:
            self._log.debug("a recording broke off", topic=worker.topic, error=str(error))
            return
        complete = self._records.recorded(worker.function_topic, record, before)
        self._log.info(
            "call recorded" if complete is None else "working set recorded",
            topic=worker.function_topic,
            memory_bytes=record.memory_bytes,
            file_bytes=record.file_bytes,
            groups=len(record.groups),
        )
        if complete is not None:
            self._actor.spawn(self._save(worker.function_topic, complete), f"save {worker.function_topic}")

    async def grow(self, worker: Worker, pager: Pager, major_faults: int) -> None:
        """A call after a page-in faulted: what the record missed becomes part of it."""
        process = worker.hold()
        record = self._records.may_grow(worker.function_topic, process.layout, major_faults)
        if record is None:
            return
        try:
            grown = await self._in_thread(pager.grown, process, record)
        except (SwapError, OSError) as error:
            self._log.debug("what a record missed cannot be found out", topic=worker.topic, error=str(error))
            return
        if self._records.grow(worker.function_topic, record, grown):
            self._log.info("working set grown", topic=worker.function_topic, pages=grown.pages, from_pages=record.pages)
            self._actor.spawn(self._save(worker.function_topic, grown), f"save {worker.function_topic}")

    async def _save(self, function_topic: str, record: WorkingSet) -> None:
        packed = await self._in_thread(record_format.to_bytes, record)
        try:
            await self._actor.ask("data_layer", SaveLearned(function_topic, RECORD_KIND, packed), Done)
        except (PeerUnavailable, AskTimeout, RequestRefused) as error:
            self._log.warning("a working set was not saved", topic=function_topic, error=str(error))

    async def load(self, function_topic: str) -> None:
        """Have the record from before, at the function's first use. Without an answer it is asked for again later."""
        if self._records.is_known(function_topic):
            return
        record = None
        try:
            found = await self._actor.ask(
                "data_layer", GetLearned(function_topic, RECORD_KIND), LearnedRecord, LOAD_TIMEOUT_S
            )
            record = record_format.from_bytes(found.record)
        except (PeerUnavailable, AskTimeout):
            return
        except RequestRefused as error:
            if error.code != "not_found":
                return
        except ValueError as error:
            self._log.warning("a saved working set is of no use", topic=function_topic, error=str(error))
        self._records.loaded(function_topic, record)
