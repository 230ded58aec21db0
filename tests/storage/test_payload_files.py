"""Large payloads as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actorfaas.storage.payload_files import PayloadFiles


@pytest.fixture(params=[True, False], ids=["durable", "not durable"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> PayloadFiles:
    made = PayloadFiles(tmp_path / "payloads", durable=request.param)
    made.open()
    made.open()
    return made


def on_disk(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


async def test_what_is_saved_can_be_loaded_until_removed(files: PayloadFiles, tmp_path: Path) -> None:
    name = await files.save(b"x" * 10_000)
    other = await files.save(b"")
    assert name != other
    assert await files.load(name) == b"x" * 10_000
    await files.remove([name, name, "pay_never0"])
    assert on_disk(tmp_path) == {other}
    with pytest.raises(FileNotFoundError):
        await files.load(name)


async def test_a_failed_save_leaves_nothing(
    files: PayloadFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        await files.save(b"x")
    assert on_disk(tmp_path) == set()


async def test_orphans_are_collected_also_unfinished_ones(files: PayloadFiles, tmp_path: Path) -> None:
    kept, orphan = await files.save(b"kept"), await files.save(b"orphan")
    unfinished = tmp_path / "payloads" / "0" / "pay_0.part"
    unfinished.write_bytes(b"half")
    assert files.collect_orphans({kept}) == 2
    assert on_disk(tmp_path) == {kept}
    assert orphan != kept


async def test_lines_are_written_as_they_come(files: PayloadFiles, tmp_path: Path) -> None:
    name, count, size_bytes = files.save_lines(iter([b"1", b"two"]))
    assert (count, size_bytes) == (2, 6)
    assert await files.load(name) == b"1\ntwo\n"

    def broken() -> Iterator[bytes]:
        yield b"1"
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        files.save_lines(broken())
    assert on_disk(tmp_path) == {name}
