"""What swap there is: `/proc/swaps` and the header of a swap file (include/linux/swap.h). Pure, apart from `active`.

The header's label says whose file it is: files without one of ours are never touched.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from actorfaas.swap.ranges import PAGE_SIZE

PROC_SWAPS = Path("/proc/swaps")

NODE_LABEL = "actorfaas-node"
"""Made by a node, which removes it when it stops."""

PERSON_LABEL = "actorfaas"
"""Made by a person (`actorfaas swap on`), who removes it."""

_MAGIC = b"SWAPSPACE2"
_HEADER = struct.Struct("=III16s16s")
_HEADER_AT = 1024
_VERSION = 1
_LABEL_BYTES = 16


@dataclass(frozen=True, slots=True)
class SwapArea:
    """One line of /proc/swaps. `kind` is "file" or "partition"; higher priorities fill up first."""

    path: str
    kind: str
    size_bytes: int
    used_bytes: int
    priority: int


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a swap file."""

    pages: int
    label: str
    uuid: bytes

    @property
    def is_ours(self) -> bool:
        """Whether this project made it."""
        return self.label in (NODE_LABEL, PERSON_LABEL)


def parse_swaps(text: str) -> list[SwapArea]:
    """The areas in the text of /proc/swaps (the first line is a heading)."""
    areas = []
    for line in text.splitlines()[1:]:
        path, kind, size, used, priority = line.split()
        plain = _unescaped(path).removesuffix(" (deleted)")
        areas.append(SwapArea(plain, kind, int(size) * 1024, int(used) * 1024, int(priority)))
    return areas


def _unescaped(path: str) -> str:
    """/proc/swaps writes blanks, tabs, line ends and backslashes as octal numbers."""
    for escaped, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(escaped, plain)
    return path


def active() -> list[SwapArea]:
    """The areas in use now."""
    try:
        return parse_swaps(PROC_SWAPS.read_text())
    except FileNotFoundError:  # a kernel without swap
        return []


def find_active(path: Path) -> SwapArea | None:
    """The area of this file or device, if it is in use."""
    real = str(path.resolve())
    return next((area for area in active() if area.path == real), None)


def build_header(size_bytes: int, label: str, uuid: bytes) -> bytes:
    """The first page of a swap file of `size_bytes`."""
    name = label.encode("ascii")
    if len(name) > _LABEL_BYTES or len(uuid) != 16:
        raise ValueError(f"label {label!r} or uuid too long")
    page = bytearray(PAGE_SIZE)
    _HEADER.pack_into(page, _HEADER_AT, _VERSION, size_bytes // PAGE_SIZE - 1, 0, uuid, name)
    page[-len(_MAGIC) :] = _MAGIC
    return bytes(page)


def parse_header(page: bytes) -> Header | None:
    """The header in a file's first page, or None if it is no swap file of this machine's page size."""
    if len(page) < PAGE_SIZE or page[PAGE_SIZE - len(_MAGIC) : PAGE_SIZE] != _MAGIC:
        return None
    version, last_page, _bad, uuid, label = _HEADER.unpack_from(page, _HEADER_AT)
    if version != _VERSION:
        return None
    return Header(last_page + 1, label.rstrip(b"\0").decode("ascii", "replace"), uuid)
