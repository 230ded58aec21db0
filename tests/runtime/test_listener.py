"""Who is let in: only who is trusted, only with a Hello of our protocol, only in time."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from pathlib import Path

import pytest
import structlog

from actorfaas import wire
from actorfaas.errors import ConfigError
from actorfaas.messages import DescribeQueue, Hello, KvGet, KvValue, Message
from actorfaas.runtime.channel import Connection, Credentials
from actorfaas.runtime.listener import Acceptor, Listener, listening_socket
from actorfaas.runtime.peers import PeerLink
from tests.actors_kit import FakePeer, Kit
from tests.runtime.ends import LOG, RecordingOwner, trusting

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
    listener = Listener(path, door._tasks, LOG, 1.0, trusting, lambda connection, name: None, hello_timeout_s=0.02)
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


# --- strangers --------------------------------------------------------------------------------------------------------


async def test_a_process_without_descriptors_waits_instead_of_trying_all_the_time(short_dir: Path) -> None:
    accepted: asyncio.Queue[socket.socket] = asyncio.Queue()
    acceptor = Acceptor(short_dir / "l.sock", socket.SOCK_STREAM, LOG, trusting, accepted.put_nowait)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with structlog.testing.capture_logs() as logged, socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(short_dir / "l.sock"))
        os.close(lowest_free := os.dup(0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
        try:
            for _ in range(50):
                await asyncio.sleep(0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert [one["event"] for one in logged] == ["cannot accept a connection"]
        (await asyncio.wait_for(accepted.get(), 10)).close()
    acceptor.close()


class Door:
    """A listener whose trust is scripted: one answer a look, and who was let in."""

    def __init__(self, path: Path, host: FakePeer, *answers: bool) -> None:
        self.path = path
        self.answers = list(answers)
        self.asked: list[Credentials] = []
        self.looked = asyncio.Event()
        self.welcomed: asyncio.Queue[str] = asyncio.Queue()
        self.listener = Listener(path, host._tasks, LOG, 1.0, self._trusts, self._welcome)

    def _trusts(self, credentials: Credentials) -> bool:
        self.asked.append(credentials)
        self.looked.set()
        return self.answers.pop(0)

    def _welcome(self, connection: Connection, name: str) -> None:
        self.welcomed.put_nowait(name)
        connection.abort()

    async def call(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        writer.write(frame(HELLO))
        return reader, writer


async def test_who_stays_a_stranger_is_turned_away(short_dir: Path, kit: Kit) -> None:
    door = Door(short_dir / "l.sock", await kit.fake("host"), False, False)
    assert await hung_up(*await door.call())
    assert door.asked == [Credentials(os.getpid(), os.geteuid(), os.getegid())] * 2
    assert door.welcomed.empty()
    door.listener.close()


async def test_who_is_known_at_the_second_look_is_let_in(short_dir: Path, kit: Kit) -> None:
    door = Door(short_dir / "l.sock", await kit.fake("host"), False, True)
    reader, writer = await door.call()
    assert await asyncio.wait_for(door.welcomed.get(), 10) == "caller"
    assert await hung_up(reader, writer)
    door.listener.close()


async def test_strangers_go_with_the_listener(short_dir: Path, kit: Kit) -> None:
    door = Door(short_dir / "l.sock", await kit.fake("host"), False)
    reader, writer = await door.call()
    await asyncio.wait_for(door.looked.wait(), 10)
    door.listener.close()
    assert await hung_up(reader, writer)


async def test_an_actor_says_nothing_to_a_stranger_that_listens_in_a_peers_place(short_dir: Path) -> None:
    path = short_dir / "peer.sock"
    met: asyncio.Queue[Credentials] = asyncio.Queue()

    def trusts(credentials: Credentials) -> bool:
        met.put_nowait(credentials)
        return False

    with listening_socket(path) as impostor:
        link = PeerLink(
            "peer",
            path,
            caller="subject",
            owner=RecordingOwner(),
            log=LOG,
            ask_timeout_s=1.0,
            trusts=trusts,
            connected=lambda connection: None,
        )
        running = asyncio.create_task(link.run())
        assert (await asyncio.wait_for(met.get(), 10)).pid == os.getpid()
        await asyncio.wait_for(met.get(), 10)  # it tries again
        assert not link.is_up
        with impostor.accept()[0] as caller:
            assert caller.recv(1000) == b""
        running.cancel()
