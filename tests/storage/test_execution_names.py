"""Names given to executions: one execution of each for a workflow, as long as it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorfaas.messages import ClaimExecutionName, ExecutionNameClaim, RecordExecution
from actorfaas.storage.execution_names import UNSTARTED_MS
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import Wall, create, finish, sqlite_store

FIRST = ExecutionNameClaim(True, False, "ex_1")
SAME = ExecutionNameClaim(False, False, "ex_1")
TAKEN = ExecutionNameClaim(False, True, "ex_1")


async def claim(
    store: SqliteStore, execution_id: str = "ex_2", fingerprint: str = "same", workflow: str = "flow"
) -> ExecutionNameClaim:
    return await store.claim_execution_name(ClaimExecutionName(workflow, "order-1", fingerprint, execution_id))


async def test_the_same_request_gets_the_execution_while_it_runs(store: SqliteStore) -> None:
    assert await claim(store, "ex_1") == FIRST
    assert await claim(store) == SAME
    await store.create_execution(create("ex_1"))
    assert await claim(store) == SAME
    assert await claim(store, fingerprint="another") == TAKEN
    await store.finish_execution(finish("ex_1"))
    assert await claim(store) == TAKEN


async def test_every_workflow_has_names_of_its_own(store: SqliteStore) -> None:
    assert (await claim(store, "ex_1")).first
    assert (await claim(store, "ex_2", workflow="other")).first


async def test_a_claim_without_an_execution_is_void_after_a_while(store: SqliteStore, wall: Wall) -> None:
    await claim(store, "ex_1")
    assert await claim(store, fingerprint="another") == TAKEN
    wall.ms += UNSTARTED_MS
    assert await claim(store) == SAME, "its own request may still begin it"
    assert (await claim(store, fingerprint="another")).first
    wall.ms += UNSTARTED_MS + 1
    await store.prune()
    assert await claim(store, "ex_1") == FIRST


async def test_a_name_is_kept_as_long_as_its_execution(tmp_path: Path, wall: Wall) -> None:
    store = sqlite_store(tmp_path, wall, execution_retention=1)
    await store.open()
    try:
        await claim(store, "ex_1")
        await store.record_execution(RecordExecution(create("ex_1"), finish("ex_1")))
        wall.ms += 10 * UNSTARTED_MS
        await store.prune()
        assert await claim(store) == TAKEN
        await store.record_execution(RecordExecution(create("ex_9"), finish("ex_9")))
        await store.prune()
        assert (await claim(store)).first
    finally:
        await store.close()


@pytest.mark.parametrize("again", [False, True])
async def test_an_execution_that_is_created_twice_keeps_its_name(store: SqliteStore, again: bool) -> None:
    await claim(store, "ex_1")
    await store.record_execution(RecordExecution(create("ex_1"), finish("ex_1")))
    if again:
        await store.record_execution(RecordExecution(create("ex_1"), finish("ex_1")))
    assert (await store.get_execution("ex_1")).execution_name == "order-1"
