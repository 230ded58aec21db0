"""What the supervisor's tests ask of the machine about processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable

from actorfaas.messages import (
    DescribeSupervisor,
    SupervisorDescription,
)
from tests.actors_kit import PATIENCE_S
from tests.system.supervisor_rig import SupervisorRig


def parent_of(pid: int) -> int:
    """The parent of a process."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    return os.path.exists(f"/proc/{pid}")


def watch_end(pid: int) -> Awaitable[None]:
    """Wait for the end of a process that need not be our child."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    descriptor = os.pidfd_open(pid)

    def readable() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, readable)
    return asyncio.wait_for(ended, PATIENCE_S)


async def until_no_workers(rig: SupervisorRig) -> None:
    """Wait until the supervisor has reaped every worker."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            description = await rig.manager.ask("fw_supervisor", DescribeSupervisor(), SupervisorDescription)
            if not any(one.workers for one in description.templates):
                return
