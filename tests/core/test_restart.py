"""The restart policy: back-off, limit, forgiveness."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorfaas.core.restart import GiveUp, Restart, RestartPolicy, RestartRules

RULES = RestartRules(first_delay_s=0.1, longest_delay_s=1.0, stable_after_s=30.0, limit=5, window_s=60.0)


def test_the_delay_doubles_up_to_the_longest() -> None:
    policy = RestartPolicy(RULES)
    decisions = [policy.died(now_s=100.0 + n, lived_s=0.1) for n in range(5)]
    assert decisions == [
        Restart(0.1, 1),
        Restart(0.2, 2),
        Restart(0.4, 3),
        Restart(0.8, 4),
        Restart(1.0, 5),
    ]


def test_more_deaths_than_the_limit_within_the_window_end_it() -> None:
    policy = RestartPolicy(RULES)
    for n in range(5):
        assert isinstance(policy.died(now_s=n, lived_s=0.5), Restart)
    assert policy.died(now_s=5, lived_s=0.5) == GiveUp(deaths=6, window_s=60.0)


def test_deaths_outside_the_window_do_not_count() -> None:
    policy = RestartPolicy(RULES)
    for n in range(50):
        decision = policy.died(now_s=n * 12.5, lived_s=12.0)
        assert decision == Restart(min(0.1 * 2**n, 1.0), n + 1)


def test_a_stable_life_forgives_what_was_before() -> None:
    policy = RestartPolicy(RULES)
    for n in range(5):
        policy.died(now_s=n, lived_s=0.5)
    assert policy.died(now_s=35.0, lived_s=30.0) == Restart(0.1, 1)


def test_a_limit_of_zero_never_restarts() -> None:
    policy = RestartPolicy(RestartRules(limit=0))
    assert isinstance(policy.died(now_s=1.0, lived_s=1000.0), GiveUp)


@given(lives=st.lists(st.floats(min_value=0, max_value=100, allow_nan=False), max_size=200))
def test_delays_stay_within_their_bounds_and_never_shrink_without_a_stable_life(lives: list[float]) -> None:
    policy = RestartPolicy(RULES)
    now, last_delay, recent = 0.0, 0.0, list[float]()
    for lived in lives:
        now += lived
        stable = lived >= RULES.stable_after_s
        recent = [] if stable else [at for at in recent if at > now - RULES.window_s]
        recent.append(now)
        decision = policy.died(now, lived)
        if isinstance(decision, GiveUp):
            assert len(recent) > RULES.limit
            return
        assert len(recent) <= RULES.limit
        assert RULES.first_delay_s <= decision.delay_s <= RULES.longest_delay_s
        assert decision.delay_s >= last_delay or stable
        last_delay = decision.delay_s
        now += decision.delay_s
