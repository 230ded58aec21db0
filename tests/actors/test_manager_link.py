"""What waits for the ExecutionManager, and what gives way when too much does."""

from __future__ import annotations

import asyncio
import socket

import pytest

from actorfaas import logs
from actorfaas.actors import manager_link
from actorfaas.actors.manager_link import ManagerLink
from actorfaas.messages import Message, TaskFinished, TopicDemand, TopicUsage, WorkerReported
from tests.actors_kit import FakePeer, Kit


def reported(number: int) -> WorkerReported:
    return WorkerReported(f"w{number}", "f@1", number, "fork")


def finished(task: str, payload: bytes) -> TaskFinished:
    return TaskFinished("w", task, "x", "A", 1, "", "fork", 0, 0, 0, len(payload), payload)


async def arrived(kit: Kit, link: ManagerLink, count: int) -> list[Message]:
    """Connect a manager to the link; what it hears, in order."""
    queue, manager = await kit.fake("queue"), await kit.fake("manager")
    ours, theirs = socket.socketpair()
    manager.adopt(theirs, "local_queue")
    link.connected(queue.adopt(ours, "execution_manager"))
    return await manager.until(lambda: _all(manager, count), f"{count} messages")


def _all(manager: FakePeer, count: int) -> list[Message] | None:
    return [message for message, _ in manager.messages] if len(manager.messages) >= count else None


async def test_facts_wait_in_order_and_what_repeats_itself_does_not(kit: Kit) -> None:
    link = ManagerLink(logs.get("test"))
    link.tell(reported(1))
    link.tell(TopicDemand("f@1", 1, 0, 0))
    link.tell(TopicUsage("f@1", 1, 1, 0, 1, 0, 1, 0))
    link.tell(reported(2))
    assert await arrived(kit, link, 2) == [reported(1), reported(2)]


async def test_the_oldest_facts_give_way(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager_link, "FACTS_LIMIT", 3)
    link = ManagerLink(logs.get("test"))
    for number in range(5):
        link.tell(reported(number))
    assert await arrived(kit, link, 3) == [reported(2), reported(3), reported(4)]


async def test_payloads_are_bounded_by_size(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager_link, "PAYLOADS_LIMIT_BYTES", 10)
    link = ManagerLink(logs.get("test"))
    link.tell(finished("a", b"123456"))
    link.tell(reported(1))
    link.tell(finished("b", b"12345"))
    assert await arrived(kit, link, 2) == [reported(1), finished("b", b"12345")]


async def test_only_the_newest_connection_counts(kit: Kit) -> None:
    link = ManagerLink(logs.get("test"))
    queue = await kit.fake("queue")
    ours, theirs = socket.socketpair()
    first = queue.adopt(ours, "execution_manager")
    link.connected(first)
    link.disconnected(first)
    link.tell(reported(1))
    manager = await kit.fake("second manager")
    ours2, theirs2 = socket.socketpair()
    manager.adopt(theirs2, "local_queue")
    link.connected(queue.adopt(ours2, "execution_manager"))
    link.disconnected(first)  # told late
    link.tell(reported(2))
    seen = await manager.until(lambda: _all(manager, 2), "both")
    assert seen == [reported(1), reported(2)]
    theirs.close()
    await asyncio.sleep(0)
