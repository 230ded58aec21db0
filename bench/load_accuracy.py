"""How fast `actorfaas load` can call, and how right it is: beside wrk, and against servers of known delays.

`python -m bench.load_accuracy [--quick] [--json FILE]`; wrk takes part if it is installed (Debian: `apt install wrk`).

*Rates*: a plain uvicorn no-op, called over 16 connections as fast as it goes by wrk (one thread) and by one and two
processes of `actorfaas load`, taking turns; the server and its callers share the processor. Then rates that are asked
for in an open loop, by one process, and how late calls were sent.

*Accuracy*: a server whose delays are drawn from a known distribution, and one that stalls on purpose for one second in
five (each from `bench.delaying`). What people would see follows from arithmetic: of independent arrivals a fifth meet
the stall and wait for what is left of it, so that above 80 % the percentile p is (p - 80 %) × 5 s, and 1 ms. The open
loop has to show that; a closed one calls once for each connection during a stall, and does not. wrk corrects what it
shows: as if each connection had meant to call at its mean interval, stalls included.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from actorfaas.load import arrivals
from actorfaas.load.http_requests import render
from actorfaas.load.plan import Closed, Endpoint, Plan, Target
from actorfaas.load.running import run
from actorfaas.load.summary import summarise
from actorfaas.load.tally import Outcome
from bench import delaying, peers
from bench.delaying import Delays
from bench.measure import Summary
from bench.report import Report, options

CONNECTIONS = 16
GOAL_RATE = 10_000
OPEN_RATES = (2_000, 5_000, 10_000)
MIXTURE = Delays(((2.0, 0.90), (10.0, 0.09), (50.0, 0.01)))
STALLS = Delays(((1.0, 1.0),), every_s=5.0, stall_s=1.0)
PERCENTS = (50.0, 90.0, 95.0, 99.0, 99.9)
_UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one generator said: good answers a second, and latencies in ms by percentile."""

    rate: float
    latency_ms: dict[float, float]


