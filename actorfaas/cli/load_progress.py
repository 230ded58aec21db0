"""What is shown while load is generated: a bar on a terminal, a line now and then elsewhere; on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from actorfaas.cli.output import note
from actorfaas.load.plan import Plan
from actorfaas.load.running import Progress

LINE_S = 5.0
"""How often a line is written where the output is no terminal."""


@contextmanager
def shown(plan: Plan, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """What is to be told of a run's progress, while it runs."""
    if quiet:
        yield lambda progress: None
    elif sys.stderr.isatty():
        with _bar(plan) as show:
            yield show
    else:
        yield _Lines(plan)


def in_words(progress: Progress) -> str:
    """Counts so far; what should not be is named only when it is."""
    parts = [f"{progress.sent:,} sent", f"{progress.ok:,} ok", f"{progress.outstanding:,} waiting"]
    for count, name in ((progress.failed, "failed"), (progress.dropped, "dropped"), (progress.late, "late")):
        if count:
            parts.append(f"{count:,} {name}")
    return ", ".join(parts) + f", longest of late {progress.recent_max_ms:,.1f} ms"


class _Lines:
    """Writes a line every few seconds."""

    def __init__(self, plan: Plan) -> None:
        self._duration_s = plan.duration_s
        self._next_s = LINE_S

    def __call__(self, progress: Progress) -> None:
        if progress.elapsed_s >= self._next_s:
            self._next_s += LINE_S
            note(f"{progress.elapsed_s:.0f} of {self._duration_s:g} s: {in_words(progress)}")


@contextmanager
def _bar(plan: Plan) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = BarColumn(bar_width=20), TimeRemainingColumn(), TextColumn("{task.description}")
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=plan.duration_s)
        yield lambda progress: bar.update(task, completed=progress.elapsed_s, description=in_words(progress))
