"""Extraction of an uploaded zip archive into a folder, refusing whatever could reach outside it or fill the disk.

Owns what an archive may contain. Where it goes and when it is extracted is decided in `actorfaas.bundles.store`.
Everything here blocks on the disk; call it from a thread.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from actorfaas.errors import DeployError

_CHUNK_BYTES = 1024 * 1024
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a compression method or a zip version that Python does not know
    RuntimeError,  # encrypted
    ValueError,  # among them UnicodeError: names that are not text
    OverflowError,
    struct.error,
)
"""What `zipfile` raises for archives that are damaged, or made to be."""

_MAX_NAME_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much one archive may unpack to."""

    max_files: int = 20_000
    max_total_bytes: int = 1024 * 1024 * 1024


DEFAULT_LIMITS = ArchiveLimits()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal. Raises DeployError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DeployError(f"the archive {path.name} cannot be read: {error.strerror or error}") from error


def extract(archive: Path, folder: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> None:
    """Unpack `archive` into `folder`, which must not exist; it appears complete or not at all.

    Raises DeployError for anything that is not a well-formed zip of regular files and folders within `limits`.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        try:
            with zipfile.ZipFile(archive) as opened:
                _extract_all(opened, partial, limits)
        except _UNREADABLE as error:
            raise DeployError(f"the archive is not a readable zip file: {error}") from error
        partial.rename(folder)
        _sync_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract_all(opened: zipfile.ZipFile, folder: Path, limits: ArchiveLimits) -> None:
    entries = opened.infolist()
    if len(entries) > limits.max_files:
        raise DeployError(f"the archive has {len(entries)} entries; at most {limits.max_files} are accepted")
    left_bytes = limits.max_total_bytes
    for entry, name in _checked(entries):
        target = folder / name
        try:
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                left_bytes -= _extract_file(opened, entry, target, left_bytes, limits)
        except (FileExistsError, NotADirectoryError) as error:
            raise DeployError(f"the archive holds {entry.filename!r} both as a file and as a folder") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise DeployError(f"{entry.filename!r} from the archive cannot be stored: {reason}") from error


def _extract_file(
    opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left_bytes: int, limits: ArchiveLimits
) -> int:
    """Write one file and return its size, counted as it is written: the size in the archive may be a lie."""
    written = 0
    executable = (entry.external_attr >> 16) & stat.S_IXUSR
    with opened.open(entry) as source, target.open("xb") as out:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > left_bytes:
                raise DeployError(f"the archive unpacks to more than {limits.max_total_bytes} bytes")
            out.write(chunk)
        out.flush()
        os.fchmod(out.fileno(), 0o555 if executable else 0o444)
        os.fsync(out.fileno())
    return written


def _checked(entries: list[zipfile.ZipInfo]) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Every entry with its path inside the folder, in the archive's order. Raises DeployError for a bad one."""
    seen: set[PurePosixPath] = set()
    for entry in entries:
        path = _inner_path(entry.filename)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a symbolic link" if kind == stat.S_IFLNK else "a special file"
            raise DeployError(f"{entry.filename!r} in the archive is {what}; only files and folders are accepted")
        if entry.flag_bits & 0x1:
            raise DeployError(f"{entry.filename!r} in the archive is encrypted")
        if path in seen:
            raise DeployError(f"the archive holds {entry.filename!r} twice")
        seen.add(path)
        yield entry, path


def _inner_path(name: str) -> PurePosixPath:
    """A name from an archive as a path that stays inside the folder. Raises DeployError when it would not."""
    if len(name) > _MAX_NAME_CHARACTERS:
        raise DeployError(f"a name in the archive has {len(name)} characters")
    if name.startswith("/") or "\\" in name or "\0" in name or (len(name) > 1 and name[1] == ":"):
        raise DeployError(f"{name!r} in the archive is not a relative path with forward slashes")
    parts = name.removesuffix("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise DeployError(f"{name!r} in the archive points outside its folder or is not a plain path")
    return PurePosixPath(*parts)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
