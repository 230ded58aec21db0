"""A node's object store: buckets are folders below one folder, keys are files in them.

People and programs may put files there by themselves. A bucket may be a symbolic link to a folder elsewhere; inside a
bucket links are not followed, so that no key leads out of it. A file that is being written has a name that no key can
have, and is published by renaming it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from actorfaas.errors import RequestRefused

PIECE_BYTES = 1024 * 1024
MAX_KEY_BYTES = 1024

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_UNFINISHED = re.compile(r"\..*\.part", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a bucket. `tag` is another one whenever the object was replaced or changed."""

    key: str
    size_bytes: int
    modified_ms: int
    tag: str


class ObjectStore:
    """The objects below `root`. Every method blocks; RequestRefused says what is wrong ("not_found", "invalid")."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, bucket: str, key: str) -> BinaryIO:
        """An object, to be read."""
        folder = self.bucket(bucket)
        return opened(self._path(folder, bucket, key), f"{bucket}/{key}")

    def list(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        """The objects whose keys begin so, in the order of their keys' bytes."""
        return _below(self.bucket(bucket), "", prefix)

    def bucket(self, bucket: str) -> Path:
        """The folder of a bucket that is there."""
        folder = self.root / self._checked_bucket(bucket)
        if not folder.is_dir():
            raise RequestRefused("not_found", f"there is no bucket {bucket!r} in {self.root}")
        return folder.resolve()

    def place(self, bucket: str, key: str) -> tuple[Path, Path]:
        """Where to write an object, and what to rename that to: folders on the way are made."""
        path = self._path(self.bucket(bucket), bucket, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._check_links(path.parent, self.bucket(bucket), key)
        return path.with_name(f".{path.name}.part"), path

    @staticmethod
    def _checked_bucket(bucket: str) -> str:
        if _BUCKET.fullmatch(bucket) is None:
            raise RequestRefused("invalid", f"{bucket!r} is no name of a bucket: letters, digits, '.', '_' and '-'")
        return bucket

    def _path(self, folder: Path, bucket: str, key: str) -> Path:
        parts = key.split("/")
        if (
            len(os.fsencode(key)) > MAX_KEY_BYTES
            or "\0" in key
            or any(part in ("", ".", "..") or _UNFINISHED.fullmatch(part) for part in parts)
        ):
            raise RequestRefused("invalid", f"{key!r} is no key that bucket {bucket!r} can have")
        path = folder.joinpath(*parts)
        self._check_links(path.parent, folder, key)
        return path

    @staticmethod
    def _check_links(parent: Path, folder: Path, key: str) -> None:
        """Raises RequestRefused where a folder on the way to a key is a link."""
        if Path(os.path.realpath(parent)) != parent and parent != folder:
            raise RequestRefused("invalid", f"{key!r} leads through a symbolic link")


def opened(path: Path, name: str) -> BinaryIO:
    """A regular file, to be read. Raises RequestRefused, naming it so."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise RequestRefused("not_found", f"there is no object {name}") from None
    except OSError as error:
        raise RequestRefused("invalid", f"{name} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise RequestRefused("not_found", f"{name} is no file")
    return os.fdopen(fd, "rb")


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """A file's bytes, a piece at a time."""
    while piece := file.read(PIECE_BYTES):
        yield piece


def _below(folder: Path, above: str, prefix: str) -> Iterator[StoredObject]:
    """The objects in a folder and below it whose keys, which begin with `above`, begin with `prefix`."""
    with os.scandir(folder) as found:
        entries = [(f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name, entry) for entry in found]
    for name, entry in sorted(entries, key=lambda one: os.fsencode(one[0])):
        key = above + name
        if name.endswith("/"):
            if key.startswith(prefix) or prefix.startswith(key):
                yield from _below(folder / entry.name, key, prefix)
        elif key.startswith(prefix) and not _UNFINISHED.fullmatch(name):
            described = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(described.st_mode):
                tag = f"{described.st_ino:x}-{described.st_size:x}-{described.st_mtime_ns:x}"
                yield StoredObject(key, described.st_size, described.st_mtime_ns // 1_000_000, tag)
