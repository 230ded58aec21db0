"""The benchmark page is made of stored results and nothing else."""

from __future__ import annotations

from bench import publish
from bench.report import Report


def test_a_section_shows_rows_budgets_facts_and_notes() -> None:
    report = Report("throughput", seed=3, rows=[{"server": "x", "calls/s": 1234.5}, {"other": 1}], notes=["a note"])
    report.budget("fast", 2.0, 2.5, "ms")
    text = publish.section(report.as_json())
    assert text.startswith("## throughput\n")
    assert "| server | calls/s |\n| --- | --- |\n| x | 1,234.500 |" in text
    assert "| other |\n| --- |\n| 1 |" in text
    assert "| fast | ≤ 2 ms | 2.500 | **missed** |" in text
    assert "seed 3" in text
    assert text.endswith("- a note\n")
