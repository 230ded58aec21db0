"""Where a node lives: folders, lock and HTTP socket, and what a person is told when they cannot be had."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from actorfaas.config import Settings
from actorfaas.errors import ConfigError
from actorfaas.runtime import places
from actorfaas.runtime.places import NodeLock, listening_http_socket, make_places, token_key

ACTORS = ("data_layer", "execution_manager")


def test_folders_are_made_private(short_dir: Path) -> None:
    settings = make_places(Settings(data_dir=short_dir / "a" / "b"), ACTORS)
    assert settings.run_path == short_dir / "a" / "b" / "run"
    assert settings.data_dir.stat().st_mode & 0o777 == 0o700
    settings.run_path.chmod(0o755)
    make_places(settings, ACTORS)
    assert settings.run_path.stat().st_mode & 0o777 == 0o700


def test_the_key_of_tokens_is_made_once_and_private(tmp_path: Path) -> None:
    (tmp_path / "token.new").write_bytes(b"half of one, by a node that was killed")
    key = token_key(tmp_path)
    assert len(key) == places.TOKEN_KEY_BYTES
    assert token_key(tmp_path) == key
    assert [path.name for path in tmp_path.iterdir()] == ["token.key"]
    assert (tmp_path / "token.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "other").mkdir()
    assert token_key(tmp_path / "other") != key


def test_a_damaged_key_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "token.key").write_bytes(b"short")
    with pytest.raises(ConfigError, match="is damaged"):
        token_key(tmp_path)
    assert (tmp_path / "token.key").read_bytes() == b"short"


def test_a_long_data_folder_gets_a_short_run_folder(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_short_run_dir", lambda data_dir: short_dir / "short")
    settings = make_places(Settings(data_dir=short_dir / ("x" * 80)), ACTORS)
    assert settings.run_path == short_dir / "short"
    assert settings.run_path.is_dir()


def test_the_short_run_folder_belongs_to_the_data_folder() -> None:
    one, again, other = (places._short_run_dir(Path(name)) for name in ("/data/a", "/data/a", "/data/b"))
    assert one == again != other
    assert len(os.fsencode(one)) < 60


def test_a_long_run_folder_that_was_chosen_is_a_mistake(short_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"run_dir .* is too long for Unix sockets; \d+ bytes are possible"):
        make_places(Settings(data_dir=short_dir, run_dir=short_dir / ("x" * 80)), ACTORS)


def test_a_run_folder_that_is_a_link_is_not_trusted(short_dir: Path) -> None:
    (short_dir / "elsewhere").mkdir()
    (short_dir / "run").symlink_to(short_dir / "elsewhere")
    with pytest.raises(ConfigError, match="not a folder of this user"):
        make_places(Settings(data_dir=short_dir), ACTORS)


def test_a_folder_that_cannot_be_made_is_named(short_dir: Path) -> None:
    (short_dir / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file/data cannot be created: Not a directory; set data_dir"):
        make_places(Settings(data_dir=short_dir / "file" / "data"), ACTORS)


async def test_the_lock_names_the_process_that_has_it_and_is_free_afterwards(short_dir: Path) -> None:
    settings = make_places(Settings(data_dir=short_dir), ACTORS)
    async with NodeLock(settings):
        with pytest.raises(ConfigError, match=rf"a node already runs on .* \(process {os.getpid()}\)"):
            await NodeLock(settings).__aenter__()
    async with NodeLock(settings) as lock:
        assert len(lock.fds) == 2
        assert not any(map(os.get_inheritable, lock.fds))


async def test_two_data_folders_cannot_share_a_run_folder(short_dir: Path) -> None:
    one, other = (Settings(data_dir=short_dir / name, run_dir=short_dir / "run") for name in ("a", "b"))
    make_places(one, ACTORS)
    make_places(other, ACTORS)
    async with NodeLock(one):
        with pytest.raises(ConfigError, match=r"a node already runs on .*run"):
            await NodeLock(other).__aenter__()
        # what it had taken before it failed is free again
        async with NodeLock(Settings(data_dir=short_dir / "b", run_dir=short_dir / "b")):
            pass


async def test_the_remains_of_a_dead_node_keep_the_lock_until_they_are_gone(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_places(Settings(data_dir=short_dir), ACTORS)
    python = asyncio.create_subprocess_exec
    async with NodeLock(settings) as lock:
        waiting = "import sys; sys.stdin.read()"
        remains = await python(sys.executable, "-c", waiting, stdin=subprocess.PIPE, pass_fds=lock.fds)
    dead = await python(sys.executable, "-c", "")
    await dead.wait()
    for name in ("node.lock", "run/node.lock"):
        (short_dir / name).write_text(f"{dead.pid}\n")
    monkeypatch.setattr(places, "REMAINS_TIMEOUT_S", 0.05)
    with pytest.raises(ConfigError, match=rf"processes of a node that was killed \(it was process {dead.pid}\)"):
        await NodeLock(settings).__aenter__()
    await remains.communicate(b"")
    async with NodeLock(settings):
        assert (short_dir / "node.lock").read_text() == f"{os.getpid()}\n"


def test_port_0_picks_a_free_one() -> None:
    with listening_http_socket("127.0.0.1", 0) as sock:
        with socket.create_connection(sock.getsockname()):
            pass
        with pytest.raises(ConfigError, match=r"port \d+ on 127\.0\.0\.1 is in use; choose another"):
            listening_http_socket(*sock.getsockname())


def test_an_address_of_another_machine_is_said_so() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1 port 0: Cannot assign requested address"):
        listening_http_socket("192.0.2.1", 0)


def test_a_host_that_does_not_exist_is_said_so() -> None:
    with pytest.raises(ConfigError, match="host 'not a host' is not an address of this machine"):
        listening_http_socket("not a host", 0)
