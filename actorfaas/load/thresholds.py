"""Conditions under which a run counts as failed: `p99>5ms`, `errors>0.1%`, `swapped:p99.9>80ms`, `rate<900`. Pure.

    [SCOPE:]METRIC OPERATOR VALUE

SCOPE is a target or a start kind, for latencies. METRIC is `mean`, `min`, `max` or a percentile (VALUE is a duration:
us, ms, s), `errors`, `dropped`, `late` or `unfinished` (a number of calls, or a share in %), or `rate` (good answers a
second). OPERATOR is >, >=, < or <=.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from actorfaas.errors import ConfigError
from actorfaas.load.arrivals import duration_s
from actorfaas.load.histogram import Histogram
from actorfaas.load.plan import Plan
from actorfaas.load.tally import Tally

_CONDITION = re.compile(r"(?:(?P<scope>[^:<>=]+):)?(?P<metric>[a-z0-9.]+)\s*(?P<operator>[<>]=?)\s*(?P<value>\S+)")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_COUNTED = ("errors", "dropped", "late", "unfinished")


@dataclass(frozen=True, slots=True)
class Threshold:
    """One condition. `value` is in seconds, calls, a share from 0 to 1 (`relative`) or calls a second."""

    text: str
    scope: str
    metric: str
    operator: str
    value: float
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition and what was measured; `failed`: it holds, so the run does not count as good."""

    text: str
    measured: str
    failed: bool


def parse(text: str) -> Threshold:
    """Read a condition. Raises ConfigError."""
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no condition: write it like p99>5ms, errors>0.1% or NAME:p99.9>80ms")
    metric, value, scope = found["metric"], found["value"], found["scope"] or ""
    if metric in _COUNTED or metric == "rate":
        if scope:
            raise ConfigError(f"{text!r}: only latencies are told apart by target or start kind")
        relative = value.endswith("%") and metric in _COUNTED
        return Threshold(
            text, "", metric, found["operator"], _number(text, value[:-1] if relative else value, relative), relative
        )
    if metric not in ("mean", "min", "max") and not _PERCENTILE.fullmatch(metric):
        raise ConfigError(f"{text!r}: there is no metric {metric!r}; see --help")
    return Threshold(text, scope, metric, found["operator"], duration_s(value))


def judge(threshold: Threshold, plan: Plan, tally: Tally, elapsed_s: float) -> Verdict:
    """Hold a condition against a run.

    A latency of no call at all fails every condition: nothing shows that it was good.
    """
    fails = _OPERATORS[threshold.operator]
    if threshold.metric == "rate":
        rate = tally.ok / elapsed_s if elapsed_s > 0 else 0.0
        return Verdict(threshold.text, f"{rate:,.1f}/s", fails(rate, threshold.value))
    if threshold.metric in _COUNTED:
        count, total = _count(threshold.metric, tally)
        share = count / total if total else 0.0
        measured = share if threshold.relative else count
        return Verdict(threshold.text, f"{count:,} ({100 * share:.3g} %)", fails(measured, threshold.value))
    histogram = _scoped(threshold.scope, plan, tally)
    if not histogram.count:
        return Verdict(threshold.text, "no calls", True)
    found_s = _latency_s(threshold.metric, histogram)
    return Verdict(threshold.text, f"{found_s * 1000:,.3f} ms", fails(found_s, threshold.value))


def _number(text: str, value: str, relative: bool) -> float:
    try:
        return float(value) / (100 if relative else 1)
    except ValueError:
        raise ConfigError(f"{text!r}: {value!r} is no number") from None


def _count(metric: str, tally: Tally) -> tuple[int, int]:
    counts = {
        "errors": (tally.failed, tally.sent),
        "dropped": (tally.dropped_count, tally.sent + tally.dropped_count),
        "late": (tally.late, tally.sent),
        "unfinished": (tally.unfinished, tally.sent),
    }
    return counts[metric]


def _scoped(scope: str, plan: Plan, tally: Tally) -> Histogram:
    if not scope:
        return tally.latency
    if scope in tally.by_kind:
        return tally.by_kind[scope]
    for number, target in enumerate(plan.targets):
        if target.name == scope:
            return tally.parts[number].latency if number in tally.parts else Histogram()
    return Histogram()


def _latency_s(metric: str, histogram: Histogram) -> float:
    match metric:
        case "mean":
            return histogram.mean_s
        case "min":
            return histogram.min_s
        case "max":
            return histogram.max_s
        case _:
            return histogram.percentile_s(float(metric[1:]))
