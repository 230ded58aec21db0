"""Write docs/benchmarks.md from the stored results: `python -m bench.publish [--folder bench/results]`.

Every figure in that document comes from a file that a benchmark wrote, so it names its machine, commit and seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.all import BENCHMARKS
from bench.machine import ROOT

DOCUMENT = ROOT / "docs" / "benchmarks.md"

INTRODUCTION = """# Benchmarks

Measured on one small shared machine; run them on yours: `make bench` runs all of them quickly,
`python -m bench.NAME` one of them in full, `--json FILE` keeps the result. Peers run in the same run, taking turns with
the platform, and the same client drives all of them. Compare the ratios: rates and milliseconds of different runs or
machines say little. Budgets that are missed are shown as missed.

This page is written by `python -m bench.publish` from `bench/results/`.
"""

Result = dict[str, Any]


def document(results: Iterable[Result]) -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(section(result) for result in results)])


def section(result: Result) -> str:
    """One benchmark: what it is, on what it ran, its tables and budgets."""
    name = result["benchmark"]
    about = (import_module(f"bench.{name}").__doc__ or "").strip()
    machine = result["machine"]
    facts = (
        f"*{result['at']}, commit `{machine['commit'][:10]}`{' with changes' if machine['modified'] else ''}, "
        f"{machine['cores']} × {machine['cpu']}, {machine['memory_bytes'] / 2**30:.0f} GiB, Linux {machine['kernel']}, "
        f"Python {machine['python']}, seed {result['seed']}.*"
    )
    parts = [f"## {name}\n", about, "", facts, "", *tables(result["rows"]), budgets(result["budgets"])]
    parts += [f"- {note}" for note in result["notes"]]
    return "\n".join(parts).rstrip() + "\n"


def tables(rows: list[Result]) -> Iterable[str]:
    """Rows with the same columns make one table, in the order of their first row."""
    groups: dict[tuple[str, ...], list[Result]] = {}
    for row in rows:
        groups.setdefault(tuple(row), []).append(row)
    for columns, group in groups.items():
        yield table(columns, ([cell(row[column]) for column in columns] for row in group))


def budgets(found: list[Result]) -> str:
    """The goals and what was measured."""
    lines = (
        [
            b["name"],
            f"{'≤' if b['at_most'] else '≥'} {b['goal']:g} {b['unit']}",
            cell(b["value"]),
            "met" if b["met"] else "**missed**",
        ]
        for b in found
    )
    return table(("budget", "goal", "measured", ""), lines) if found else ""


def table(columns: Iterable[str], lines: Iterable[list[str]]) -> str:
    """A Markdown table."""
    heads = list(columns)
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def cell(value: object) -> str:
    """A figure as people read it."""
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    """Read every stored result in the order of `bench.all` and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "bench" / "results")
    folder = parser.parse_args().folder
    stored = {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}
    known = [*BENCHMARKS, *sorted(stored.keys() - set(BENCHMARKS))]
    DOCUMENT.write_text(document(stored[name] for name in known if name in stored), "utf-8")
    print(f"wrote {DOCUMENT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
