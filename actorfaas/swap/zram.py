"""A compressed piece of memory as swap (zram), used before the swap file because of its higher priority.

Worth it for instances that are idle for minutes: a fault costs microseconds instead of a disk read. Ours is told from
others' by a file in the run folder that names the device. Source: Documentation/admin-guide/blockdev/zram.rst.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from pathlib import Path

from actorfaas.errors import SwapUnavailable
from actorfaas.swap import swapfile, swaps
from actorfaas.swap.swaps import SwapArea

_CONTROL = Path("/sys/class/zram-control")
_BLOCK = Path("/sys/block")
_MODPROBE_TIMEOUT_S = 10.0


def why_not() -> str:
    """In words, why there can be no zram here; empty if there can. Loads nothing."""
    if os.geteuid() != 0:
        return "only root can make a zram device"
    if _CONTROL.is_dir():
        return ""
    release = os.uname().release
    folder = Path("/lib/modules") / release
    if not folder.is_dir():
        return f"this kernel ({release}) has no zram and no modules to load it from"
    if not any(folder.glob("kernel/drivers/block/zram/zram.ko*")):
        return (
            f"the kernel modules of {release} have no zram (Debian and Ubuntu: in linux-modules-extra or linux-image)"
        )
    if shutil.which("modprobe") is None:
        return "there is no modprobe to load the zram module (package kmod)"
    return ""


def turn_on(
    size_bytes: int, priority: int, marker: Path, algorithm: str = "lz4", label: str = swaps.NODE_LABEL
) -> SwapArea:
    """A device of `size_bytes` in use as swap; one of ours that is in use already is taken as it is.

    `marker` is the file that remembers which device is ours. Another algorithm is taken if this one is not there.
    Raises SwapUnavailable.
    """
    if (mine := find(marker)) is not None:
        return mine
    if reason := why_not():
        raise SwapUnavailable(reason)
    try:
        device = _new_device(size_bytes, algorithm)
        marker.write_text(device.name)
    except OSError as error:
        raise SwapUnavailable(f"no zram device can be made: {error.strerror or error}") from error
    try:
        with open(device, "r+b", buffering=0) as file:
            file.write(swaps.build_header(size_bytes, label, uuid.uuid4().bytes))
        swapfile.turn_on(device, priority)
        area = swaps.find_active(device)
    except (OSError, SwapUnavailable) as error:
        _remove_device(device, marker)
        raise SwapUnavailable(f"{device} cannot be used as swap: {error}") from error
    if area is None:
        raise SwapUnavailable(f"{device} was turned on, but is not listed as swap")
    return area


def find(marker: Path) -> SwapArea | None:
    """Our device, if it is in use."""
    device = _marked(marker)
    return swaps.find_active(device) if device else None


def label_of(marker: Path) -> str:
    """Who made our device (see `swaps`); "" if there is none."""
    device = _marked(marker)
    header = swapfile.read_header(device) if device else None
    return header.label if header else ""


def turn_off(marker: Path, timeout_s: float) -> None:
    """Read everything back and give the device up; nothing if there is none of ours. Raises SwapUnavailable."""
    device = _marked(marker)
    if device is None:
        return
    swapfile.turn_off(device, timeout_s)
    _remove_device(device, marker)


def _marked(marker: Path) -> Path | None:
    try:
        name = marker.read_text().strip()
    except FileNotFoundError:
        return None
    device = Path("/dev") / name
    if not name.startswith("zram") or not device.exists():  # of a boot before
        marker.unlink(missing_ok=True)
        return None
    return device


def _new_device(size_bytes: int, algorithm: str) -> Path:
    if not _CONTROL.is_dir():
        _load_module()
    number = int((_CONTROL / "hot_add").read_text())  # reading it makes a device
    block = _BLOCK / f"zram{number}"
    if algorithm in (block / "comp_algorithm").read_text().replace("[", "").replace("]", "").split():
        (block / "comp_algorithm").write_text(algorithm)
    (block / "disksize").write_text(str(size_bytes))
    return Path("/dev") / block.name


def _load_module() -> None:
    # num_devices=0 would be ideal, but is refused by some versions; the one made at load stays unused.
    done = subprocess.run(
        ["modprobe", "zram"], capture_output=True, text=True, timeout=_MODPROBE_TIMEOUT_S, check=False
    )
    if done.returncode or not _CONTROL.is_dir():
        raise SwapUnavailable(f"the zram module cannot be loaded: {done.stderr.strip() or 'no reason given'}")


def _remove_device(device: Path, marker: Path) -> None:
    (_BLOCK / device.name / "reset").write_text("1")
    (_CONTROL / "hot_remove").write_text(device.name.removeprefix("zram"))
    marker.unlink(missing_ok=True)
