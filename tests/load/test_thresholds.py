"""Conditions under which a run fails."""

from __future__ import annotations

import pytest

from actorfaas.errors import ConfigError
from actorfaas.load.arrivals import parse as phases
from actorfaas.load.plan import Endpoint, Plan, Target
from actorfaas.load.tally import Tally
from actorfaas.load.thresholds import judge, parse
from tests.load.kit import answered

PLAN = Plan(Endpoint("h", 1), (Target("a", (b"",)), Target("b", (b"",))), phases("constant 100/s 2s"))


def tally() -> Tally:
    found = Tally(1.0, 0.01)
    for number in range(99):
        answered(found, target=0, latency_s=0.001 * (number + 1), kind="resident")
    answered(found, target=1, latency_s=0.5, kind="swapped")
    answered(found, target=1, latency_s=0.1, error="500")
    return found


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("p50>60ms", False),
        ("p50 > 40ms", True),
        ("p99.99<1s", True),
        ("max>=400ms", True),
        ("mean<1ms", False),
        ("a:max>100ms", False),
        ("b:max>100ms", True),
        ("resident:p99>200ms", False),
        ("swapped:p50>0.2s", True),
        ("errors>0", True),
        ("errors>1%", False),
        ("errors>0.5%", True),
        ("dropped>0", False),
        ("rate<60", True),
        ("rate<40", False),
    ],
)
def test_conditions(text: str, failed: bool) -> None:
    assert judge(parse(text), PLAN, tally(), elapsed_s=2.0).failed is failed


def test_nothing_measured_is_not_good() -> None:
    verdict = judge(parse("prefetched:p99>1s"), PLAN, tally(), 2.0)
    assert verdict.failed
    assert verdict.measured == "no calls"


@pytest.mark.parametrize(
    "text", ["", "p99", "p99>5", "p100>5ms", "speed>3", "errors>many", "a:errors>3", "p99=5ms", "p99>5%", "rate<5%"]
)
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


def test_what_was_measured_is_said() -> None:
    assert judge(parse("errors>1%"), PLAN, tally(), 2.0).measured == "1 (0.99 %)"
    assert judge(parse("b:max>1ms"), PLAN, tally(), 2.0).measured.endswith(" ms")
