"""What one expression of a workflow costs: compiled once for a deployment, evaluated at each transition.

`python -m bench.expressions [--quick] [--json FILE]`, in this process alone. The first expression that needs a library
also pays for importing it; that is shown apart.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from actorfaas.states.choices import compile_rule
from actorfaas.states.paths import Path
from actorfaas.states.queries import QueryTemplate
from actorfaas.states.scope import Outside, QueryScope, Scope, states_object
from actorfaas.states.templates import Template
from bench.machine import ROOT
from bench.measure import Summary
from bench.report import Report, options

Json = Any  # decoded JSON of any shape

INPUT: Json = {
    "order": {"id": "A-1", "total": 42.5, "customer": {"name": "Ada", "tier": 2}},
    "items": [{"sku": f"s{n}", "price": n * 1.5, "count": n % 3} for n in range(10)],
}
PARAMETERS: Json = {
    "id.$": "$.order.id",
    "label.$": "States.Format('{} for {}', $.order.id, $.order.customer.name)",
    "constant": {"currency": "EUR", "flags": [1, 2, 3]},
    "first.$": "$.items[0]",
}
OUTPUT: Json = {
    "id": "{% $states.input.order.id %}",
    "sum": "{% $sum($states.input.items.(price * count)) %}",
    "constant": {"currency": "EUR", "flags": [1, 2, 3]},
}
TIERS: Json = {
    "And": [
        {"Variable": "$.order.total", "NumericGreaterThan": 10},
        {"Not": {"Variable": "$.order.customer.tier", "NumericEquals": 1}},
    ]
}

Evaluation = Callable[[], Json]


def cases(scope: Scope, queries: QueryScope) -> dict[str, Callable[[], Evaluation]]:
    """What is measured: something that compiles, and gives what evaluates."""

    def path(text: str) -> Callable[[], Evaluation]:
        def compiled() -> Evaluation:
            found = Path(text)
            return lambda: found.find(scope)

        return compiled

    def query(source: Json) -> Callable[[], Evaluation]:
        def compiled() -> Evaluation:
            found = QueryTemplate(source, "Output")
            return lambda: found.evaluate(queries)

        return compiled

    def template() -> Evaluation:
        found = Template(PARAMETERS)
        return lambda: found.fill(scope)

    def rule() -> Evaluation:
        found = compile_rule(TIERS)
        return lambda: found(scope)

    return {
        "path, $.order.customer.name": path("$.order.customer.name"),
        "path, $.items[*].price of 10": path("$.items[*].price"),
        "path, $..price": path("$..price"),
        "path, filter of 10 items": path("$.items[?(@.price > 5)].sku"),
        "Parameters, 4 fields, 1 function": template,
        "choice rule, 2 comparisons": rule,
        "JSONata, $states.input.order.id": query("{% $states.input.order.id %}"),
        "JSONata, the same in brackets (the library)": query("{% ($states.input.order.id) %}"),
        "JSONata, $sum over 10 items": query(OUTPUT["sum"]),
        "JSONata, filter of 10 items": query("{% $states.input.items[price > 5].sku %}"),
        "JSONata, Output of 3 fields": query(OUTPUT),
    }


def timed_us(work: Callable[[], object], samples: int, repeats: int) -> Summary:
    """How long `work` takes, each sample the mean of `repeats` runs."""
    found = []
    for _ in range(samples):
        started = time.perf_counter_ns()
        for _ in range(repeats):
            work()
        found.append((time.perf_counter_ns() - started) / repeats / 1000)
    return Summary.of(found)


def import_ms(module: str) -> float:
    """How long a new interpreter takes to import a module, beside what it takes anyway."""
    code = f"import time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1000)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=60, text=True
    )
    return float(done.stdout)


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__)
    report = Report("expressions", chosen.seed)
    chance = random.Random(chosen.seed)
    outside = Outside(0, chance.random, lambda: str(uuid.UUID(int=chance.getrandbits(128), version=4)))
    scope = Scope(INPUT, {"State": {"Name": "s"}}, {}, outside)
    queries = QueryScope(states_object(INPUT, scope.context), {}, outside)
    samples = 20 if chosen.quick else 200
    for name, compiled in cases(scope, queries).items():
        evaluate = compiled()
        compiling, evaluating = timed_us(compiled, samples, 5), timed_us(evaluate, samples, 50)
        report.rows.append(
            {"expression": name, "compile p50 µs": compiling.p50, "p50 µs": evaluating.p50, "p99 µs": evaluating.p99}
        )
    for module in ("actorfaas.states.queries", "jsonpath", "jsonata.jsonata"):
        best = min(import_ms(module) for _ in range(3))
        report.rows.append({"import": module, "best of 3 ms": best})
    report.finish(chosen)


if __name__ == "__main__":
    main()
