"""What a run found, one process or all of them: latencies by start kind and target, errors, its course. Pure.

A latency counts from a call's intended start. It is counted for calls that were answered well, and for those that ran
into the time limit, with that limit; a quick refusal makes no server faster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

from actorfaas.load.histogram import Histogram
from actorfaas.load.plan import TIMED_OUT, UNFINISHED, Call, Plan

COARSE = 2
"""Significant figures of histograms of which there are many."""

MOST_NAMES = 20
"""So many start kinds and errors are told apart, which servers name as they like; the rest are `OTHERS`."""
OTHERS = "others"

Json = dict[str, Any]  # a JSON object

COUNTS = ("sent", "ok", "failed", "dropped", "late")


class Answered(Protocol):
    """What is read from an answer."""

    kind: str


@dataclass(slots=True)
class Interval:
    """One step of the course. `intended`, `sent`, `ok`, `failed`: by when each of that happened; latencies by when
    calls were to be sent."""

    intended: int = 0
    sent: int = 0
    ok: int = 0
    failed: int = 0
    dropped: int = 0
    late: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=lambda: Histogram(COARSE))


@dataclass(slots=True)
class Part:
    """One target's share of the run."""

    ok: int = 0
    failed: int = 0
    dropped: int = 0
    latency: Histogram = field(default_factory=lambda: Histogram(COARSE))


