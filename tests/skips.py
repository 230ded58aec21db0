"""Which tests of swapping may be skipped where skipping is watched (`ACTORFAAS_TEST_NO_SKIPS`, set by CI).

A machine that can swap and has control groups must run them: a mistake in what decides about skipping would otherwise
take the heart of the platform out of the tests without a word. So this looks at the machine in its own, coarser way.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest

from actorfaas.swap import filesystem

_CAP_SYS_ADMIN = 21
_MARKS = ("swap", "vm")
_KNOWN = re.compile(
    r"this kernel |v1 has no rule |this machine has swap of its own|zram|"
    r"no Python of this version that an ordinary user may run"
)
"""What one machine has and another has not, whoever runs the tests."""


def is_watched() -> bool:
    """Whether skips are failures here."""
    return bool(os.environ.get("ACTORFAAS_TEST_NO_SKIPS"))


def not_to_be_skipped(item: pytest.Item, reason: str) -> str:
    """In words, why this test should have run; empty if it may be skipped for that reason."""
    if not any(item.get_closest_marker(name) for name in _MARKS) or _KNOWN.search(reason) or not can_swap():
        return ""
    return f"skipped ({reason}), but this machine can swap and has control groups, and skips are watched"


def can_swap() -> bool:
    """Root, a file system for the swap file, and control groups that count memory."""
    folder = Path(os.environ.get("ACTORFAAS_TEST_SWAP_DIR") or tempfile.gettempdir())
    return _is_root() and _has_memory_groups() and filesystem.type_of(folder) in ("ext4", "xfs", "btrfs")


def _is_root() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return os.geteuid() == 0 and effective is not None and bool(int(effective[1], 16) >> _CAP_SYS_ADMIN & 1)


def _has_memory_groups() -> bool:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, folder, kind, options, *_ = line.split()
        if not os.access(folder, os.W_OK):
            continue
        controllers = Path(folder, "cgroup.controllers")
        if kind == "cgroup" and "memory" in options.split(","):
            return "rw" in options.split(",")
        if kind == "cgroup2" and controllers.exists() and "memory" in controllers.read_text().split():
            return "rw" in options.split(",")
    return False
