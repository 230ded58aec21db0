"""Functions' output on its way to the DataLayer: batches, back-pressure, reconnection."""

from __future__ import annotations

import asyncio

from actorfaas.actors.function_logs import FunctionLogs
from actorfaas.messages import AppendLogs, Message
from actorfaas.runtime.clock import ManualClock


class Wire:
    """What `FunctionLogs` needs of the connection to the DataLayer."""

    def __init__(self) -> None:
        self.told: list[AppendLogs] = []
        self.write_buffer_bytes = 0
        self.changed = asyncio.Event()

    def tell(self, message: Message) -> None:
        assert isinstance(message, AppendLogs)
        self.told.append(message)
        self.changed.set()

    @property
    def texts(self) -> list[str]:
        return [line.text for message in self.told for line in message.lines]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.texts) < count:
                self.changed.clear()
                await self.changed.wait()


def logs_to(*wires: Wire) -> FunctionLogs:
    """Logs whose connection is the last of `wires`, or none."""
    return FunctionLogs(ManualClock(), lambda: wires[-1] if wires else None)  # type: ignore[arg-type,return-value]  # a stand-in


async def test_lines_of_a_moment_travel_together() -> None:
    wire = Wire()
    logs = logs_to(wire)
    for number in range(10):
        logs.add("resize@3", 7, "stdout", str(number).encode())
    assert wire.told == []
    await wire.until(10)
    assert len(wire.told) == 1
    assert {(line.function, line.version, line.pid) for line in wire.told[0].lines} == {("resize", 3, 7)}


async def test_many_lines_do_not_wait() -> None:
    wire = Wire()
    logs = logs_to(wire)
    for number in range(1200):
        logs.add("resize@3", 7, "stdout", str(number).encode())
    assert len(wire.texts) == 1000
    logs.close()
    assert wire.texts == [str(number) for number in range(1200)]
    assert max(len(message.lines) for message in wire.told) <= 500


async def test_lines_wait_for_a_data_layer_that_is_away() -> None:
    wires: list[Wire] = []
    logs = FunctionLogs(ManualClock(), lambda: wires[-1] if wires else None)  # type: ignore[arg-type,return-value]  # a stand-in
    for number in range(600):
        logs.add("f@1", 7, "stdout", str(number).encode())
    logs.flush()
    wires.append(Wire())
    logs.flush()
    assert wires[0].texts == [str(number) for number in range(600)]


async def test_a_congested_data_layer_gets_nothing_until_it_reads_again() -> None:
    wire = Wire()
    wire.write_buffer_bytes = 1 << 30
    logs = logs_to(wire)
    logs.add("f@1", 7, "stdout", b"patience")
    logs.flush()
    assert wire.told == []
    wire.write_buffer_bytes = 0
    await wire.until(1)  # by its own timer
    assert wire.texts == ["patience"]


async def test_output_of_a_bundles_template_belongs_to_no_function() -> None:
    wire = Wire()
    logs = logs_to(wire)
    logs.add("", 7, "stderr", b"importing")
    logs.close()
    [line] = wire.told[0].lines
    assert (line.function, line.version, line.stream) == ("", 0, "stderr")