class Tally:
    """The sink of a run. `begin_s`: the time of `time.monotonic` at which the plan begins."""

    def __init__(self, width_s: float, late_s: float, begin_s: float = 0.0, is_open: bool = True) -> None:
        self.width_s = width_s
        self.late_s = late_s
        self.begin_s = begin_s
        self.is_open = is_open
        self.sent = self.ok = self.failed = self.dropped_count = self.late = self.unfinished = 0
        self.by_kind: dict[str, Histogram] = {}
        self.from_send = Histogram()
        self.lateness = Histogram()
        self.parts: dict[int, Part] = {}
        self.errors: Counter[str] = Counter()
        self.course: list[Interval] = []
        self.last_s = 0.0

    # --- Sink -------------------------------------------------------------------------------------------------------

    def ended(self, call: Call, intended_s: float, sent_s: float, now: float, answer: Answered, error: str) -> None:
        """Count a call that was sent."""
        intended = self._interval(intended_s)
        intended.intended += 1
        self._interval(sent_s).sent += 1
        self.sent += 1
        if sent_s - intended_s > self.late_s:
            self.late += 1
            intended.late += 1
        if self.is_open:
            self.lateness.record(sent_s - intended_s)
        if error == UNFINISHED:
            self.unfinished += 1
            return
        self.last_s = now
        part = self._part(call.target)
        if error:
            self.failed += 1
            part.failed += 1
            self.errors[_bounded(error, self.errors)] += 1
            self._interval(now).failed += 1
            if error != TIMED_OUT:
                return
        else:
            self.ok += 1
            part.ok += 1
            self._interval(now).ok += 1
        self._measured(answer.kind or error, intended, part, now - intended_s)
        if self.is_open:
            self.from_send.record(now - sent_s)

    def dropped(self, call: Call) -> None:
        """Count a call that was not sent."""
        self.dropped_count += 1
        self._part(call.target).dropped += 1
        interval = self._interval(self.begin_s + call.at_s)
        interval.intended += 1
        interval.dropped += 1

    def _measured(self, kind: str, interval: Interval, part: Part, latency_s: float) -> None:
        kind = _bounded(kind, self.by_kind)
        histogram = self.by_kind.get(kind)
        if histogram is None:
            histogram = self.by_kind[kind] = Histogram()
        histogram.record(latency_s)
        interval.latency.record(latency_s)
        interval.kinds[kind] += 1
        part.latency.record(latency_s)

    def _part(self, target: int) -> Part:
        part = self.parts.get(target)
        if part is None:
            part = self.parts[target] = Part()
        return part

    def _interval(self, at_s: float) -> Interval:
        number = max(0, int((at_s - self.begin_s) / self.width_s))
        while len(self.course) <= number:
            self.course.append(Interval())
        return self.course[number]

    # --- merging ----------------------------------------------------------------------------------------------------

    @property
    def latency(self) -> Histogram:
        """All latencies."""
        whole = Histogram()
        for histogram in self.by_kind.values():
            whole.add(histogram)
        return whole

    def merge(self, other: Tally) -> None:
        """Add what another process found in the same run."""
        for name in ("sent", "ok", "failed", "dropped_count", "late", "unfinished"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for kind, histogram in other.by_kind.items():
            self.by_kind.setdefault(kind, Histogram()).add(histogram)
        self.from_send.add(other.from_send)
        self.lateness.add(other.lateness)
        for number, part in other.parts.items():
            _add(self._part(number), part, ("ok", "failed", "dropped"))
        self.errors.update(other.errors)
        for number, interval in enumerate(other.course):
            mine = self._interval(self.begin_s + (number + 0.5) * self.width_s)
            _add(mine, interval, ("intended", *COUNTS))
            mine.kinds.update(interval.kinds)
        self.last_s = max(self.last_s, other.last_s)

    def to_json(self) -> Json:
        """Everything, for another process."""
        return {
            "width_s": self.width_s,
            "late_s": self.late_s,
            "begin_s": self.begin_s,
            "is_open": self.is_open,
            "last_s": self.last_s,
            "sent": self.sent,
            "ok": self.ok,
            "failed": self.failed,
            "dropped_count": self.dropped_count,
            "late": self.late,
            "unfinished": self.unfinished,
            "by_kind": {kind: histogram.encode() for kind, histogram in self.by_kind.items()},
            "from_send": self.from_send.encode(),
            "lateness": self.lateness.encode(),
            "parts": {
                str(number): [part.ok, part.failed, part.dropped, part.latency.encode()]
                for number, part in self.parts.items()
            },
            "errors": dict(self.errors),
            "course": [
                [one.intended, *(getattr(one, name) for name in COUNTS), dict(one.kinds), one.latency.encode()]
                for one in self.course
            ],
        }

    @classmethod
    def from_json(cls, document: Json) -> Tally:
        """The tally of `to_json`."""
        tally = cls(*(document[name] for name in ("width_s", "late_s", "begin_s", "is_open")))
        for name in ("last_s", "sent", "ok", "failed", "dropped_count", "late", "unfinished"):
            setattr(tally, name, document[name])
        tally.by_kind = {kind: Histogram.decode(text) for kind, text in document["by_kind"].items()}
        tally.from_send = Histogram.decode(document["from_send"])
        tally.lateness = Histogram.decode(document["lateness"])
        tally.errors = Counter(document["errors"])
        for number, (*counts, text) in document["parts"].items():
            part = tally.parts[int(number)] = Part(latency=Histogram.decode(text, COARSE))
            part.ok, part.failed, part.dropped = counts
        for *counts, kinds, text in document["course"]:
            interval = Interval(kinds=Counter(kinds), latency=Histogram.decode(text, COARSE))
            for name, count in zip(("intended", *COUNTS), counts, strict=True):
                setattr(interval, name, count)
            tally.course.append(interval)
        return tally


@dataclass(slots=True)
class Outcome:
    """What a run found. `processors`: of each generator process, the share of a core it used."""

    plan: Plan
    tally: Tally
    began_at: float
    processors: list[float] = field(default_factory=list)
    most_at_once: int = 0
    interrupted: bool = False


def _bounded(name: str, known: Collection[str]) -> str:
    return name if name in known or len(known) < MOST_NAMES else OTHERS


def _add(mine: Any, other: Any, names: tuple[str, ...]) -> None:  # two of a kind: parts or intervals
    for name in names:
        setattr(mine, name, getattr(mine, name) + getattr(other, name))
    mine.latency.add(other.latency)
