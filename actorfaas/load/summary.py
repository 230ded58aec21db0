"""A run's result as figures: one JSON document, which the table and the HTML page are drawn from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from actorfaas.load.histogram import Histogram, in_ms
from actorfaas.load.tally import COUNTS, Outcome, Tally
from actorfaas.load.thresholds import Threshold, judge

Json = dict[str, Any]  # a JSON object

NOT_TOLD = "not told"
"""The start kind of calls whose answers do not tell it, such as those of workflows."""

CURVE_STEPS_PER_HALVING = 5
LATE_SHARE = 0.01
"""More late calls than this, and the generator is said not to have kept up."""
BUSY_SHARE = 0.9
"""A generator process that used more of a core than this had hardly any time left."""


def summarise(outcome: Outcome, fail_if: Sequence[Threshold] = ()) -> Json:
    """The whole result. Durations are in milliseconds where a name says so, else in seconds."""
    plan, tally = outcome.plan, outcome.tally
    elapsed_s = max(0.0, tally.last_s - tally.begin_s)
    latency = tally.latency
    verdicts = [judge(threshold, plan, tally, elapsed_s) for threshold in fail_if]
    return {
        "plan": {
            "arrivals": plan.describe(),
            "open": plan.is_open,
            "targets": [{"name": one.name, "weight": one.weight} for one in plan.targets],
            "seed": plan.seed,
            "processes": plan.processes,
            "most_outstanding": plan.most_outstanding,
            "timeout_s": plan.timeout_s,
            "endpoint": f"{'https' if plan.endpoint.tls else 'http'}://{plan.endpoint.host}:{plan.endpoint.port}",
            **plan.notes,
        },
        "began_at": datetime.fromtimestamp(outcome.began_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "elapsed_s": round(elapsed_s, 3),
        "interrupted": outcome.interrupted,
        "calls": {
            "intended": tally.sent + tally.dropped_count,
            "sent": tally.sent,
            "ok": tally.ok,
            "failed": tally.failed,
            "dropped": tally.dropped_count,
            "late": tally.late,
            "unfinished": tally.unfinished,
        },
        "ok_per_s": round(tally.ok / elapsed_s, 1) if elapsed_s else 0.0,
        "most_at_once": outcome.most_at_once,
        "latency_ms": in_ms(latency),
        **_other_views(tally, latency),
        "by_kind": {kind or NOT_TOLD: in_ms(one) for kind, one in _by_count(tally.by_kind)},
        "by_target": _by_target(outcome),
        "errors": dict(tally.errors.most_common()),
        "generators": [{"processor": round(share, 3)} for share in outcome.processors],
        "thresholds": [{"fail_if": v.text, "measured": v.measured, "failed": v.failed} for v in verdicts],
        "warnings": _warnings(outcome),
        "course": _course(tally),
        "curve": _curve(latency),
        "histogram": latency.encode(),
    }


def failed(result: Json) -> bool:
    """Whether a condition of `fail_if` holds."""
    return any(one["failed"] for one in result["thresholds"])


def _other_views(tally: Tally, latency: Histogram) -> Json:
    if tally.is_open:
        return {"from_send_ms": in_ms(tally.from_send), "lateness_ms": in_ms(tally.lateness)}
    interval_s = latency.percentile_s(50)
    return {"corrected_ms": in_ms(latency.corrected(interval_s)), "corrected_for_ms": round(interval_s * 1000, 3)}


def _by_count(histograms: dict[str, Histogram]) -> list[tuple[str, Histogram]]:
    return sorted(histograms.items(), key=lambda item: -item[1].count)


def _by_target(outcome: Outcome) -> list[Json]:
    return [
        {
            "name": outcome.plan.targets[number].name,
            "ok": part.ok,
            "failed": part.failed,
            "dropped": part.dropped,
            "latency_ms": in_ms(part.latency),
        }
        for number, part in sorted(outcome.tally.parts.items())
    ]


def _warnings(outcome: Outcome) -> list[str]:
    plan, tally = outcome.plan, outcome.tally
    found = []
    if outcome.interrupted:
        found.append("The run was interrupted: these are the results so far.")
    if tally.dropped_count:
        found.append(
            f"{tally.dropped_count:,} calls were never sent, because {plan.most_outstanding:,} others had no answer "
            "yet: the server does not keep up, and the latencies do not show all of it (--max-outstanding)."
        )
    busiest = max(outcome.processors, default=0.0)
    if tally.late > LATE_SHARE * tally.sent:
        found.append(
            f"The generator did not keep up: {tally.late:,} of {tally.sent:,} calls were sent more than "
            f"{plan.late_s * 1000:g} ms late (p99 {tally.lateness.percentile_s(99) * 1000:,.1f} ms). Their lateness is "
            "in the latencies. Lower the rate, use more --processes, or leave it more of the processor."
        )
    elif busiest > BUSY_SHARE:
        found.append(f"A generator process used {100 * busiest:.0f} % of a core: use more --processes.")
    return found


def _course(tally: Tally) -> Json:
    columns: Json = {"width_s": tally.width_s, "intended": [one.intended for one in tally.course]}
    for name in COUNTS:
        columns[name] = [getattr(one, name) for one in tally.course]
    for name, percent in (("p50_ms", 50.0), ("p99_ms", 99.0), ("max_ms", 100.0)):
        columns[name] = [
            round(one.latency.percentile_s(percent) * 1000, 3) if one.latency.count else None for one in tally.course
        ]
    kinds = [kind for kind, _ in _by_count(tally.by_kind)]
    columns["kinds"] = {kind or NOT_TOLD: [one.kinds[kind] for one in tally.course] for kind in kinds}
    return columns


def _curve(latency: Histogram) -> list[tuple[float, float]]:
    """Percentiles ever closer to 100, as far as there are calls, and the latency of each in ms."""
    if not latency.count:
        return []
    percents, rest = [0.0], 1.0
    while rest * latency.count > 1:
        rest /= 2 ** (1 / CURVE_STEPS_PER_HALVING)
        percents.append(100 * (1 - rest))
    found = latency.percentiles_s(tuple(percents))
    return [(round(percent, 6), round(found[percent] * 1000, 3)) for percent in percents]