def wrk(url: str, seconds: float) -> Measured:
    """One thread of wrk. Raises RuntimeError when it fails."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "--latency", "-s", "/dev/stdin", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=WRK_REPORT)
    if done.returncode != 0:
        raise RuntimeError(f"wrk failed: {done.stderr or done.stdout}")
    rate, *percentiles = map(float, re.findall(r"^result (.*)$", done.stdout, re.MULTILINE)[0].split())
    return Measured(rate, dict(zip(PERCENTS, percentiles, strict=True)))


WRK_REPORT = f"""
done = function(summary, latency, requests)
  local figures = {{summary.requests / summary.duration * 1e6}}
  for _, p in ipairs({{{", ".join(f"{percent:g}" for percent in PERCENTS)}}}) do
    figures[#figures + 1] = latency:percentile(p) / 1000
  end
  print("result " .. table.concat(figures, " "))
end
"""


def loaded(url: str, how: str | Closed, processes: int = 1) -> Outcome:
    """One run of `actorfaas load`."""
    phases = arrivals.parse(how) if isinstance(how, str) else how
    made = Plan(Endpoint.of(url), (Target("server", (render("GET", url),)),), phases, processes=processes)
    outcome = run(made)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return outcome


def closed_turn(url: str, turn_s: float, processes: int) -> Measured:
    """As fast as it goes."""
    return of(loaded(url, Closed(CONNECTIONS, turn_s), processes))


def of(outcome: Outcome) -> Measured:
    """Its figures."""
    return Measured(summarise(outcome)["ok_per_s"], in_ms(outcome.tally.latency.percentiles_s(PERCENTS)))


def measure_rates(report: Report, rounds: int, turn_s: float) -> None:
    """As fast as it goes, in turns; then rates that are asked for."""
    generators: dict[str, Callable[[str], Measured]] = {}
    if shutil.which("wrk"):
        generators["wrk, 1 thread"] = lambda url: wrk(url, turn_s)
    else:
        report.notes.append("wrk is not installed here, so it took no part (Debian: apt install wrk)")
    for processes in (1, 2):
        name = f"actorfaas load, {processes} process{'es' if processes > 1 else ''}"
        generators[name] = partial(closed_turn, turn_s=turn_s, processes=processes)
    with peers.plain_uvicorn() as url:
        turns = take_turns(generators, url, rounds)
        for name, measured in turns.items():
            figures = {f"p{p:g} ms": Summary.of([one.latency_ms[p] for one in measured]).p50 for p in (50.0, 99.0)}
            rate = Summary.of([one.rate for one in measured]).p50
            report.rows.append({f"as fast as it goes, {CONNECTIONS} connections": name, "calls/s": rate, **figures})
        ours = Summary.of([one.rate for one in turns["actorfaas load, 1 process"]]).p50
        report.budget("rate of one process", GOAL_RATE, ours, "calls/s", at_most=False)
        for rate in OPEN_RATES:
            report.rows.append(open_row(rate, loaded(url, f"poisson {rate}/s {turn_s:g}s")))


def take_turns(generators: dict[str, Callable[[str], Measured]], url: str, rounds: int) -> dict[str, list[Measured]]:
    """All generators in every round, another one first each time; one round before is not counted."""
    names = list(generators)
    found: dict[str, list[Measured]] = {name: [] for name in names}
    for number in range(rounds + 1):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            measured = generators[name](url)
            if number:
                found[name].append(measured)
    return found


def open_row(rate: int, outcome: Outcome) -> dict[str, object]:
    """How well calls were sent at a rate that was asked for."""
    late = outcome.tally.lateness.percentiles_s((50.0, 99.0))
    return {
        "open loop, asked for": f"{rate:,}/s",
        "ok/s": of(outcome).rate,
        "p50 ms": outcome.tally.latency.percentile_s(50) * 1000,
        "p99 ms": outcome.tally.latency.percentile_s(99) * 1000,
        "sent late by p50 ms": late[50.0] * 1000,
        "p99 ms late": late[99.0] * 1000,
        "of a core %": 100 * outcome.processors[0],
    }


def measure_mixture(report: Report, seconds: float) -> None:
    """Delays from a known distribution, and what is reported of them."""
    with delaying.serving(MIXTURE) as url:
        outcome = loaded(url, f"poisson 500/s {seconds:g}s")
    for percent in PERCENTS:
        if percent in (90.0, 99.0):
            continue  # there the distribution jumps: either value would be right
        expected, found = MIXTURE.percentile_ms(percent), outcome.tally.latency.percentile_s(percent) * 1000
        report.rows.append(
            {
                "delays of 2, 10 and 50 ms": f"p{percent:g}",
                "must be ms": expected,
                "reported ms": found,
                "error ms": found - expected,
            }
        )
    error_ms = outcome.tally.latency.percentile_s(50) * 1000 - MIXTURE.percentile_ms(50)
    report.budget("error of the median, known delays", 0.5, error_ms, "ms")


def measure_stall(report: Report, periods: int) -> None:
    """A server that stalls: what must be seen, and what each way of asking shows."""
    seconds = periods * STALLS.every_s
    with delaying.serving(STALLS) as url:
        opened = loaded(url, f"poisson 500/s {seconds:g}s")
        closed = loaded(url, Closed(CONNECTIONS, seconds))
        seen = {"open loop": in_ms(opened.tally.latency.percentiles_s(PERCENTS))}
        seen["closed loop"] = in_ms(closed.tally.latency.percentiles_s(PERCENTS))
        corrected = closed.tally.latency.corrected(closed.tally.latency.percentile_s(50))
        seen["closed loop, corrected"] = in_ms(corrected.percentiles_s(PERCENTS))
        if shutil.which("wrk"):
            seen["wrk (closed loop, corrected)"] = wrk(url, seconds).latency_ms
    expected = {percent: STALLS.percentile_ms(percent) for percent in PERCENTS}
    for name, figures in {"must be seen": expected, **seen}.items():
        report.rows.append({"stalls of 1 s in 5 s": name, **{f"p{p:g} ms": figures[p] for p in PERCENTS}})
    error = abs(seen["open loop"][99.0] / expected[99.0] - 1)
    report.budget("error of p99 under stalls, open loop", 0.03, error, "× of what must be seen")
    report.budget("p99 under stalls that a closed loop shows", 0.5, seen["closed loop"][99.0] / expected[99.0], "×")


def in_ms(percentiles_s: dict[float, float]) -> dict[float, float]:
    """The same in ms."""
    return {percent: found * 1000 for percent, found in percentiles_s.items()}


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__)
    report = Report("load_accuracy", chosen.seed)
    measure_rates(report, *((2, 1.0) if chosen.quick else (4, 2.0)))
    measure_mixture(report, 4.0 if chosen.quick else 20.0)
    measure_stall(report, 1 if chosen.quick else 4)
    report.finish(chosen)


if __name__ == "__main__":
    main()
