"""Swap files and zram devices: made, used, found again, given up."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from actorfaas.errors import SwapUnavailable
from actorfaas.swap import swapfile, swaps, zram
from actorfaas.swap.ranges import PAGE_SIZE
from tests.system.swap.kit import MIB


def test_a_swap_file_is_made_used_found_again_and_removed(folder: Path) -> None:
    path = folder / "swap"
    made = swapfile.ensure(path, 32 * MIB, priority=7, keep_free_bytes=0)
    try:
        assert made.how == "created"
        assert made.area.priority == 7
        assert made.area.size_bytes == 32 * MIB - PAGE_SIZE
        status = path.stat()
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert status.st_blocks * 512 >= 32 * MIB
        assert swapfile.ensure(path, 32 * MIB, priority=7, keep_free_bytes=0).how == "already on"
        with pytest.raises(SwapUnavailable, match="in use"):
            swapfile.remove(path)
        swapfile.turn_off(path, timeout_s=30)
        assert swaps.find_active(path) is None
        inode = path.stat().st_ino
        assert swapfile.ensure(path, 32 * MIB, priority=7, keep_free_bytes=0).how == "turned on again"
        assert path.stat().st_ino == inode
        swapfile.turn_off(path, timeout_s=30)
        assert swapfile.ensure(path, 48 * MIB, priority=7, keep_free_bytes=0).how == "created"
    finally:
        swapfile.turn_off(path, timeout_s=30)
        swapfile.remove(path)
    assert not path.exists()


def test_swap_that_cannot_be_is_refused(folder: Path) -> None:
    with pytest.raises(SwapUnavailable, match="too full"):
        swapfile.ensure(folder / "swap", 32 * MIB, priority=1, keep_free_bytes=1 << 60)
    with pytest.raises(SwapUnavailable, match="tmpfs"):
        swapfile.ensure(Path("/dev/shm/afaas-swap"), 32 * MIB, priority=1)
    assert list(folder.iterdir()) == []


def test_a_file_that_cannot_be_turned_on_is_not_left_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: bytes, flags: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("actorfaas.swap.syscalls.swapon", refuse)
    with pytest.raises(SwapUnavailable, match="CAP_SYS_ADMIN"):
        swapfile.ensure(folder / "swap", 32 * MIB, priority=1, keep_free_bytes=0)
    assert list(folder.iterdir()) == []


def test_turning_off_that_takes_too_long_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "swap"
    swapfile.ensure(path, 16 * MIB, priority=1, keep_free_bytes=0)
    told: list[int] = []
    try:
        with monkeypatch.context() as slow:
            slow.setattr(swapfile, "_SWAPOFF", "import time; time.sleep(600)")
            with pytest.raises(SwapUnavailable, match="stays in use"):
                swapfile.turn_off(path, timeout_s=0, progress=told.append)
        assert told
        assert swaps.find_active(path)
    finally:
        swapfile.turn_off(path, timeout_s=30)
        swapfile.remove(path)


def test_a_zram_tier_comes_and_goes(folder: Path) -> None:
    if reason := zram.why_not():
        pytest.skip(reason)
    marker = folder / "zram"
    try:
        area = zram.turn_on(32 * MIB, 2000, marker)
    except SwapUnavailable as error:
        pytest.skip(str(error))
    try:
        assert area.path.startswith("/dev/zram")
        assert area.priority == 2000
        assert zram.turn_on(32 * MIB, 2000, marker).path == area.path
    finally:
        zram.turn_off(marker, timeout_s=30)
    assert swaps.find_active(Path(area.path)) is None
    assert not Path(area.path).exists()
    zram.turn_off(marker, timeout_s=30)
