"""Whether `actorfaas flow` names a planted bottleneck, and whether what it says a change would gain comes true.

`python -m bench.flow_bottleneck [--quick] [--json FILE]`. A workflow lists eight images, resizes each with a function
that sleeps 20 ms and may have two instances, and indexes the results. From the traces of its executions the flow is
diagnosed as the command line does it. Then changes are made, one at a time, and measured: eight instances instead of
two, and a function that is twice as fast; the gain is how much less the median of an execution is.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from actorfaas.flow.diagnosis import Diagnosis, describe, diagnose
from actorfaas.flow.documents import waits_of
from actorfaas.flow.graph import percentile
from actorfaas.flow.replay import Change
from actorfaas.flow.tree import Forest
from bench.machine import ROOT
from bench.node import Node, running
from bench.report import Report, options

IMAGES = 8
CHANGES = (Change(workers={"resize": 8}), Change(faster={"resize": 2.0}))
VARIANTS = {"as planted": (2, 20.0), "8 workers": (8, 20.0), "twice as fast": (2, 10.0)}
"""How the function is deployed: workers, and how long it sleeps in ms."""
SETTLE_S = 1.0


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__)
    report = Report("flow_bottleneck", chosen.seed)
    runs = 15 if chosen.quick else 60
    with running() as node, tempfile.TemporaryDirectory(prefix="actorfaas-planted-") as folder:
        measured = {name: observe(node, Path(folder), *variant, runs) for name, variant in VARIANTS.items()}
    planted = diagnose(measured["as planted"], {"list_images": 16, "resize": 2, "index": 16}, "thumbnails", CHANGES)
    report.notes.append(f"flow says: {planted.bottleneck}.")
    compare(planted, measured, report)
    named = planted.bottleneck.startswith("resize waits") and "concurrency 2" in planted.bottleneck
    report.budget("the planted bottleneck is named", 1.0, float(named), "", at_most=False)
    report.finish(chosen)


def observe(node: Node, folder: Path, workers: int, resize_ms: float, runs: int) -> Forest:
    """Deploy a variant, run it so often, one execution after the other, and take the spans."""
    source = (ROOT / "bench/planted/app.py").read_text("utf-8")
    source = source.replace("WORKERS = 2\n", f"WORKERS = {workers}\n", 1)
    (folder / "app.py").write_text(source.replace("RESIZE_MS = 20.0\n", f"RESIZE_MS = {resize_ms}\n", 1), "utf-8")
    node.deploy(str(folder))
    for _ in range(5):
        node.invoke("thumbnails", IMAGES)
    time.sleep(SETTLE_S)
    for _ in range(runs):
        node.invoke("thumbnails", IMAGES)
    return waits_of(node.get(f"/v1/spans?function=thumbnails&limit={runs}")["spans"])


def compare(planted: Diagnosis, measured: dict[str, Forest], report: Report) -> None:
    """What was foretold beside what came."""
    before_ns = percentile(planted.took_ns, 50)
    for effect, name in zip(planted.effects, list(VARIANTS)[1:], strict=False):
        after_ns = percentile(took_ns(measured[name]), 50)
        gain = 1 - after_ns / before_ns
        report.rows.append(
            {
                "change": describe(effect.change),
                "p50 before ms": before_ns / 1e6,
                "p50 foretold ms": effect.expected_p50_ns / 1e6,
                "p50 after ms": after_ns / 1e6,
                "gain foretold": effect.gain,
                "gain measured": gain,
                "replay × measured": effect.replay_ratio,
            }
        )
        report.budget(f"foretold against measured gain: {describe(effect.change)}", 0.1, abs(effect.gain - gain), "")


def took_ns(forest: Forest) -> Sequence[int]:
    """How long each execution took."""
    return [root.took_ns for root in forest.roots]


if __name__ == "__main__":
    main()
