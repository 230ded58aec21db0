"""The store against a plain dictionary: any sequence of operations, with reopening in between, must look the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    ClaimIdempotencyKey,
    HistoryEvent,
    KvCommitted,
    KvGet,
    KvList,
    ListExecutions,
    LogLine,
)
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import append, create, event, finish, kv_delete, kv_put, line, read_logs, sqlite_store

Outcome = object
"""What an operation comes to: a value, or the code of a refusal."""


@dataclass
class Execution:
    """One execution in the model."""

    durability: str
    input: bytes
    name: str
    status: str = "running"
    output: bytes = b""
    events: dict[int, HistoryEvent] = field(default_factory=dict)

    def seen(self) -> tuple[object, ...]:
        events = tuple(self.events[seq] for seq in sorted(self.events))
        return self.name, self.durability, self.status, self.output, events


class Model:
    """What a store should say, without any storage."""

    def __init__(self) -> None:
        self.executions: dict[str, Execution] = {}
        self.values: dict[str, tuple[int, bytes]] = {}
        self.version = 0
        self.claims: dict[str, tuple[str, str]] = {}
        self.lines: list[LogLine] = []

    def reopen(self) -> None:
        gone = [i for i, e in self.executions.items() if (e.durability, e.status) == ("express", "running")]
        for execution_id in gone:
            del self.executions[execution_id]

    def create(self, execution_id: str, durability: str, payload: bytes, name: str) -> Outcome:
        if execution_id in self.executions:
            return "conflict"
        self.executions[execution_id] = Execution(durability, payload, name)
        return None

    def append(self, execution_id: str, events: tuple[HistoryEvent, ...]) -> Outcome:
        if execution_id not in self.executions:
            return "not_found"
        for one in events:
            self.executions[execution_id].events.setdefault(one.seq, one)
        return None

    def finish(self, execution_id: str, status: str, payload: bytes, events: tuple[HistoryEvent, ...]) -> Outcome:
        found = self.executions.get(execution_id)
        if found is None:
            return "not_found"
        if found.status == "running":
            found.status, found.output = status, payload
            self.append(execution_id, events)
        return None

    def change(self, key: str, expected: int, payload: bytes | None) -> Outcome:
        version, _ = self.values.get(key, (0, b""))
        if expected not in (-1, version):
            return KvCommitted((), conflict=0)
        if payload is None:
            self.values.pop(key, None)
            return KvCommitted((0,))
        self.version += 1
        self.values[key] = (self.version, payload)
        return KvCommitted((self.version,))

    def claim(self, key: str, fingerprint: str, execution_id: str) -> Outcome:
        first = key not in self.claims
        held, winner = self.claims.setdefault(key, (fingerprint, execution_id))
        return (first, winner) if held == fingerprint else "conflict"


class Pair:
    """A store and its model, taken through the same operations."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = Model()
        self.store: SqliteStore = sqlite_store(folder)

    async def reopen(self) -> None:
        await self.store.close()
        self.model.reopen()
        self.store = sqlite_store(self.folder)
        await self.store.open()

    async def create(self, execution_id: str, durability: str, payload: bytes, name: str) -> None:
        expected = self.model.create(execution_id, durability, payload, name)
        if durability == "express" and expected == "conflict":
            return  # an express execution is only compared with those in memory
        request = create(execution_id, payload, durability, name)
        assert await outcome(lambda: self.store.create_execution(request)) == expected

    async def append(self, execution_id: str, events: tuple[HistoryEvent, ...]) -> None:
        expected = self.model.append(execution_id, events)
        assert await outcome(lambda: self.store.append_history(append(execution_id, *events))) == expected

    async def finish(self, execution_id: str, status: str, payload: bytes, events: tuple[HistoryEvent, ...]) -> None:
        expected = self.model.finish(execution_id, status, payload, events)
        request = finish(execution_id, payload, *events, status=status)
        assert await outcome(lambda: self.store.finish_execution(request)) == expected

    async def put(self, key: str, expected_version: int, payload: bytes) -> None:
        expected = self.model.change(key, expected_version, payload)
        assert await self.store.kv_commit(kv_put("app", key, expected_version, payload)) == expected

    async def delete(self, key: str, expected_version: int) -> None:
        expected = self.model.change(key, expected_version, None)
        assert await self.store.kv_commit(kv_delete("app", key, expected_version)) == expected

    async def claim(self, key: str, fingerprint: str, execution_id: str) -> None:
        expected = self.model.claim(key, fingerprint, execution_id)
        request = ClaimIdempotencyKey(key, fingerprint, execution_id)
        claim = await outcome(lambda: self.store.claim_idempotency_key(request))
        assert (claim if isinstance(claim, str) else (claim.first, claim.execution_id)) == expected

    async def log(self, lines: tuple[LogLine, ...]) -> None:
        self.model.lines += lines
        await self.store.append_logs(lines)

    async def prune(self) -> None:
        pruned = await self.store.prune()  # nothing is older than the default settings allow
        assert (pruned.executions, pruned.log_lines, pruned.idempotency_keys) == (0, 0, 0)

    async def compare(self) -> None:
        """Everything that can be read says what the model says."""
        for execution_id, execution in self.model.executions.items():
            state = await self.store.get_execution(execution_id)
            seen = (state.name, state.durability, state.status, state.payload, state.events)
            assert seen == execution.seen()
        await self.compare_listings()
        for key, value in self.model.values.items():
            found = await self.store.kv_get(KvGet("app", key))
            assert (found.version, found.payload) == value
        for prefix in ("", "a"):
            listed = (await self.store.kv_list(KvList("app", prefix, "", 100))).keys
            assert list(listed) == sorted(key for key in self.model.values if key.startswith(prefix))
        for function in ("", "f"):
            lines = (await self.store.read_logs(read_logs(function))).lines
            assert [one.text for one in lines] == [
                one.text for one in self.model.lines if function in ("", one.function)
            ]

    async def compare_listings(self) -> None:
        stored = {i: e for i, e in self.model.executions.items() if (e.durability, e.status) != ("express", "running")}
        for name in ("", "one"):
            for status in ("", "running", "succeeded"):
                page = await self.store.list_executions(ListExecutions(name, status, 100, ""))
                assert {one.execution_id for one in page.executions} == {
                    i for i, e in stored.items() if name in ("", e.name) and status in ("", e.status)
                }
        unfinished = (await self.store.list_unfinished("")).executions
        assert {(one.execution_id, one.input, one.events) for one in unfinished} == {
            (i, e.input, e.seen()[-1]) for i, e in stored.items() if e.status == "running"
        }


