"""What is observed, summed up: the bottleneck in a sentence, and what a change would gain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from actorfaas.flow.critical import OWN, WAIT, Segment, Share, critical_path, shares, wholes
from actorfaas.flow.graph import percentile
from actorfaas.flow.replay import Change, replay
from actorfaas.flow.spans import HAND_OFF, PAGE_IN, QUEUE, RUN, START, Span
from actorfaas.flow.tree import Forest

MOST_SUGGESTED = 4
LEAST_SHARE = 0.05
"""What has less of the time is not worth a suggestion."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change is expected to do to the times of all calls or executions looked at. `replayed_ns`: the same replay
    without the change."""

    change: Change
    measured_ns: tuple[int, ...]
    replayed_ns: tuple[int, ...]
    changed_ns: tuple[int, ...]

    @property
    def gain(self) -> float:
        """How much less time, as a share of the time without the change; both replayed."""
        return 1 - sum(self.changed_ns) / (sum(self.replayed_ns) or 1)

    @property
    def replay_ratio(self) -> float:
        """The replay without a change against what was measured: 1 where the model is right."""
        return sum(self.replayed_ns) / (sum(self.measured_ns) or 1)

    @property
    def expected_p50_ns(self) -> int:
        """The median to be expected: what was measured, by as much less as the replays differ."""
        return round(percentile(self.measured_ns, 50) * (1 - self.gain))


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Of all calls and executions of a name (or all that begin a trace): where their time goes, and what would help."""

    name: str
    took_ns: tuple[int, ...]
    errors: int
    shares: tuple[Share, ...]
    bottleneck: str
    effects: tuple[Effect, ...]


def diagnose(
    forest: Forest, concurrency: Mapping[str, int], name: str = "", wanted: Sequence[Change] = ()
) -> Diagnosis:
    """`concurrency`: the most workers of each function. `wanted`: changes to try besides those that are suggested."""
    roots = wholes(forest, name)
    paths = [critical_path(forest, root) for root in roots]
    found = shares(paths)
    changes = [*wanted, *_suggestions(found, concurrency)]
    return Diagnosis(
        name=name,
        took_ns=tuple(root.took_ns for root in roots),
        errors=sum(bool(root.error) for root in roots),
        shares=tuple(found),
        bottleneck=sentence(found[0], paths, concurrency) if found else "nothing was observed",
        effects=effects(forest, roots, concurrency, changes) if changes else (),
    )


def effects(
    forest: Forest, roots: Sequence[Span], concurrency: Mapping[str, int], changes: Iterable[Change]
) -> tuple[Effect, ...]:
    """What each change would do."""
    measured = tuple(root.took_ns for root in roots)

    def replayed(change: Change | None) -> tuple[int, ...]:
        took_ns = replay(forest, concurrency, change)
        return tuple(took_ns[root.span_id] for root in roots)

    same = replayed(None)
    return tuple(Effect(change, measured, same, replayed(change)) for change in changes)


def sentence(top: Share, paths: Sequence[Sequence[Segment]], concurrency: Mapping[str, int]) -> str:
    """The bottleneck for people."""
    part = f"{top.share:.0%} of the time"
    took_ns = [
        sum(segment.took_ns for segment in path if (segment.name, segment.kind) == (top.name, top.kind))
        for path in paths
    ]
    with_it = [ns for ns in took_ns if ns]
    among = "each" if len(with_it) == len(paths) else f"the {len(with_it)} of {len(paths)} where it does"
    p50 = f"{percentile(with_it, 50) / 1e6:.1f} ms at the median of {among}"
    workers = concurrency.get(top.name)
    limit = f"concurrency {workers}" if workers else "its concurrency is not known"
    match top.kind:
        case "queue":
            return f"{top.name} waits {part} for a worker: {limit} ({p50})"
        case "run":
            return f"{top.name} runs {part}: {p50}"
        case "start":
            return f"{top.name} takes {part} to start an instance: {p50}; `warm` keeps some"
        case "page-in":
            return f"{top.name} waits {part} for its memory to be read back: {p50}"
        case "hand-off":
            return f"{part} goes into handing on to {top.name}: {p50}"
        case "wait":
            return f"{top.name} waits {part}, as it is told to: {p50}"
        case _:
            return f"{part} is spent around {top.name}, in no function: {p50}"


def describe(change: Change) -> str:
    """A change in words."""
    words = [f"{name} with {count} workers" for name, count in change.workers.items()]
    words += [f"{name} {factor:g} times faster" for name, factor in change.faster.items()]
    return ", ".join(words)


def _suggestions(found: Sequence[Share], concurrency: Mapping[str, int]) -> list[Change]:
    """More workers where it is waited for them, faster handlers where they run."""
    changes: list[Change] = []
    for one in found:
        if one.share < LEAST_SHARE or len(changes) >= MOST_SUGGESTED:
            break
        if one.kind in (HAND_OFF, START, PAGE_IN, OWN, WAIT):
            continue
        if one.kind == QUEUE and one.name in concurrency:
            workers = concurrency[one.name]
            changes += [Change(workers={one.name: 2 * workers}), Change(workers={one.name: 4 * workers})]
        elif one.kind == RUN:
            changes.append(Change(faster={one.name: 2.0}))
    return changes[:MOST_SUGGESTED]
