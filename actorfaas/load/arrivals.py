"""When calls arrive: phases of Poisson or constant arrivals, ramps, bursts and pauses, and their one-line language.

    poisson 200/s 30s                     independent arrivals, 200 a second on average, for 30 seconds
    constant 200/s 30s                    evenly spaced
    poisson 10..500/s 1m                  a ramp: the rate grows (or falls) linearly; likewise with `constant`
    burst 100 every 2s 20s                100 at once, every two seconds, for 20 seconds
    pause 5s                              nothing

Phases follow each other, separated by commas. Pure: the same random generator gives the same times.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from actorfaas.errors import ConfigError

_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:\.\.(\d+(?:\.\d+)?))?(?:/(s|m|h))?")


@dataclass(frozen=True, slots=True)
class Stream:
    """Arrivals at a rate (a second) that changes linearly from `rate` to `end_rate`; Poisson, or `even`ly spaced."""

    rate: float
    end_rate: float
    duration_s: float
    even: bool = False

    def times(self, chance: Random) -> Iterator[float]:
        """When calls arrive, in s from the phase's begin.

        A unit-rate process, stretched by the inverse of the number of calls expected until a time.
        """
        growth = (self.end_rate - self.rate) / self.duration_s
        expected = (self.rate + self.end_rate) / 2 * self.duration_s
        number = 0.0 if self.even else chance.expovariate(1.0)
        while number < expected:
            yield 2 * number / (self.rate + math.sqrt(max(0.0, self.rate**2 + 2 * growth * number))) if number else 0.0
            number += 1.0 if self.even else chance.expovariate(1.0)

    @property
    def expected(self) -> float:
        """How many calls that are, on average."""
        return (self.rate + self.end_rate) / 2 * self.duration_s

    def __str__(self) -> str:
        rate = f"{self.rate:g}" if self.rate == self.end_rate else f"{self.rate:g}..{self.end_rate:g}"
        return f"{'constant' if self.even else 'poisson'} {rate}/s {self.duration_s:g}s"


@dataclass(frozen=True, slots=True)
class Burst:
    """`count` calls at the same instant, again `every_s`."""

    count: int
    every_s: float
    duration_s: float

    def times(self, chance: Random) -> Iterator[float]:
        """When calls arrive, in s from the phase's begin."""
        for burst in range(self._bursts):
            for _ in range(self.count):
                yield burst * self.every_s

    @property
    def expected(self) -> float:
        """How many calls that are."""
        return float(self.count * self._bursts)

    @property
    def _bursts(self) -> int:
        return math.ceil(self.duration_s / self.every_s - 1e-9)

    def __str__(self) -> str:
        return f"burst {self.count} every {self.every_s:g}s {self.duration_s:g}s"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing for a while."""

    duration_s: float
    expected = 0.0

    def times(self, chance: Random) -> Iterator[float]:
        """No calls."""
        return iter(())

    def __str__(self) -> str:
        return f"pause {self.duration_s:g}s"


Phase = Stream | Burst | Pause


def times(phases: Sequence[Phase], chance: Random) -> Iterator[float]:
    """When calls arrive, in s from the begin, ascending."""
    begin_s = 0.0
    for phase in phases:
        for at_s in phase.times(chance):
            yield begin_s + at_s
        begin_s += phase.duration_s


def parse(text: str) -> tuple[Phase, ...]:
    """The phases of a specification. Raises ConfigError naming the phase that is wrong."""
    return tuple(_phase(part.strip()) for part in text.split(","))


def duration_s(text: str) -> float:
    """A duration as people write it (`500ms`, `30s`, `1.5m`), in seconds. Raises ConfigError."""
    found = _DURATION.fullmatch(text)
    if found is None or float(found[1]) <= 0:
        raise ConfigError(f"{text!r} is no duration: write it like 500ms, 30s or 2m")
    return float(found[1]) * _UNITS_S[found[2]]


def _phase(text: str) -> Phase:
    match text.split():
        case ["poisson" | "constant" as kind, rate, lasting]:
            first, last = _rates(rate)
            return Stream(first, last, duration_s(lasting), even=kind == "constant")
        case ["burst", count, "every", every, lasting] if count.isdecimal() and int(count) > 0:
            return Burst(int(count), duration_s(every), duration_s(lasting))
        case ["pause", lasting]:
            return Pause(duration_s(lasting))
        case _:
            raise ConfigError(
                f"{text!r} is no phase of arrivals: write `poisson 200/s 30s`, `constant 10..500/s 1m`, "
                "`burst 100 every 2s 20s` or `pause 5s`, separated by commas"
            )


def _rates(text: str) -> tuple[float, float]:
    found = _RATE.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text!r} is no rate: write it like 200/s, 30/m or 10..500/s")
    first, last = float(found[1]), float(found[2] or found[1])
    if first + last <= 0:
        raise ConfigError(f"a rate of {text!r} is no calls at all: use `pause`")
    per_s = _UNITS_S[found[3] or "s"]
    return first / per_s, last / per_s
