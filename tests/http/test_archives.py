"""Uploads become files named by their content, whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorfaas.http.archives import Archives
from actorfaas.http.problems import Problem


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def broken() -> AsyncIterator[bytes]:
    yield b"half"
    raise ConnectionResetError


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    made = Archives(tmp_path)
    made.prepare()
    return made


async def test_upload_is_named_by_its_content(archives: Archives, tmp_path: Path) -> None:
    stored = await archives.store(pieces(b"ab", b"", b"c"))
    assert stored.path == tmp_path / "archives" / f"{hashlib.sha256(b'abc').hexdigest()}.zip"
    assert stored.path.read_bytes() == b"abc"


async def test_the_same_content_is_one_file(archives: Archives) -> None:
    first = await archives.store(pieces(b"abc"))
    second = await archives.store(pieces(b"a", b"bc"))
    assert second.path == first.path


async def test_broken_and_empty_uploads_leave_nothing(archives: Archives, tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError):
        await archives.store(broken())
    with pytest.raises(Problem):
        await archives.store(pieces(b""))
    assert list((tmp_path / "archives").iterdir()) == []


async def test_an_upload_that_nobody_wants_is_gone(archives: Archives) -> None:
    stored = await archives.store(pieces(b"abc"))
    await archives.let_go(stored, keep=False)
    assert not stored.path.exists()


async def test_a_failed_deployment_leaves_the_file_of_an_earlier_one(archives: Archives) -> None:
    await archives.let_go(await archives.store(pieces(b"abc")), keep=True)
    again = await archives.store(pieces(b"abc"))
    await archives.let_go(again, keep=False)
    assert again.path.exists()


@pytest.mark.parametrize("wanted_by", ["first", "second", "nobody"])
@pytest.mark.parametrize("first_done", ["first", "second"])
async def test_deployments_of_the_same_content_at_once(archives: Archives, wanted_by: str, first_done: str) -> None:
    """The one that fails must not take the file away from the one that needs it, whoever came or ended first."""
    held = {"first": await archives.store(pieces(b"abc")), "second": await archives.store(pieces(b"abc"))}
    path = held["first"].path
    await archives.let_go(held.pop(first_done), keep=wanted_by == first_done)
    assert path.exists()
    last, archive = held.popitem()
    await archives.let_go(archive, keep=wanted_by == last)
    assert path.exists() == (wanted_by != "nobody")


async def test_leftovers_of_a_crash_are_removed_and_archives_kept(archives: Archives, tmp_path: Path) -> None:
    stored = await archives.store(pieces(b"abc"))
    leftover = tmp_path / "archives" / "upload_1.part"
    leftover.write_bytes(b"half")
    archives.prepare()
    assert not leftover.exists()
    assert stored.path.exists()


def test_folder_is_private(archives: Archives, tmp_path: Path) -> None:
    assert (tmp_path / "archives").stat().st_mode & 0o777 == 0o700
