"""The Swapper with a scripted pager: order, one answer to each order, failures, records, measurements."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from actorfaas.actors import swap_orders, swapper
from actorfaas.actors.swapper import Swapper
from actorfaas.errors import ProcessGone, RequestRefused, SwapError
from actorfaas.messages import (
    DescribeQueue,
    Done,
    ForgetWorker,
    GetLearned,
    LearnedRecord,
    PageOutTemplate,
    Refused,
    SaveLearned,
    TemplatePagedOut,
    WorkerMemory,
)
from actorfaas.swap import record_format
from actorfaas.swap.measuring import NONE, Mode
from actorfaas.swap.pager import Memory
from actorfaas.swap.target import Faults
from actorfaas.swap.working_set import Group, WorkingSet
from tests.actors.fake_pager import RECORD, FakePager
from tests.actors.swapper_rig import F, Manager
from tests.actors_kit import FakePeer, Kit


@pytest.fixture
def pager() -> FakePager:
    return FakePager()


@pytest.fixture
async def data_layer(kit: Kit) -> FakePeer:
    peer = await kit.fake("data_layer")
    peer.answer(GetLearned, Refused(error="not_found", detail="none yet", retryable=False, retry_after_s=0.0))
    peer.answer(SaveLearned, Done())
    return peer


@pytest.fixture
async def manager(kit: Kit, pager: FakePager, data_layer: FakePeer) -> Manager:
    await kit.start(Swapper(kit.settings, pager))
    return Manager(await kit.fake("execution_manager", peers=("swapper",)), pager)


@pytest.fixture
def recorded(data_layer: FakePeer) -> FakePeer:
    """A DataLayer that has a record of every function."""
    packed = record_format.to_bytes(RECORD)
    data_layer.answer(GetLearned, lambda asked: LearnedRecord(packed))
    return data_layer


# --- order ----------------------------------------------------------------------------------------------------------


async def test_a_worker_goes_out_and_comes_back(manager: Manager, recorded: FakePeer) -> None:
    manager.page_out(7)
    manager.page_in(7)
    out, back = await manager.paged_out(7), await manager.paged_in(7)
    assert (out.error, back.error) == ("it was needed before its turn came", "")
    manager.page_out(7)
    out = await manager.paged_out(7)
    assert (out.error, out.freed_bytes, out.usage_bytes) == ("", 10 << 20, 1 << 18)
    assert out.took_ns > 0
    manager.page_in(7)
    back = await manager.paged_in(7)
    assert (back.did, back.error, back.read_bytes) == ("reap", "", RECORD.memory_bytes)


async def test_a_page_in_waits_for_no_other_workers_page_outs(manager: Manager, recorded: FakePeer) -> None:
    gates = [manager.pager.hold("out", pid) for pid in (1, 2)]
    for pid in (1, 2, 3):
        manager.page_out(pid)
    for pid in (1, 2):
        await manager.begun("out", pid)
    manager.page_in(9)
    assert (await manager.paged_in(9)).did == "reap"
    assert ("out", 3) not in manager.pager.done  # no more than two at once
    for gate in gates:
        gate.set()
    for pid in (1, 2, 3):
        assert (await manager.paged_out(pid)).error == ""


async def test_a_worker_that_is_needed_leaves_the_queue_of_page_outs(manager: Manager, recorded: FakePeer) -> None:
    gates = [manager.pager.hold("out", pid) for pid in (1, 2)]
    for pid in (1, 2, 3):
        manager.page_out(pid)
    for pid in (1, 2):
        await manager.begun("out", pid)
    manager.page_in(3)
    assert "before its turn" in (await manager.paged_out(3)).error
    assert (await manager.paged_in(3)).error == ""
    for gate in gates:
        gate.set()
    for pid in (1, 2):
        assert (await manager.paged_out(pid)).error == ""
    manager.page_out(3)  # turns were given back
    assert (await manager.paged_out(3)).error == ""


async def test_a_page_out_under_way_is_told_that_its_worker_is_needed(manager: Manager, recorded: FakePeer) -> None:
    gate = manager.pager.hold("out", 1)
    manager.page_out(1)
    await manager.begun("out", 1)
    manager.page_in(1)
    await manager.settled()
    assert ("in", 1) not in manager.pager.done
    gate.set()
    assert "needed" in (await manager.paged_out(1)).error
    assert (await manager.paged_in(1)).did == "reap"


async def test_what_was_still_being_written_is_freed_a_little_later(
    manager: Manager, recorded: FakePeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swapper, "REST_AFTER_S", 0.0)
    manager.page_out(1)
    await manager.paged_out(1)
    await manager.begun("rest", 1)
    gate = manager.pager.hold("out", 2)
    manager.page_out(2)
    await manager.begun("out", 2)
    manager.page_in(2)
    gate.set()
    await manager.paged_out(2)
    await manager.paged_in(2)
    await manager.settled()
    assert ("rest", 2) not in manager.pager.done, "it was needed since"


async def test_orders_beyond_the_bound_are_answered_at_once(manager: Manager) -> None:
    gate = manager.pager.hold("out", 1)
    for _ in range(swap_orders.MOST_WAITING + 1):
        manager.page_out(1)
    await manager.begun("out", 1)
    assert "too many" in (await manager.paged_out(1)).error
    manager.page_in(1)
    assert "too many" in (await manager.paged_in(1)).error
    gate.set()
    for _ in range(swap_orders.MOST_WAITING):
        assert (await manager.paged_out(1)).error == ""


# --- failures -------------------------------------------------------------------------------------------------------


async def test_a_process_that_is_gone_is_an_error_in_the_answer(manager: Manager) -> None:
    manager.pager.fail("open", 1, ProcessGone(1))
    manager.page_out(1)
    assert (await manager.paged_out(1)).error == "process 1 has exited"
    manager.page_in(1)
    assert (await manager.paged_in(1)).error == "process 1 has exited"
    assert (await manager.call_ended(1)).did == ""


@pytest.mark.parametrize("error", [SwapError("refused"), OSError(5, "input/output error")])
async def test_what_the_kernel_refuses_is_an_error_in_the_answer(
    manager: Manager, recorded: FakePeer, error: Exception
) -> None:
    manager.pager.fail("out", 1, error)
    manager.pager.fail("in", 1, error)
    manager.page_out(1)
    assert (await manager.paged_out(1)).error == str(error)
    manager.page_in(1)
    fact = await manager.paged_in(1)
    assert (fact.error, fact.read_bytes) == (str(error), 0)


async def test_a_process_that_ends_is_let_go_of_after_its_orders(manager: Manager) -> None:
    gate = manager.pager.hold("out", 1)
    manager.page_out(1)
    await manager.begun("out", 1)
    manager.pager.end(1)
    while (await manager.settled()).workers:  # until its end is noticed
        pass
    assert ("close", 1) not in manager.pager.done
    gate.set()
    assert (await manager.paged_out(1)).error == "process 1 has exited"
    manager.pager.failures.clear()
    manager.page_out(1)  # the number is used again
    assert (await manager.paged_out(1)).error == ""
    assert [step for step in manager.pager.done if step[0] in ("open", "close")] == [
        ("open", 1),
        ("close", 1),
        ("open", 1),
    ]


async def test_a_forgotten_worker_is_let_go_of(manager: Manager) -> None:
    manager.page_out(1)
    await manager.paged_out(1)
    assert len((await manager.settled()).workers) == 1
    manager.peer.tell("swapper", ForgetWorker(f"{F}_1"))
    manager.peer.tell("swapper", ForgetWorker("never heard of"))
    assert (await manager.settled()).workers == ()
    assert (await manager.call_ended(1)).did == ""


async def test_everything_is_closed_at_a_stop(kit: Kit, manager: Manager) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for pid in (1, 2, 3):
        manager.page_out(pid)
    for pid in (1, 2, 3):
        await manager.paged_out(pid)
    assert len(os.listdir("/proc/self/fd")) == before + 6
    await kit.stop(kit.started("swapper"))
    assert sorted(step for step in manager.pager.done if step[0] == "close") == [("close", pid) for pid in (1, 2, 3)]


async def test_where_memory_cannot_be_moved_from_outside_nothing_is_tried(
    kit: Kit, pager: FakePager, data_layer: FakePeer
) -> None:
    pager.mode = Mode(NONE, "there is no swap", 0)
    await kit.start(Swapper(kit.settings, pager))
    manager = Manager(await kit.fake("execution_manager", peers=("swapper",)), pager)
    manager.page_out(1)
    assert (await manager.paged_out(1)).error == "there is no swap"
    manager.page_in(1)
    assert (await manager.paged_in(1)).error == "there is no swap"
    manager.peer.tell("swapper", PageOutTemplate(F))
    assert (await manager.peer.expect(TemplatePagedOut)).error == "there is no swap"
    assert pager.done == []


async def test_a_message_of_others_is_refused(manager: Manager) -> None:
    with pytest.raises(RequestRefused, match="does not take DescribeQueue"):
        await manager.peer.ask("swapper", DescribeQueue(), Done)


# --- records --------------------------------------------------------------------------------------------------------


async def test_two_calls_without_a_record_are_recorded_and_the_next_is_read_ahead(manager: Manager) -> None:
    for working_set_bytes in (0, RECORD.memory_bytes):
        manager.page_out(1)
        await manager.paged_out(1)
        manager.page_in(1)
        assert (await manager.paged_in(1)).did == "record"
        measured = await manager.call_ended(1, major_faults=900)
        assert (measured.did, measured.major_faults) == ("record", 900)
        assert measured.working_set_bytes == working_set_bytes, "it is not known before it is complete"
    assert ("scan", 1) in manager.pager.done
    manager.page_in(2, "faasnap")
    assert (await manager.paged_in(2)).did == "faasnap"
    assert manager.pager.read_with == [RECORD]


async def test_without_a_record_all_is_read_unless_every_page_is_to_fault(manager: Manager, pager: FakePager) -> None:
    for pid, how, read_bytes in ((1, "reap", 6 << 20), (2, "demand", 0)):
        manager.page_out(pid)
        await manager.paged_out(pid)
        manager.page_in(pid, how)
        done = await manager.paged_in(pid)
        assert (done.did, done.read_bytes) == ("record", read_bytes)
        assert (("all", pid) in pager.done) is (how == "reap")


async def test_a_record_of_a_call_that_died_is_not_kept(manager: Manager) -> None:
    manager.page_in(1)
    assert (await manager.paged_in(1)).did == "record"
    manager.pager.end(1)
    assert (await manager.call_ended(1)).working_set_bytes == 0
    manager.page_in(2)
    assert (await manager.paged_in(2)).did == "record"


async def test_records_survive_the_swapper(kit: Kit, manager: Manager, data_layer: FakePeer) -> None:
    kept: dict[str, bytes] = {}

    def keep(request: SaveLearned) -> Done:
        kept[request.topic] = request.record
        return Done()

    data_layer.answer(SaveLearned, keep)
    for _ in range(2):
        manager.page_in(1)
        await manager.paged_in(1)
        await manager.call_ended(1)
    await data_layer.until(lambda: kept or None, "a record to keep")
    await kit.stop(kit.started("swapper"))
    data_layer.answer(GetLearned, lambda asked: LearnedRecord(kept[asked.topic]))
    await kit.start(Swapper(kit.settings, manager.pager))
    manager.page_in(2)
    assert (await manager.paged_in(2)).did == "reap"
    assert manager.pager.read_with == [RECORD]


@pytest.mark.parametrize("record", [b"", b"no record", record_format.to_bytes(replace(RECORD, layout="elsewhere"))])
async def test_a_record_that_does_not_fit_is_made_again(manager: Manager, data_layer: FakePeer, record: bytes) -> None:
    data_layer.answer(GetLearned, lambda asked: LearnedRecord(record))
    manager.page_in(1)
    assert (await manager.paged_in(1)).did == "record"


async def test_without_the_data_layer_calls_are_recorded(kit: Kit, pager: FakePager) -> None:
    await kit.start(Swapper(kit.settings, pager))
    manager = Manager(await kit.fake("execution_manager", peers=("swapper",)), pager)
    for _ in range(2):
        manager.page_in(1)
        assert (await manager.paged_in(1)).did == "record"
        measured = await manager.call_ended(1)
    assert measured.working_set_bytes == RECORD.memory_bytes
    manager.page_in(1)
    assert (await manager.paged_in(1)).did == "reap"


async def test_a_record_that_drifts_is_made_again(manager: Manager, recorded: FakePeer) -> None:
    did = []
    for _ in range(9):
        manager.page_in(1)
        did.append((await manager.paged_in(1)).did)
        await manager.call_ended(1, major_faults=500)
    assert did == ["reap"] * 8 + ["record"]


async def test_a_record_takes_in_what_a_call_faulted_for(manager: Manager, recorded: FakePeer) -> None:
    saved: list[bytes] = []

    def save(asked: SaveLearned) -> Done:
        saved.append(asked.record)
        return Done()

    recorded.answer(SaveLearned, save)
    manager.pager.missing = WorkingSet(RECORD.layout, (Group(((0x7100_0000, 8192),)),))
    manager.page_in(1)
    await manager.paged_in(1)
    measured = await manager.call_ended(1, major_faults=0)
    assert measured.working_set_bytes == RECORD.memory_bytes
    manager.page_in(1)
    await manager.paged_in(1)
    measured = await manager.call_ended(1, major_faults=1)
    assert measured.working_set_bytes == RECORD.memory_bytes + 8192
    manager.page_in(1)
    await manager.paged_in(1)
    grown = RECORD.grown(manager.pager.missing)
    assert manager.pager.read_with[-1] == grown
    await recorded.until(lambda: saved or None, "a record to keep")
    assert [record_format.from_bytes(packed) for packed in saved] == [grown]


async def test_what_cannot_be_found_out_leaves_the_record_as_it_is(manager: Manager, recorded: FakePeer) -> None:
    manager.pager.fail("grown", 1, OSError("no"))
    manager.page_in(1)
    await manager.paged_in(1)
    assert (await manager.call_ended(1, major_faults=9)).working_set_bytes == RECORD.memory_bytes


async def test_faults_count_from_where_the_call_could_begin(manager: Manager, recorded: FakePeer) -> None:
    manager.page_in(1, "demand")
    assert (await manager.paged_in(1)).did == "demand"
    assert (await manager.call_ended(1, major_faults=70)).major_faults == 70
    for how, counted in (("reap", 5), ("faasnap", 25)):
        gate = manager.pager.hold("in", 1)
        manager.pager.done.clear()
        manager.page_in(1, how)
        await manager.begun("in", 1)
        before = manager.pager.faults_of[1]
        manager.pager.faults_of[1] = Faults(0, before.major + 20)  # during the page-in
        gate.set()
        await manager.paged_in(1)
        assert (await manager.call_ended(1, major_faults=5)).major_faults == counted


# --- templates, measurements ----------------------------------------------------------------------------------------


async def test_a_template_goes_out_when_none_of_its_workers_is_at_work(manager: Manager, recorded: FakePeer) -> None:
    manager.peer.tell("swapper", PageOutTemplate(F))
    assert await manager.peer.expect(TemplatePagedOut) == TemplatePagedOut(F, "", 40 << 20)
    manager.page_in(1)
    await manager.paged_in(1)
    manager.peer.tell("swapper", PageOutTemplate(F))
    assert "at work" in (await manager.peer.expect(TemplatePagedOut)).error
    await manager.call_ended(1)
    manager.pager.fail("function", 0, SwapError("no control group"))
    manager.peer.tell("swapper", PageOutTemplate(F))
    assert (await manager.peer.expect(TemplatePagedOut)).error == "no control group"


async def test_a_description_has_every_worker(manager: Manager, recorded: FakePeer) -> None:
    manager.page_out(1)
    await manager.paged_out(1)
    manager.page_in(1)
    await manager.paged_in(1)
    manager.pager.leaves = [(F, 1, Memory(1, 1)), (F, 2, Memory(5 << 20, 0))]  # 2 was never ordered about
    found = await manager.settled()
    assert (found.mode, found.page_outs, found.page_ins) == ("outside", 1, 1)
    assert (found.paged_out_bytes, found.paged_in_bytes) == (10 << 20, RECORD.memory_bytes)
    worker, resident = found.workers
    assert resident == WorkerMemory(f"{F}_2", 5 << 20, 0, RECORD.memory_bytes, -1)
    assert (worker.worker_topic, worker.usage_bytes, worker.swap_bytes) == (f"{F}_1", 3 << 20, 7 << 20)
    assert worker.working_set_bytes == RECORD.memory_bytes
    assert worker.last_page_in_ns > 0
