"""Which extracted bundles and environments may go: those nobody uses, the longest unused first.

A folder's modification time says when it was last wanted (`touch`). Everything here blocks on the disk; call it from
a thread. Locks against a deploy that wants the same folder are the callers'.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Collection
from pathlib import Path

_TRASH = ".removed."


def touch(folder: Path) -> bool:
    """The folder is wanted now; False when it is not there."""
    try:
        os.utime(folder)
    except FileNotFoundError:
        return False
    return True


def excess(parent: Path, in_use: Collection[str], keep: int, least_age_s: float) -> list[Path]:
    """The folders in `parent` beyond the `keep` most recently wanted ones that are not `in_use` (names).

    Of those only the ones wanted longer than `least_age_s` ago, and remains of extractions and removals cut short.
    """
    unused: list[tuple[float, Path]] = []
    remains: list[Path] = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(parent):
            if entry.name.endswith(".partial") or entry.name.startswith(_TRASH):
                remains.append(Path(entry.path))
            elif not entry.name.startswith(".") and entry.name not in in_use and entry.is_dir(follow_symlinks=False):
                unused.append((_wanted_at(Path(entry.path)), Path(entry.path)))
    unused.sort(reverse=True)
    candidates = [folder for _, folder in unused[keep:]] + remains
    return [folder for folder in candidates if _is_older(folder, least_age_s)]


def remove_if_older(folder: Path, least_age_s: float) -> bool:
    """Remove a folder unless it was wanted again meanwhile: out of its place at once, then file by file."""
    if not _is_older(folder, least_age_s):
        return False
    trash = folder.with_name(f"{_TRASH}{os.getpid()}.{folder.name.removeprefix(_TRASH)}")
    try:
        folder.rename(trash)
    except OSError:
        return False  # it is gone, or not ours to remove; the next look finds it again
    shutil.rmtree(trash, ignore_errors=True)  # what stays is found again as remains
    return True


def _is_older(folder: Path, least_age_s: float) -> bool:
    return time.time() - _wanted_at(folder) > least_age_s


def _wanted_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return time.time()  # it is being removed or renamed: nothing to do here
