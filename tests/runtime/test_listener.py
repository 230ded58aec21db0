"""Who is let in: only our user, only with a Hello of our protocol, only in time."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from actorfaas import wire
from actorfaas.errors import ConfigError
from actorfaas.messages import DescribeQueue, Hello, KvGet, KvValue, Message
from actorfaas.runtime.channel import Credentials, is_trusted
from actorfaas.runtime.listener import Listener, listening_socket
from tests.actors_kit import Kit
from tests.runtime.ends import LOG

HELLO = Hello(actor="caller", pid=1, protocol=wire.PROTOCOL_VERSION)


def frame(message: Message, kind: int = wire.Kind.TELL, ask_id: int = 0) -> bytes:
    return b"".join(wire.encode(message, kind, ask_id))


async def call(kit: Kit, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the fake peer `door` and send bytes."""
    reader, writer = await asyncio.open_unix_connection(str(kit.settings.socket_path("door")))
    writer.write(data)
    return reader, writer


async def hung_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    async with asyncio.timeout(10):
        try:
            ended = await reader.read() == b""
        except ConnectionError:
            ended = True
    writer.close()
    return ended


async def test_a_caller_is_known_by_its_hello_and_its_credentials(kit: Kit) -> None:
    door = await kit.fake("door")
    reader, writer = await call(kit, frame(HELLO) + frame(DescribeQueue()))
    await door.expect(DescribeQueue)
    connection = await door.expect_caller("caller")
    assert connection.credentials == Credentials(os.getpid(), os.geteuid(), os.getegid())
    assert not connection.is_outgoing
    connection.tell(KvGet(namespace="", key="k"))
    assert wire.decode_one(await reader.read(1000)).message == KvGet(namespace="", key="k")
    writer.close()


@pytest.mark.parametrize(
    "data",
    [
        frame(DescribeQueue()),
        frame(HELLO, wire.Kind.ASK, 1),
        frame(Hello(actor="caller", pid=1, protocol=wire.PROTOCOL_VERSION + 1)),
        b"\xff" * 64,
    ],
    ids=["no hello", "hello as an ask", "other protocol", "garbage"],
)
async def test_a_wrong_introduction_ends_that_connection_only(kit: Kit, data: bytes) -> None:
    door = await kit.fake("door")
    friend = await kit.fake("friend", peers=("door",))
    assert await hung_up(*await call(kit, data))
    door.answer(KvGet, KvValue(version=1, payload=b""))
    assert await friend.ask("door", KvGet(namespace="", key=""), KvValue)
    assert list(door.callers) == ["friend"]


async def test_a_second_hello_is_just_a_message(kit: Kit) -> None:
    door = await kit.fake("door")
    _, writer = await call(kit, frame(HELLO) + frame(Hello(actor="other", pid=1, protocol=1)))
    await door.expect(Hello)
    assert list(door.callers) == ["caller"]
    writer.close()


async def test_garbage_after_the_hello_ends_the_connection_and_is_told(kit: Kit) -> None:
    door = await kit.fake("door")
    reader, writer = await call(kit, frame(HELLO) + b"\x00" * 7 + b"\x09 nonsense")
    assert await hung_up(reader, writer)
    await door.until(lambda: door.gone or None, "the end of the connection")
    assert door.gone == ["caller"]


async def test_a_caller_without_a_hello_is_disconnected_in_time(short_dir: Path, kit: Kit) -> None:
    door = await kit.fake("door")
    path = short_dir / "l.sock"
    listener = Listener(path, door._tasks, LOG, 1.0, lambda connection, name: None, hello_timeout_s=0.02)
    reader, writer = await asyncio.open_unix_connection(str(path))
    assert await hung_up(reader, writer)
    listener.close()
    assert not path.exists()


async def test_a_stale_socket_is_replaced_and_modes_are_private(short_dir: Path) -> None:
    path = short_dir / "run" / "a.sock"
    listening_socket(path).close()  # leaves the file, as a killed process would
    assert path.exists()
    with listening_socket(path):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_path_that_is_too_long_is_a_setting_to_change(short_dir: Path) -> None:
    with pytest.raises(ConfigError, match="set run_dir to a shorter path"):
        listening_socket(short_dir / ("x" * 100) / "a.sock")


def test_only_our_user_and_root_are_trusted() -> None:
    assert is_trusted(Credentials(1, 1000, 1000), own_uid=1000)
    assert is_trusted(Credentials(1, 0, 0), own_uid=1000)
    assert not is_trusted(Credentials(1, 1001, 1000), own_uid=1000)
    assert not is_trusted(Credentials(1, 1000, 1000), own_uid=0)
