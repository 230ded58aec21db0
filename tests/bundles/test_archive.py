"""Extraction of archives: what is accepted, what is refused, and that nothing half-made stays behind."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from actorfaas.bundles.archive import ArchiveLimits, extract, sha256_of
from actorfaas.errors import DeployError


def make_zip(path: Path, entries: list[tuple[str | zipfile.ZipInfo, str | bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries:
            opened.writestr(name, content)
    return path


def with_mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def refusal(tmp_path: Path, archive: Path, limits: ArchiveLimits | None = None) -> str:
    """Extract, expect a refusal, check that nothing is left, and return what was said."""
    target = tmp_path / "out" / "bundle"
    with pytest.raises(DeployError) as caught:
        extract(archive, target, limits or ArchiveLimits())
    assert list((tmp_path / "out").iterdir()) == []
    return str(caught.value)


def test_files_and_folders_are_extracted_with_their_content(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [("app.py", "x = 1\n"), ("data/", b""), ("pkg/data.bin", b"\x00\xff")])
    extract(archive, tmp_path / "bundle")
    assert (tmp_path / "bundle" / "app.py").read_text() == "x = 1\n"
    assert (tmp_path / "bundle" / "pkg" / "data.bin").read_bytes() == b"\x00\xff"
    assert (tmp_path / "bundle" / "data").is_dir()


def test_files_are_read_only_and_keep_only_the_executable_bit(tmp_path: Path) -> None:
    tool = with_mode("tool", stat.S_IFREG | stat.S_ISUID | 0o777)
    extract(make_zip(tmp_path / "a.zip", [("app.py", ""), (tool, "#!/bin/sh\n")]), tmp_path / "bundle")
    assert stat.S_IMODE((tmp_path / "bundle" / "app.py").stat().st_mode) == 0o444
    assert stat.S_IMODE((tmp_path / "bundle" / "tool").stat().st_mode) == 0o555


@pytest.mark.parametrize(
    "name", ["../evil.py", "/etc/evil", "a/../../evil", "a/./b", "a//b", "..", "c:evil", "a\\..\\evil", "./app.py"]
)
def test_a_name_that_is_not_a_plain_inner_path_is_refused(tmp_path: Path, name: str) -> None:
    message = refusal(tmp_path, make_zip(tmp_path / "a.zip", [("app.py", ""), (name, "boo")]))
    assert "in the archive" in message
    assert not (tmp_path / "evil.py").exists()


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [(with_mode("link", stat.S_IFLNK | 0o777), "/etc/passwd")])
    assert "symbolic link" in refusal(tmp_path, archive)


def test_a_device_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [(with_mode("dev", stat.S_IFCHR | 0o666), "")])
    assert "special file" in refusal(tmp_path, archive)


def test_too_many_entries_are_refused_before_any_is_written(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [(f"f{number}", "") for number in range(6)])
    assert "at most 5" in refusal(tmp_path, archive, ArchiveLimits(max_files=5))


def test_a_zip_bomb_is_refused_by_what_it_unpacks_to(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [("one", b"\0" * 3_000_000), ("two", b"\0" * 3_000_000)])
    assert archive.stat().st_size < 20_000
    assert "more than 5000000 bytes" in refusal(tmp_path, archive, ArchiveLimits(max_total_bytes=5_000_000))


def test_a_size_that_lies_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [("big", b"\0" * 1_000_000)])
    lied = archive.read_bytes().replace(struct.pack("<I", 1_000_000), struct.pack("<I", 10))
    archive.write_bytes(lied)
    refusal(tmp_path, archive, ArchiveLimits(max_total_bytes=1000))


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = make_zip(tmp_path / "a.zip", [("app.py", "1"), ("app.py", "2")])
    assert "twice" in refusal(tmp_path, archive)


@pytest.mark.parametrize("entries", [[("a", "1"), ("a/b", "2")], [("a/b", "2"), ("a", "1")]])
def test_a_name_that_is_file_and_folder_is_refused(tmp_path: Path, entries: list[tuple[str, str]]) -> None:
    archive = make_zip(tmp_path / "a.zip", [(name, content) for name, content in entries])
    assert "both as a file and as a folder" in refusal(tmp_path, archive)


def test_what_is_not_a_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"this is no archive")
    assert "not a readable zip" in refusal(tmp_path, tmp_path / "a.zip")


def test_damaged_content_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [("app.py", b"print('hello')" * 50)])
    damaged = bytearray(archive.read_bytes())
    damaged[45:55] = b"\xff" * 10
    archive.write_bytes(damaged)
    assert "not a readable zip" in refusal(tmp_path, archive)


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [("app.py", "x")])
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    assert "encrypted" in refusal(tmp_path, archive)


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_missing_archive_is_a_deploy_error(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"gone\.zip cannot be read"):
        sha256_of(tmp_path / "gone.zip")
