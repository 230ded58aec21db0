"""What `/proc/PID/maps` says (proc_pid_maps(5)). Pure: text in, mappings out; `target` reads the text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from actorfaas.swap.ranges import Range, normalise


@dataclass(frozen=True, slots=True)
class Mapping:
    """One line. `offset_bytes` and `inode` are of the mapped file; `inode` is 0 for anonymous memory."""

    start: int
    end: int
    permissions: str
    offset_bytes: int
    inode: int
    path: str

    @property
    def length(self) -> int:
        """Size in bytes."""
        return self.end - self.start

    @property
    def range(self) -> Range:
        """As (start, length)."""
        return self.start, self.end - self.start

    @property
    def is_readable(self) -> bool:
        """Whether the process may read it; a guard page it may not."""
        return self.permissions[0] == "r"

    @property
    def is_private(self) -> bool:
        """Whether writes stay in the process (copy on write)."""
        return self.permissions[3] == "p"

    @property
    def is_file(self) -> bool:
        """Whether its clean pages come from a file."""
        return self.inode != 0

    @property
    def is_program(self) -> bool:
        """Whether it is machine code of a file, of which no process has written pages of its own."""
        return self.is_file and self.permissions[1:3] == "-x"

    @property
    def is_kernel(self) -> bool:
        """Whether the kernel provides it ([vdso], [vvar], [vsyscall], ...): nothing there can be paged."""
        return self.path.startswith("[v") or self.path.startswith("[uprobes")


def parse(text: str) -> list[Mapping]:
    """All mappings, in address order. Raises ValueError on what is no such file."""
    return [_parse_line(line) for line in text.splitlines()]


def _parse_line(line: str) -> Mapping:
    span, permissions, offset, _device, inode, *path = line.split(maxsplit=5)
    start, _, end = span.partition("-")
    if len(permissions) != 4:
        raise ValueError(f"no permissions in {line!r}")
    return Mapping(int(start, 16), int(end, 16), permissions, int(offset, 16), int(inode), path[0] if path else "")


def private_ranges(mappings: Iterable[Mapping]) -> list[Range]:
    """What can be paged out to swap: private memory of the process, whether anonymous or written file pages.

    Programs are not: their pages are in the page cache, once for all that run them. To advise them out takes those away
    that only this process has mapped just now, and the next call reads them from the disk again.
    """
    return normalise(
        m.range for m in mappings if m.is_private and m.is_readable and not m.is_kernel and not m.is_program
    )


def file_ranges(mappings: Iterable[Mapping]) -> list[Range]:
    """Where clean pages come from files: libraries, and modules that are mapped."""
    return normalise(m.range for m in mappings if m.is_file and m.is_readable)
