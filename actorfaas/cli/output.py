"""How results are written: JSON, or a table (drawn by rich on a terminal, plain columns elsewhere)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import IO, Any

import click

Json = Any  # a decoded JSON document: what the API answered
Row = Sequence[str]


def write_json(value: Json) -> None:
    """A document on standard output, indented."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def write_json_line(value: Json) -> None:
    """A document on one line of standard output."""
    click.echo(json.dumps(value, ensure_ascii=False))


def note(text: str) -> None:
    """A diagnostic: one line on standard error."""
    click.echo(text, err=True)


def write_table(columns: Row, rows: Iterable[Row], *, title: str = "", err: bool = False) -> None:
    """A table on standard output, or on standard error; numbers are aligned to the right."""
    cells = [tuple(row) for row in rows]
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        _draw(columns, cells, title, stream)
        return
    if title:
        click.echo(title, err=err)
    widths = [max(len(row[index]) for row in (columns, *cells)) for index in range(len(columns))]
    for row in (columns, *cells):
        click.echo("  ".join(_aligned(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip(), err=err)


def ago(at_ms: int) -> str:
    """A wall-clock instant as the time since then."""
    return duration_s(max(0.0, time.time() - at_ms / 1000)) if at_ms else "-"


def duration_s(seconds: float) -> str:
    """A duration with two figures that matter: 850ms, 12s, 4m, 3h, 2d."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def size(size_bytes: float) -> str:
    """An amount of memory with three figures that matter at most: 640 KiB, 7.9 MiB, 1.5 GiB."""
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.1f} {unit}" if size_bytes < 10 and unit != "B" else f"{size_bytes:.0f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GiB"


def _draw(columns: Row, rows: Sequence[Row], title: str, stream: IO[str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
        table.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=stream, highlight=False).print(table)


def _aligned(cell: str, width: int) -> str:
    return cell.rjust(width) if _is_number(cell) else cell.ljust(width)


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace("-", "", 1).isdecimal() or cell in ("", "-")
