"""Which file system a folder is on, how much is free there, and whether it can hold a swap file.

Source: swapon(8), "Files with holes" and "Btrfs"; proc_pid_mountinfo(5).
"""

from __future__ import annotations

import os
from pathlib import Path

_MOUNTINFO = Path("/proc/self/mountinfo")

_UNFIT = {
    "tmpfs": "is memory itself",
    "ramfs": "is memory itself",
    "overlay": "is layered (a container's own files): the kernel cannot swap to it",
    "btrfs": "copies on write: the kernel swaps only to files that are marked not to (chattr +C)",
    "bcachefs": "copies on write: the kernel cannot swap to it",
    "zfs": "copies on write: the kernel cannot swap to it",
    "nfs": "is on the network",
    "nfs4": "is on the network",
    "cifs": "is on the network",
    "9p": "is shared from a host",
    "virtiofs": "is shared from a host",
    "squashfs": "is read-only",
    "iso9660": "is read-only",
}


def why_not_for_swap(folder: Path) -> str:
    """In words, why no swap file can be in this folder; empty if one can."""
    kind = type_of(folder)
    reason = _UNFIT.get(kind) or ("is a FUSE file system" if kind.startswith("fuse") else "")
    if not reason:
        return ""
    return f"its file system ({kind}) {reason}; put the swap file on ext4 or xfs"


def free_bytes(folder: Path) -> int:
    """What this user may still write there."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def type_of(folder: Path) -> str:
    """The type of the file system the folder is on ("ext4"), or "" if it cannot be told."""
    device = folder.stat().st_dev
    numbers = f"{os.major(device)}:{os.minor(device)}"
    return type_from_mountinfo(_MOUNTINFO.read_text(), numbers, str(folder.resolve()))


def type_from_mountinfo(text: str, device: str, path: str) -> str:
    """The type of the mount with this device ("254:1") or else, as btrfs has devices of its own, the nearest above."""
    nearest, kind = "", ""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        mount_point = fields[4].replace("\\040", " ")
        if fields[2] == device:
            return after.split()[0]
        above = path == mount_point or path.startswith(mount_point.rstrip("/") + "/")
        if above and len(mount_point) >= len(nearest):
            nearest, kind = mount_point, after.split()[0]
    return kind