async def outcome(call: Callable[[], asyncio.Future[Any]]) -> Any:  # of whatever the call gives
    """The result, or the code with which it was refused."""
    try:
        return await call()
    except RequestRefused as refused:
        return refused.code


IDS = st.sampled_from(["ex_1", "ex_2", "ex_3"])
KEYS = st.sampled_from(["a", "ab", "b", "é"])
PAYLOADS = st.binary(min_size=0, max_size=8) | st.sampled_from([b"x" * 100, b"y" * 101, b"z" * 5000])
EVENTS = st.lists(st.builds(event, st.integers(1, 6), PAYLOADS), max_size=3).map(tuple)
VERSIONS = st.sampled_from([-1, -1, 0, 1, 2, 3])
STATUSES = st.sampled_from(["succeeded", "failed", "timed_out", "cancelled"])
LINES = st.lists(st.builds(line, st.text(max_size=5), st.sampled_from(["f", "g"])), max_size=3).map(tuple)

Step = Callable[[Pair], Coroutine[Any, Any, None]]


def step(
    method: Callable[..., Coroutine[Any, Any, None]], *arguments: st.SearchStrategy[Any]
) -> st.SearchStrategy[Step]:
    """One operation with its arguments drawn."""
    return st.tuples(*arguments).map(lambda drawn: lambda pair: method(pair, *drawn))


STEPS = st.one_of(
    step(Pair.create, IDS, st.sampled_from(["standard", "express"]), PAYLOADS, st.sampled_from(["one", "two"])),
    step(Pair.append, IDS, EVENTS),
    step(Pair.append, IDS, EVENTS),
    step(Pair.finish, IDS, STATUSES, PAYLOADS, EVENTS),
    step(Pair.put, KEYS, VERSIONS, PAYLOADS),
    step(Pair.put, KEYS, VERSIONS, PAYLOADS),
    step(Pair.delete, KEYS, VERSIONS),
    step(Pair.claim, KEYS, st.sampled_from(["p", "q"]), IDS),
    step(Pair.log, LINES),
    step(Pair.prune),
    step(Pair.reopen),
)


async def run(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory(prefix="afaas-") as folder:
        pair = Pair(Path(folder))
        await pair.store.open()
        try:
            for one in steps:
                await one(pair)
            await pair.compare()
            await pair.reopen()
            await pair.compare()
        finally:
            await pair.store.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_a_store_is_a_dictionary_that_survives(steps: list[Step]) -> None:
    asyncio.run(run(steps))
