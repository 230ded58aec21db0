"""The Exporter with a real collector: one that works, one that refuses, one that stalls; and at the node's stop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from actorfaas.actors import exporter
from actorfaas.actors.exporter import Exporter
from actorfaas.messages import Ended, Message, ReadEnded, SpansExported, TracedCall, TracedExecution
from tests.actors_kit import FakePeer, Kit
from tests.collector import Collector, collector
from tests.flow.kit import History, traced_call


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Does not wait long between two tries."""
    monkeypatch.setattr(exporter, "PERIOD_S", 0.01)
    monkeypatch.setattr(exporter, "FIRST_RETRY_S", 0.01)


@pytest.fixture
def taking() -> Iterator[Collector]:
    with collector() as made:
        yield made


class Ends:
    """The DataLayer's side: what ended, and that the Exporter's place in it is right."""

    def __init__(self) -> None:
        self.calls: list[TracedCall] = []
        self.executions: list[TracedExecution] = []
        self.missed = 0

    def answer(self, asked: ReadEnded) -> Message:
        if asked.after_call < 0:
            return Ended((), (), 0, 0, 0)
        calls, executions = self.calls[asked.after_call :], self.executions[asked.after_execution :]
        missed, self.missed = self.missed, 0
        return Ended(tuple(calls), tuple(executions), len(self.calls), len(self.executions), missed)


async def started(kit: Kit, taking: Collector, **settings: object) -> tuple[Exporter, Ends, FakePeer]:
    """An Exporter, what ends, and the Frontend."""
    kit.configure(otlp_endpoint=taking.url, **settings)
    ends = Ends()
    data_layer = await kit.fake("data_layer")
    data_layer.answer(ReadEnded, ends.answer)
    frontend = await kit.fake("frontend")
    return await kit.start(Exporter(kit.settings)), ends, frontend


async def told(frontend: FakePeer, taken: int, dropped: int = 0, missed: int = 0) -> None:
    """Wait until the Frontend was told these figures."""
    await frontend.expect(SpansExported, lambda one: one == SpansExported(taken, dropped, missed))


async def arrival(taking: Collector) -> None:
    """Wait for the next request."""
    assert await asyncio.to_thread(taking.arrived.acquire, timeout=10)


async def test_the_spans_of_what_ends_are_sent(kit: Kit, taking: Collector) -> None:
    _, ends, frontend = await started(kit, taking, otlp_headers="authorization=Bearer%20key,x-team=a")
    ends.calls.append(traced_call())
    await told(frontend, 4)
    history = History()
    history.task(10, "a", run=8)
    ends.executions.append(history.ended())
    await told(frontend, 7)
    assert taking.names == {"request f", "queue f", "start f", "run f", "execution flow", "state a", "run a"}
    headers = taking.requests[0][0]
    assert (headers["authorization"], headers["x-team"]) == ("Bearer key", "a")


async def test_a_collector_that_is_busy_gets_the_same_again(kit: Kit, taking: Collector) -> None:
    taking.statuses.extend((503, 429, 503))
    with capture_logs() as logged:
        _, ends, frontend = await started(kit, taking)
        ends.calls.append(traced_call())
        await told(frontend, 4)
    assert [len(spans) for _, spans in taking.requests] == [4, 4, 4, 4]
    assert len(taking.spans) == 4
    said = [one["event"] for one in logged if "collector" in one["event"]]
    assert said == ["spans do not reach the collector", "spans reach the collector again"]


async def test_a_collector_that_is_not_there_yet_gets_everything_later(kit: Kit, taking: Collector) -> None:
    kit.configure(otlp_endpoint="http://127.0.0.1:9/v1/traces")
    ends = Ends()
    (await kit.fake("data_layer")).answer(ReadEnded, ends.answer)
    frontend = await kit.fake("frontend")
    running = await kit.start(Exporter(kit.settings))
    ends.calls.append(traced_call())
    await frontend.expect(SpansExported)
    running.settings = kit.configure(otlp_endpoint=taking.url)
    await told(frontend, 4)


async def test_what_a_collector_refuses_is_dropped_and_counted(kit: Kit, taking: Collector) -> None:
    taking.statuses.append(400)
    _, ends, frontend = await started(kit, taking)
    ends.calls.append(traced_call())
    await told(frontend, 0, dropped=4)
    taking.rejects = 1
    ends.calls.append(traced_call())
    await told(frontend, 3, dropped=5)
    assert len(taking.requests) == 2


async def test_what_could_not_be_kept_for_it_is_counted(kit: Kit, taking: Collector) -> None:
    with capture_logs() as logged:
        _, ends, frontend = await started(kit, taking)
        ends.missed = 7
        await told(frontend, 0, missed=7)
    (said,) = (one for one in logged if "collector" in one["event"])
    assert said["problem"] == "7 calls and executions were not kept until their turn"


async def test_many_spans_go_in_several_requests(kit: Kit, taking: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "SPANS_AT_ONCE", 3)
    _, ends, frontend = await started(kit, taking)
    ends.calls.append(traced_call())
    await told(frontend, 4)
    assert [len(spans) for _, spans in taking.requests] == [3, 1]


async def test_a_collector_that_stalls_is_given_up_and_asked_again(
    kit: Kit, taking: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "TIMEOUT_S", 0.1)
    taking.goes_on.clear()
    _, ends, frontend = await started(kit, taking)
    ends.calls.append(traced_call())
    await arrival(taking)
    await arrival(taking)
    taking.goes_on.set()
    await told(frontend, 4)


async def test_a_stop_sends_what_has_ended_since(kit: Kit, taking: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "PERIOD_S", 1000)
    running, ends, _ = await started(kit, taking)
    ends.calls.append(traced_call())
    await running.stop(5.0)
    assert len(taking.spans) == 4


@pytest.mark.parametrize("stalls", [True, False])
async def test_a_stop_does_not_wait_for_a_collector_that_does_not_work(
    kit: Kit, taking: Collector, monkeypatch: pytest.MonkeyPatch, stalls: bool
) -> None:
    monkeypatch.setattr(exporter, "FLUSH_S", 0.1)
    running, ends, _ = await started(kit, taking)
    if stalls:
        taking.goes_on.clear()
    taking.statuses.extend([503] * 10_000)
    ends.calls.append(traced_call())
    await arrival(taking)
    async with asyncio.timeout(exporter.TIMEOUT_S / 2):
        await running.stop(60.0)
    assert not taking.spans
