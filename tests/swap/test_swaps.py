"""/proc/swaps, swap headers, file systems."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from actorfaas.errors import SwapUnavailable
from actorfaas.swap import filesystem, swapfile, swaps
from actorfaas.swap.ranges import PAGE_SIZE
from actorfaas.swap.swaps import SwapArea, build_header, parse_header, parse_swaps

MIB = 1 << 20

SWAPS = """\
Filename				Type		Size		Used		Priority
/dev/zram0                              partition	65532		128		100
/var/lib/my\\040swap\\134x                file		1048572		0		-2
/old\\040(deleted)                        file		4		0		5
"""


def test_areas() -> None:
    assert parse_swaps(SWAPS) == [
        SwapArea("/dev/zram0", "partition", 65532 * 1024, 128 * 1024, 100),
        SwapArea("/var/lib/my swap\\x", "file", 1048572 * 1024, 0, -2),
        SwapArea("/old", "file", 4096, 0, 5),
    ]
    assert parse_swaps(SWAPS.splitlines()[0]) == []


def test_a_header_says_whose_file_it_is() -> None:
    page = build_header(64 * MIB, swaps.NODE_LABEL, b"u" * 16)
    assert len(page) == PAGE_SIZE
    header = parse_header(page)
    assert header is not None
    assert (header.pages, header.label, header.uuid, header.is_ours) == (
        64 * MIB // PAGE_SIZE,
        swaps.NODE_LABEL,
        b"u" * 16,
        True,
    )
    other = parse_header(build_header(64 * MIB, "debian", b"u" * 16))
    assert other is not None
    assert not other.is_ours


def test_what_is_no_header() -> None:
    good = build_header(64 * MIB, "x", bytes(16))
    assert parse_header(good[:-1]) is None
    assert parse_header(good[:1024] + b"\2" + good[1025:]) is None
    assert parse_header(bytes(PAGE_SIZE)) is None
    with pytest.raises(ValueError, match="too long"):
        build_header(MIB, "a label of more than 16 bytes", bytes(16))


def test_files_are_told_what_they_are_by_other_tools_too(tmp_path: Path) -> None:
    path = tmp_path / "swap"
    swapfile.create(path, 16 * MIB, label=swaps.PERSON_LABEL, keep_free_bytes=0)
    try:
        told = subprocess.run(["file", "-b", path], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("the program `file` is not installed")
    assert "swap file" in told
    assert f"label: {swaps.PERSON_LABEL}" in told.replace("LABEL=", "label: ")


def test_a_made_file_has_no_holes_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "below" / "swap"
    swapfile.create(path, 16 * MIB, label=swaps.NODE_LABEL, keep_free_bytes=0)
    status = path.stat()
    assert status.st_size == 16 * MIB
    assert status.st_blocks * 512 >= 16 * MIB
    assert status.st_mode & 0o777 == 0o600
    assert sorted(p.name for p in path.parent.iterdir()) == ["swap"]
    swapfile.create(path, 17 * MIB, label=swaps.NODE_LABEL, keep_free_bytes=0)  # ours: replaced
    assert path.stat().st_size == 17 * MIB
    swapfile.remove(path)
    assert not path.exists()
    swapfile.remove(path)


@pytest.mark.parametrize("contents", [b"", b"precious", build_header(16 * MIB, "debian", bytes(16))])
def test_a_file_that_is_not_ours_is_never_touched(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "swap"
    path.write_bytes(contents)
    attempts: list[Callable[[], None]] = [
        lambda: swapfile.create(path, 16 * MIB, label=swaps.NODE_LABEL, keep_free_bytes=0),
        lambda: swapfile.remove(path),
    ]
    for attempt in attempts:
        with pytest.raises(SwapUnavailable, match="not a swap file of actorfaas"):
            attempt()
    assert path.read_bytes() == contents


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "swap"
    real.write_bytes(build_header(16 * MIB, swaps.NODE_LABEL, bytes(16)))
    link.symlink_to(real)
    with pytest.raises(SwapUnavailable, match="not a swap file"):
        swapfile.create(link, 16 * MIB, label=swaps.NODE_LABEL, keep_free_bytes=0)
    assert real.exists()


def test_refusals_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "swap"
    with pytest.raises(SwapUnavailable, match="too small"):
        swapfile.create(path, MIB, label=swaps.NODE_LABEL)
    with pytest.raises(SwapUnavailable, match="make room"):
        swapfile.create(path, 16 * MIB, label=swaps.NODE_LABEL, keep_free_bytes=1 << 62)
    monkeypatch.setattr(swapfile, "why_not_for_swap", lambda _: "its file system (overlay) is layered")
    with pytest.raises(SwapUnavailable, match="overlay"):
        swapfile.create(path, 16 * MIB, label=swaps.NODE_LABEL, keep_free_bytes=0)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SwapUnavailable, match="only root"):
        swapfile.ensure(path, 16 * MIB, priority=1)
    assert not path.exists()


def test_no_room_for_what_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    area = SwapArea("/swap", "file", 1 << 50, 1 << 50, 1)
    monkeypatch.setattr(swaps, "active", lambda: [area])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SwapUnavailable, match="stop the workers"):
        swapfile.turn_off(Path("/swap"), timeout_s=1)


def test_turning_off_what_is_not_on_does_nothing(tmp_path: Path) -> None:
    swapfile.turn_off(tmp_path / "swap", timeout_s=0)


MOUNTS = """\
24 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
25 24 0:21 / /dev/shm rw,nosuid - tmpfs tmpfs rw
26 24 0:33 /@home /home/my\\040data rw - btrfs /dev/vdb rw
27 24 0:35 / /mnt/sshfs rw - fuse.sshfs host:/ rw
"""


@pytest.mark.parametrize(
    ("device", "path", "kind"),
    [
        ("254:1", "/var/lib", "ext4"),
        ("0:21", "/dev/shm/x", "tmpfs"),
        ("0:99", "/home/my data/x", "btrfs"),  # a subvolume has a device number of its own
        ("0:99", "/home/my database", "ext4"),
    ],
)
def test_the_type_of_a_file_system(device: str, path: str, kind: str) -> None:
    assert filesystem.type_from_mountinfo(MOUNTS, device, path) == kind


@pytest.mark.parametrize(
    ("kind", "fit"),
    [("ext4", True), ("xfs", True), ("tmpfs", False), ("overlay", False), ("btrfs", False), ("fuse.sshfs", False)],
)
def test_which_file_systems_can_swap(kind: str, fit: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "type_of", lambda _: kind)
    reason = filesystem.why_not_for_swap(Path("/"))
    assert (reason == "") is fit
    assert fit or kind in reason
