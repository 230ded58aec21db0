"""`actorfaas swap on|off|status`: swap for idle instances, made by a person and there until that person removes it.

Works without a node, and beside a running one, which notices within a second.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from actorfaas.cli.output import note, size, write_json, write_table
from actorfaas.cli.target import Options, common_options
from actorfaas.config import Settings, load
from actorfaas.errors import SwapUnavailable
from actorfaas.swap import swapfile, swaps, zram
from actorfaas.swap.node_memory import FILE_PRIORITY, ZRAM_PRIORITY, zram_marker
from actorfaas.swap.swaps import NODE_LABEL, PERSON_LABEL, SwapArea

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_OWNERS = {NODE_LABEL: "node", PERSON_LABEL: "actorfaas swap on"}

Json = Any  # what is written as a JSON document


class Size(click.ParamType[int]):
    """An amount of memory such as 512M or 4G, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # click's type
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT])i?B?", str(value), re.IGNORECASE)
        if match is None:
            self.fail(f"{value!r} is not a size such as 512M or 4G", param, ctx)
        return int(float(match[1]) * _UNITS[match[2].upper()])


def data_dir_option(command: Any) -> Any:  # click's decorators lose the type of what they decorate
    """Where the swap file is unless --path says so."""
    kind = click.Path(path_type=Path)
    return click.option("--data-dir", type=kind, help="The data folder of the node that the swap is for.")(command)


@click.group("swap")
def swap_command() -> None:
    """Swap for idle instances: their memory goes there, and comes back before they are called.

    \b
      sudo actorfaas swap on --size 8G
      actorfaas swap status
    """


@swap_command.command("on")
@click.option("--size", "size_bytes", type=Size(), default="4G", show_default=True, help="Size of the swap file.")
@click.option("--path", type=click.Path(path_type=Path), help="The swap file.  [default: DATA_DIR/swapfile]")
@click.option(
    "--priority", type=click.IntRange(0, 32767), default=FILE_PRIORITY, show_default=True, help="Higher: used first."
)
@click.option("--zram", "zram_bytes", type=Size(), help="Compressed memory of this size, used before the file.")
@data_dir_option
@common_options
def on_command(
    options: Options, size_bytes: int, path: Path | None, priority: int, zram_bytes: int | None, data_dir: Path | None
) -> None:
    """Make a swap file and use it.

    It is in use until `swap off`, or until the machine is switched off. Needs root.
    """
    settings = load({"data_dir": data_dir})
    file = path or settings.swapfile
    ready = swapfile.ensure(file, size_bytes, priority=priority, label=PERSON_LABEL)
    note(f"{ready.area.path}: {size(ready.area.size_bytes)} of swap, {ready.how}")
    if zram_bytes:
        above = max(ZRAM_PRIORITY, priority + 1)
        area = zram.turn_on(zram_bytes, min(above, 32767), zram_marker(settings), label=PERSON_LABEL)
        note(f"{area.path}: {size(area.size_bytes)} of compressed swap, used first")
    if options.as_json:
        _write_status(options, settings)


@swap_command.command("off")
@click.option("--path", type=click.Path(path_type=Path), help="The swap file.  [default: DATA_DIR/swapfile]")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Most time to read back.",
)
@data_dir_option
@common_options
def off_command(options: Options, path: Path | None, timeout_s: float, data_dir: Path | None) -> None:
    """Give up the swap that actorfaas made.

    What is in it is read back into memory first; then the file is removed. Needs root.
    """
    settings = load({"data_dir": data_dir})
    file = path or settings.swapfile
    found = zram.find(zram_marker(settings))
    if found is None and not file.exists():
        raise SwapUnavailable(f"there is no swap file {file}; see: actorfaas swap status")
    if found is not None:
        zram.turn_off(zram_marker(settings), timeout_s)
        note(f"{found.path} is no longer used")
    if file.exists():
        swapfile.require_ours(file)
        swapfile.turn_off(file, timeout_s)
        swapfile.remove(file)
        note(f"{file} is no longer used, and removed")
    if options.as_json:
        _write_status(options, settings)


@swap_command.command("status")
@data_dir_option
@common_options
def status_command(options: Options, data_dir: Path | None) -> None:
    """Show the swap in use.

    How large it is, how full, and whether actorfaas made it.
    """
    _write_status(options, load({"data_dir": data_dir}))


def _write_status(options: Options, settings: Settings) -> None:
    areas = [{**asdict(area), "made_by": _made_by(area)} for area in swaps.active()]
    if options.as_json:
        write_json({"areas": areas, "default_path": str(settings.swapfile)})
        return
    if not areas:
        note("no swap is in use; turn some on, as root, with: actorfaas swap on")
        return
    columns = ("swap", "kind", "size", "used", "full", "priority", "made by")
    write_table(columns, [_row(area) for area in areas])


def _row(area: Json) -> tuple[str, ...]:
    full = 100 * area["used_bytes"] / area["size_bytes"] if area["size_bytes"] else 0
    sizes = (size(area["size_bytes"]), size(area["used_bytes"]), f"{full:.0f} %")
    return area["path"], area["kind"], *sizes, str(area["priority"]), area["made_by"]


def _made_by(area: SwapArea) -> str:
    """Who made it, from its label; others' files may not be readable for this user."""
    try:
        header = swapfile.read_header(Path(area.path))
    except OSError:
        return "unknown"
    return _OWNERS.get(header.label, "others") if header else "others"
