"""The DataLayer over its socket: every message once, and waiting by notification."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from actorfaas.actors.data_layer import DataLayer
from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    ActivateDeployment,
    AppendLogs,
    ClaimIdempotencyKey,
    Deployments,
    DeploymentSaved,
    Done,
    Executions,
    ExecutionState,
    GetExecution,
    GetLearned,
    IdempotencyClaim,
    KvCommitted,
    KvGet,
    KvKeys,
    KvList,
    KvNames,
    KvValue,
    LearnedRecord,
    ListDeployments,
    ListExecutions,
    ListUnfinished,
    Logs,
    Message,
    Publish,
    SaveLearned,
    Unfinished,
    WaitExecution,
)
from actorfaas.storage.sqlite_store import SqliteStore
from tests.actors_kit import FakePeer, Kit
from tests.storage.samples import append, create, deployment, event, finish, kv_delete, kv_put, line, read_logs

M = TypeVar("M", bound=Message)

HOUR_NS = 3600 * 10**9
SOON_NS = 20 * 10**6


class Asker:
    """One connection to the DataLayer."""

    def __init__(self, peer: FakePeer) -> None:
        self.peer = peer
        self._begun: list[asyncio.Task[Any]] = []  # Any: of whatever is asked

    async def ask(self, message: Message, expect: type[M]) -> M:
        return await self.peer.ask("data_layer", message, expect)

    async def done(self, *messages: Message) -> None:
        for message in messages:
            await self.ask(message, Done)

    def tell(self, message: Message) -> None:
        self.peer.tell("data_layer", message)

    def begin(self, message: Message, expect: type[M]) -> asyncio.Task[M]:
        """Ask without waiting for the answer."""
        task = asyncio.create_task(self.ask(message, expect))
        self._begun.append(task)
        return task

    async def close(self) -> None:
        """Give up what is still unanswered."""
        for task in self._begun:
            task.cancel()
        await asyncio.gather(*self._begun, return_exceptions=True)

    async def settled(self) -> None:
        """Once this is answered, everything asked before has been looked up."""
        for _ in range(2):
            await asyncio.gather(
                self.ask(ListUnfinished(), Unfinished), self.ask(KvGet("a", "b"), KvValue), self.ask(read_logs(), Logs)
            )


@pytest.fixture
async def actor(kit: Kit) -> DataLayer:
    kit.configure(sqlite_synchronous="normal", spill_bytes=100)
    return await kit.start(DataLayer(kit.settings))


@pytest.fixture
async def asker(kit: Kit, actor: DataLayer) -> AsyncIterator[Asker]:
    made = Asker(await kit.fake("execution_manager", peers=("data_layer",)))
    yield made
    await made.close()


def wait(execution_id: str, within_ns: int = HOUR_NS, must_exist: bool = False) -> WaitExecution:
    return WaitExecution(execution_id, time.monotonic_ns() + within_ns, must_exist)


async def test_executions(asker: Asker) -> None:
    await asker.done(create("ex_1", b"in"), append("ex_1", event(1, b"a")))
    (unfinished,) = (await asker.ask(ListUnfinished(), Unfinished)).executions
    assert (unfinished.input, unfinished.events) == (b"in", (event(1, b"a"),))
    await asker.done(finish("ex_1", b"out", event(2)))
    state = await asker.ask(GetExecution("ex_1"), ExecutionState)
    assert (state.status, state.payload, state.events) == ("succeeded", b"out", (event(1, b"a"), event(2)))
    (summary,) = (await asker.ask(ListExecutions("", "", 10, ""), Executions)).executions
    assert (summary.execution_id, summary.status) == ("ex_1", "succeeded")


async def test_who_waits_for_an_end_need_not_get_its_whole_history(asker: Asker) -> None:
    await asker.done(create("ex_1"), append("ex_1", event(1), event(2), event(3)))
    few = asyncio.create_task(asker.ask(replace(wait("ex_1"), limit=1), ExecutionState))
    await asyncio.sleep(0)
    await asker.done(finish("ex_1"))
    assert len((await few).events) == 1
    assert len((await asker.ask(replace(wait("ex_1"), limit=2), ExecutionState)).events) == 2
    assert len((await asker.ask(wait("ex_1"), ExecutionState)).events) == 3


async def test_who_comes_while_an_end_is_read_for_others_gets_what_it_asked_for(
    asker: Asker, actor: DataLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asker.done(create("ex_1"), append("ex_1", event(1), event(2)))
    few = asker.begin(replace(wait("ex_1"), limit=1), ExecutionState)
    await asker.settled()
    read = actor._store.get_execution
    reads: list[tuple[asyncio.Future[ExecutionState], asyncio.Future[ExecutionState]]] = []

    def held_back(*question: Any) -> asyncio.Future[ExecutionState]:  # as `Store.get_execution`
        shown: asyncio.Future[ExecutionState] = asyncio.get_running_loop().create_future()
        reads.append((read(*question), shown))
        return shown

    monkeypatch.setattr(actor._store, "get_execution", held_back)
    await asker.done(finish("ex_1"))
    whole = asker.begin(wait("ex_1"), ExecutionState)
    await asker.settled()
    assert len(reads) == 2
    for asked, count in ((few, 1), (whole, 2)):
        found, shown = reads.pop(0)
        shown.set_result(await found)
        assert len((await asked).events) == count


async def test_key_values(asker: Asker) -> None:
    assert await asker.ask(kv_put("app", "k", 0, b"1"), KvCommitted) == KvCommitted((1,))
    assert await asker.ask(KvGet("app", "k"), KvValue) == KvValue(1, b"1")
    assert await asker.ask(KvList("app", "", "", 10), KvKeys) == KvKeys(("k",))
    assert await asker.ask(KvNames("a", "", 10), KvKeys) == KvKeys(("app",))
    assert await asker.ask(kv_put("app", "k", 0, b"2"), KvCommitted) == KvCommitted((), 0)
    assert await asker.ask(kv_delete("app", "k", 1), KvCommitted) == KvCommitted((0,))
    assert await asker.ask(KvGet("app", "k"), KvValue) == KvValue(0, b"")


async def test_deployments_and_idempotency_keys(asker: Asker) -> None:
    assert await asker.ask(deployment("shop"), DeploymentSaved) == DeploymentSaved("shop", 1)
    await asker.done(ActivateDeployment("shop", 1))
    (record,) = (await asker.ask(ListDeployments("", True), Deployments)).deployments
    assert (record.version, record.functions) == (1, deployment("shop").functions)
    claim = ClaimIdempotencyKey("k", "one", "ex_1")
    assert await asker.ask(claim, IdempotencyClaim) == IdempotencyClaim(True, "ex_1")
    with pytest.raises(RequestRefused, match="conflict"):
        await asker.ask(ClaimIdempotencyKey("k", "two", "ex_2"), IdempotencyClaim)


async def test_what_was_learned(asker: Asker) -> None:
    await asker.done(SaveLearned("f@1", "costs", b"record"))
    assert await asker.ask(GetLearned("f@1", "costs"), LearnedRecord) == LearnedRecord(b"record")
    with pytest.raises(RequestRefused, match="not_found"):
        await asker.ask(GetLearned("f@2", "costs"), LearnedRecord)


async def test_what_cannot_be_done_is_refused_with_its_reason(asker: Asker) -> None:
    for message, code in (
        (GetExecution("ex_9"), "not_found"),
        (append("ex_9", event(1)), "not_found"),
        (kv_put("app", "", -1, b"1"), "invalid"),
        (ListExecutions("", "odd", 1, ""), "invalid"),
        (ActivateDeployment("shop", 4), "not_found"),
        (Publish("t", "r", 0, 1, 0, False, "", b""), "invalid"),
    ):
        with pytest.raises(RequestRefused, match=code):
            await asker.ask(message, Done)


async def test_a_number_sqlite_cannot_hold_fails_that_request_only(asker: Asker) -> None:
    odd = asker.begin(ActivateDeployment("shop", 2**63), Done)
    even = asker.begin(kv_put("app", "k", -1, b"1"), KvCommitted)
    with pytest.raises(RequestRefused, match="internal"):
        await odd
    assert (await even).numbers == (1,)


# --- waiting for an execution ------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["standard", "express"])
async def test_all_who_wait_are_answered_when_an_execution_ends(asker: Asker, durability: str) -> None:
    early = asker.begin(wait("ex_1"), ExecutionState)  # before there is such an execution
    await asker.settled()
    await asker.done(create("ex_1", durability=durability))
    others = [asker.begin(wait("ex_1", must_exist=True), ExecutionState) for _ in range(3)]
    stranger = asker.begin(wait("ex_2"), ExecutionState)
    await asker.settled()
    assert not any(task.done() for task in (early, *others))
    await asker.done(append("ex_1", event(1)), finish("ex_1", b"out", event(2)))
    for task in (early, *others):
        state = await task
        assert (state.status, state.payload, state.events) == ("succeeded", b"out", (event(1), event(2)))
    assert not stranger.done()


@pytest.mark.parametrize("durability", ["standard", "express"])
async def test_an_execution_that_has_ended_is_answered_at_once(asker: Asker, durability: str) -> None:
    await asker.done(create("ex_1", durability=durability), finish("ex_1", b"out"))
    assert (await asker.ask(wait("ex_1"), ExecutionState)).payload == b"out"


async def test_who_waits_for_the_output_alone_is_not_sent_what_the_events_carry(asker: Asker) -> None:
    await asker.done(create("ex_1"))
    early = asker.begin(replace(wait("ex_1"), event_payloads=False), ExecutionState)
    await asker.settled()
    await asker.done(finish("ex_1", b"out", event(1, b"state")))
    late = asker.begin(replace(wait("ex_1"), event_payloads=False), ExecutionState)
    for state in (await early, await late):
        assert (state.payload, state.events) == (b"out", (event(1),))
    assert (await asker.ask(GetExecution("ex_1"), ExecutionState)).events == (event(1, b"state"),)
    assert (await asker.ask(GetExecution("ex_1", event_payloads=False), ExecutionState)).events == (event(1),)


async def test_many_ends_and_waits_at_once_leave_nobody_waiting(asker: Asker, actor: DataLayer) -> None:
    ids = [f"ex_{number}" for number in range(200)]
    tasks = []
    for execution_id in ids:
        asker.tell(create(execution_id))
        tasks.append(asker.begin(wait(execution_id), ExecutionState))
        asker.tell(finish(execution_id, execution_id.encode()))
        tasks.append(asker.begin(wait(execution_id), ExecutionState))
    states = await asyncio.gather(*tasks)
    assert [state.payload.decode() for state in states] == [one for one in ids for _ in range(2)]
    actor._execution_waiters.check_invariants()
    assert len(actor._execution_waiters) == 0


async def test_at_the_deadline_the_present_state_is_the_answer(asker: Asker) -> None:
    await asker.done(create("ex_1"), append("ex_1", event(1)))
    later = asker.begin(wait("ex_1"), ExecutionState)
    state = await asker.ask(wait("ex_1", SOON_NS), ExecutionState)
    assert (state.status, state.events) == ("running", (event(1),))
    assert (await asker.ask(wait("ex_1", -1), ExecutionState)).status == "running"
    assert not later.done()
    with pytest.raises(RequestRefused, match="not_found"):
        await asker.ask(wait("ex_9", SOON_NS), ExecutionState)


async def test_an_execution_that_must_exist_is_refused_at_once(asker: Asker) -> None:
    with pytest.raises(RequestRefused, match="not_found"):
        await asker.ask(wait("ex_9", must_exist=True), ExecutionState)


async def test_nobody_waits_on_a_connection_that_ended(asker: Asker, actor: DataLayer, kit: Kit) -> None:
    frontend = Asker(await kit.fake("frontend", peers=("data_layer",)))
    frontend.tell(wait("ex_1"))
    frontend.tell(read_logs(wait_until_ns=time.monotonic_ns() + HOUR_NS))
    await frontend.settled()
    assert (len(actor._execution_waiters), len(actor._log_waiters)) == (1, 1)
    await kit.stop(frontend.peer)
    await asker.settled()
    assert (len(actor._execution_waiters), len(actor._log_waiters)) == (0, 0)


# --- logs ----------------------------------------------------------------------------------------------------------


async def test_logs_are_followed_line_by_line(asker: Asker) -> None:
    deadline_ns = time.monotonic_ns() + HOUR_NS
    follow = asker.begin(read_logs("f", after_seq=0, wait_until_ns=deadline_ns), Logs)
    await asker.settled()
    asker.tell(AppendLogs((line("other", "g"),)))
    await asker.settled()
    assert not follow.done()
    asker.tell(AppendLogs((line("other", "g"), line("mine"), line("mine too"))))
    found = await follow
    assert [one.text for one in found.lines] == ["mine", "mine too"]
    follow = asker.begin(read_logs("f", after_seq=found.after_seq, wait_until_ns=deadline_ns), Logs)
    asker.tell(AppendLogs((line("third"),)))
    assert [one.text for one in (await follow).lines] == ["third"]


async def test_reading_logs_waits_until_its_deadline_or_not_at_all(asker: Asker) -> None:
    asker.tell(AppendLogs((line("one"),)))
    await asker.settled()
    found = await asker.ask(read_logs(after_seq=1, wait_until_ns=time.monotonic_ns() + SOON_NS), Logs)
    assert found == Logs((), 1)
    assert await asker.ask(read_logs("none"), Logs) == Logs((), 0)
    found = await asker.ask(read_logs(wait_until_ns=time.monotonic_ns() + HOUR_NS), Logs)
    assert [one.text for one in found.lines] == ["one"]


# --- life ------------------------------------------------------------------------------------------------------------


async def test_everything_answered_is_there_after_a_restart(kit: Kit, actor: DataLayer, asker: Asker) -> None:
    await asker.done(create("ex_1", b"x" * 500))
    asker.tell(create("ex_2"))
    asker.tell(AppendLogs((line("one"),)))
    await asker.settled()
    await kit.stop(asker.peer)
    await kit.stop(actor)
    await kit.start(DataLayer(kit.settings))
    again = Asker(await kit.fake("execution_manager", peers=("data_layer",)))
    found = (await again.ask(ListUnfinished(), Unfinished)).executions
    assert [(one.execution_id, len(one.input)) for one in found] == [("ex_1", 500), ("ex_2", 1)]
    assert len((await again.ask(read_logs(), Logs)).lines) == 1


async def test_who_still_waits_at_the_stop_is_refused(kit: Kit, actor: DataLayer, asker: Asker) -> None:
    waiting = asker.begin(wait("ex_1"), ExecutionState)
    await asker.settled()
    await kit.stop(actor)
    with pytest.raises(RequestRefused, match="stopping"):
        await waiting


async def test_a_full_disk_is_unavailable_and_passes(asker: Asker, actor: DataLayer) -> None:
    store = actor._store
    assert isinstance(store, SqliteStore)

    async def limit_pages(pages: int) -> None:
        await store._writer.submit(lambda transaction: transaction.execute(f"PRAGMA max_page_count = {pages}"))

    await asker.done(create("ex_1"))
    await limit_pages(1)
    too_much = append("ex_1", *(event(seq, b"x" * 99) for seq in range(1, 1000)))
    with pytest.raises(RequestRefused, match="unavailable") as refused:
        await asker.ask(too_much, Done)
    assert refused.value.retryable
    assert "full" in refused.value.detail
    assert (await asker.ask(GetExecution("ex_1"), ExecutionState)).events == ()
    await limit_pages(1_000_000)
    await asker.done(too_much)
    assert len((await asker.ask(GetExecution("ex_1"), ExecutionState)).events) == 999


async def test_retention_runs_by_itself(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorfaas.actors.data_layer.PRUNE_INTERVAL_S", 0.01)
    pruned = asyncio.Event()
    prune = SqliteStore.prune

    async def prune_and_tell(self: SqliteStore) -> object:
        result = await prune(self)
        if result.executions:
            pruned.set()
        return result

    monkeypatch.setattr(SqliteStore, "prune", prune_and_tell)
    kit.configure(execution_retention=0)
    await kit.start(DataLayer(kit.settings))
    asker = Asker(await kit.fake("execution_manager", peers=("data_layer",)))
    await asker.done(create("ex_1"), finish("ex_1"))
    async with asyncio.timeout(10):
        await pruned.wait()
    with pytest.raises(RequestRefused, match="not_found"):
        await asker.ask(GetExecution("ex_1"), ExecutionState)
