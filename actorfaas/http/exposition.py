"""Prometheus's text format (version 0.0.4), written line by line. Pure.

`prometheus_client` is not used for it: it builds an object for every sample, which for the histograms of a thousand
functions takes a quarter of a second in which the event loop answers nobody; this takes a twentieth of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


def labelled(labels: Labels) -> str:
    """Labels as they stand in braces, without these."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def family(name: str, kind: str, text: str, samples: Iterable[tuple[Labels, float]]) -> str:
    """A gauge or counter with all its samples. The name of a counter ends in `_total`."""
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inside = labelled(labels)
        lines.append(f"{name}{{{inside}}} {value}" if inside else f"{name} {value}")
    return "\n".join(lines) + "\n"


def gauge(name: str, text: str, value: float) -> str:
    """One number that goes up and down."""
    return family(name, "gauge", text, (({}, value),))


def counter(name: str, text: str, value: float) -> str:
    """One number that only goes up."""
    return family(name, "counter", text, (({}, value),))


def histogram_head(name: str, text: str) -> str:
    """What stands before a histogram's series."""
    return f"# HELP {name} {text}\n# TYPE {name} histogram\n"


def histogram(name: str, labels: Labels, bounds: Sequence[str], counts: Sequence[int], total: float) -> str:
    """One series: how many were in each bucket (the last one: above all `bounds`) and the sum of all."""
    inside = labelled(labels)
    lines = []
    below = 0
    for bound, count in zip((*bounds, "+Inf"), counts, strict=True):
        below += count
        lines.append(f'{name}_bucket{{{inside},le="{bound}"}} {below}')
    lines.append(f"{name}_sum{{{inside}}} {total}\n{name}_count{{{inside}}} {below}\n")
    return "\n".join(lines)
