"""docs/observability.md describes every metric and every kind of span, and no other metric."""

from __future__ import annotations

import re
from pathlib import Path

from actorfaas.flow.spans import EXECUTION, PARTS, PREFETCH, REQUEST, STATE
from actorfaas.http.metrics import Metrics, NodeFigures
from actorfaas.messages import MemoryFigures, PoolFigures

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "observability.md").read_text("utf-8")
FIGURES = NodeFigures(0, 0, (), PoolFigures((), 0, 0, 0, 0, ()), MemoryFigures(0, 0, 0, 0, 0, 0, 0, 0, ()), ())


def section(title: str) -> str:
    """One section of the page, up to the next one of its level."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_metric_is_described_and_no_other() -> None:
    exposed = re.findall(r"^# TYPE (\w+) ", "".join(Metrics().text(FIGURES)), re.MULTILINE)
    assert set(re.findall(r"`(actorfaas_\w+)`", section("Metrics"))) == set(exposed)


def test_every_kind_of_span_is_described() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("Traces"), re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", " ".join(rows))) == {REQUEST, EXECUTION, STATE, PREFETCH, *PARTS}
