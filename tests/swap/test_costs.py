"""Learned prices: which way is cheapest, and when a prefetch begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorfaas.swap.costs import MS, ChoiceRules, FunctionCosts, LeadRules, Way
from actorfaas.swap.durations import DurationHistogram, Estimate

NO_TRIALS = ChoiceRules(explore_every=0)
ways = st.sampled_from(sorted(Way))
durations_ns = st.integers(1, 10**11)


def test_before_anything_is_measured_the_order_is_that_of_the_design() -> None:
    costs = FunctionCosts(choice=NO_TRIALS)
    offered = set(Way)
    order = []
    while offered:
        way = FunctionCosts(choice=NO_TRIALS).cheapest(offered)
        assert way is not None
        order.append(way)
        offered.remove(way)
    assert order[:2] == [Way.RESIDENT, Way.PREFETCHED]
    assert order[-2:] == [Way.DEMAND, Way.COLD]
    assert costs.price_ns(Way.DEMAND) > costs.price_ns(Way.FORK) > costs.price_ns(Way.RESIDENT)


def test_a_small_working_set_beats_a_fork_and_a_large_one_does_not() -> None:
    small, large = FunctionCosts(choice=NO_TRIALS), FunctionCosts(choice=NO_TRIALS)
    for _ in range(20):
        small.observe_working_set(1_000_000)
        large.observe_working_set(100_000_000)
    both = {Way.FORK, Way.SWAP_IN, Way.DEMAND}
    assert small.cheapest(both) is Way.SWAP_IN
    assert large.cheapest(both) is Way.FORK
    assert small.bring_back_ns() < large.bring_back_ns()
    assert large.bring_back_ns(can_fork=True) < large.bring_back_ns()


def test_measurements_overrule_priors() -> None:
    costs = FunctionCosts(choice=NO_TRIALS)
    for _ in range(30):
        costs.observe(Way.FORK, 100 * MS)
        costs.observe(Way.SWAP_IN, 8 * MS)
    assert costs.cheapest([Way.FORK, Way.SWAP_IN]) is Way.SWAP_IN
    assert costs.price_ns(Way.FORK) == pytest.approx(100 * MS, rel=0.25)


def test_what_calls_take_longer_is_part_of_the_price() -> None:
    costs = FunctionCosts(choice=NO_TRIALS)
    for _ in range(20):
        costs.observe(Way.FORK, 5 * MS)
        costs.observe(Way.SWAP_IN, 15 * MS)
    assert costs.cheapest([Way.FORK, Way.SWAP_IN]) is Way.FORK
    for _ in range(20):
        costs.observe_call(Way.FORK, 65 * MS)
        costs.observe_call(Way.PREFETCHED, 22 * MS)
        costs.observe_call(Way.RESIDENT, 20 * MS)
    assert costs.cheapest([Way.FORK, Way.SWAP_IN]) is Way.SWAP_IN
    assert costs.price_ns(Way.FORK) == pytest.approx(50 * MS, rel=0.05)
    assert costs.price_ns(Way.SWAP_IN) == pytest.approx(17 * MS, rel=0.05)
    assert costs.bring_back_ns(can_fork=True) == pytest.approx(17 * MS, rel=0.05)


def test_what_is_not_waited_for_is_all_in_the_call() -> None:
    costs = FunctionCosts(choice=NO_TRIALS)
    costs.observe_working_set(10_000_000)
    assert costs.price_ns(Way.DEMAND) > 90 * MS, "as assumed"
    for _ in range(20):
        costs.observe_call(Way.RESIDENT, 1 * MS)
        costs.observe_call(Way.DEMAND, 40 * MS)
        costs.observe_call(Way.CONCURRENT, 9 * MS)
    assert costs.price_ns(Way.DEMAND) == pytest.approx(39 * MS, rel=0.05)
    assert costs.price_ns(Way.CONCURRENT) == pytest.approx(8 * MS, rel=0.05)
    assert costs.measured(Way.CONCURRENT) == 20


def test_a_small_difference_does_not_change_the_choice() -> None:
    costs = FunctionCosts(choice=NO_TRIALS)
    for _ in range(200):
        costs.observe(Way.FORK, 10 * MS)
        costs.observe(Way.SWAP_IN, 10.2 * MS)
    assert costs.cheapest([Way.SWAP_IN]) is Way.SWAP_IN
    assert costs.cheapest([Way.FORK, Way.SWAP_IN]) is Way.SWAP_IN
    for _ in range(200):
        costs.observe(Way.SWAP_IN, 13 * MS)
    assert costs.cheapest([Way.FORK, Way.SWAP_IN]) is Way.FORK


def test_the_first_call_that_was_measured_counts_as_one() -> None:
    costs = FunctionCosts()
    for took_ns in (16 * MS, 4 * MS):
        costs.observe_call(Way.CONCURRENT, took_ns)
    costs.observe_call(Way.RESIDENT, 1 * MS)
    assert costs.price_ns(Way.CONCURRENT) == pytest.approx(7 * MS), "their geometric mean"
    assert costs.measured(Way.CONCURRENT) == 2


def test_a_price_measured_once_under_load_is_corrected() -> None:
    costs = FunctionCosts(choice=ChoiceRules(explore_every=10))
    for _ in range(20):
        costs.observe(Way.FORK, 10 * MS)
    for _ in range(3):
        costs.observe(Way.SWAP_IN, 14 * MS)
    taken = []
    for _ in range(400):
        way = costs.cheapest([Way.FORK, Way.SWAP_IN])
        assert way is not None
        taken.append(way)
        costs.observe(way, 10 * MS if way is Way.FORK else 5 * MS)
    assert taken[0] is Way.FORK
    assert taken[-2:] == [Way.SWAP_IN, Way.SWAP_IN]


@given(st.lists(st.tuples(ways, durations_ns)), st.lists(st.frozensets(ways), max_size=300))
def test_only_what_is_offered_is_taken_and_what_is_there_first(
    observed: list[tuple[Way, int]], offers: list[frozenset[Way]]
) -> None:
    costs = FunctionCosts(choice=ChoiceRules(explore_every=2))
    for way, price_ns in observed:
        costs.observe(way, price_ns)
    for offered in offers:
        way_taken = costs.cheapest(offered)
        assert (way_taken is None) == (not offered)
        if way_taken is not None:
            assert way_taken in offered
            if Way.RESIDENT in offered:
                assert way_taken is Way.RESIDENT
            elif Way.PREFETCHED in offered:
                assert way_taken is Way.PREFETCHED


@given(st.lists(st.tuples(ways, durations_ns)), st.frozensets(ways, min_size=1))
def test_without_trials_no_choice_costs_more_than_the_hysteresis(
    observed: list[tuple[Way, int]], offered: frozenset[Way]
) -> None:
    costs = FunctionCosts(choice=NO_TRIALS)
    for way, price_ns in observed:
        costs.observe(way, price_ns)
        taken = costs.cheapest(offered - {Way.RESIDENT, Way.PREFETCHED})
        if taken is not None:
            best_ns = min(costs.price_ns(way) for way in offered - {Way.RESIDENT, Way.PREFETCHED})
            assert costs.price_ns(taken) <= (1 + ChoiceRules().keep_within) * best_ns * (1 + 1e-9)


def test_a_prefetch_begins_just_in_time() -> None:
    costs = FunctionCosts(lead=LeadRules(margin_ns=1 * MS))
    for _ in range(50):
        costs.run.observe(int(100 * MS))
    start_ns = costs.prefetch_at_ns(1000, 1000, 15 * MS)
    assert 60 * MS < start_ns < 84 * MS
    assert costs.prefetch_at_ns(1000, int(90 * MS), 15 * MS) == int(90 * MS)


def test_of_two_kinds_of_runs_the_short_one_counts_until_it_is_over() -> None:
    costs = FunctionCosts()
    for _ in range(50):
        costs.run.observe(int(20 * MS))
        costs.run.observe(int(1000 * MS))
    assert costs.prefetch_at_ns(0, 0, 5 * MS) < 20 * MS
    assert costs.prefetch_at_ns(0, int(40 * MS), 5 * MS) > 700 * MS


def test_without_knowledge_a_prefetch_begins_at_once() -> None:
    costs = FunctionCosts()
    assert costs.prefetch_at_ns(5, 7, 1.0) == 7
    costs.run.observe(1000)
    assert costs.prefetch_at_ns(0, 10**12, 1.0) == 10**12


@given(st.lists(durations_ns, max_size=30), st.integers(0, 10**11), st.integers(0, 10**11), durations_ns)
def test_a_prefetch_never_begins_in_the_past_and_no_later_than_the_mean(
    runs: list[int], started_ns: int, elapsed_ns: int, prefetch_ns: int
) -> None:
    costs = FunctionCosts()
    for run in runs:
        costs.run.observe(run)
    now_ns = started_ns + elapsed_ns
    begin_ns = costs.prefetch_at_ns(started_ns, now_ns, prefetch_ns)
    assert begin_ns >= now_ns
    expected_ns = costs.run.expected_ns(elapsed_ns)
    if expected_ns is not None:
        assert begin_ns <= max(now_ns, started_ns + expected_ns - prefetch_ns)


def test_a_likely_branch_is_worth_a_prefetch_and_an_unlikely_one_is_not() -> None:
    costs = FunctionCosts()
    assert costs.guess_gain_ns(0.95, [Way.SWAP_IN]) > 0
    assert costs.guess_gain_ns(0.05, [Way.SWAP_IN]) < 0
    assert costs.guess_gain_ns(1.0, [Way.RESIDENT]) == 0


class TestEstimate:
    def test_it_follows_a_lasting_change_and_hardly_an_outlier(self) -> None:
        estimate = Estimate(1000.0)
        for _ in range(50):
            estimate.observe(1000.0)
        estimate.observe(1e9)
        assert estimate.value == pytest.approx(1000.0, rel=0.16)
        for _ in range(40):
            estimate.observe(5000.0)
        assert estimate.value == pytest.approx(5000.0, rel=0.1)

    def test_priors_matter_only_until_something_is_measured(self) -> None:
        estimate = Estimate(10.0)
        estimate.assume(500.0)
        assert estimate.value == pytest.approx(500.0)
        estimate.observe(500.0)
        estimate.assume(7.0)
        assert estimate.value == pytest.approx(500.0)

    @given(st.lists(st.floats(1.0, 1e12), max_size=60), st.floats(1.0, 1e12))
    def test_it_stays_within_what_was_seen(self, values: list[float], prior: float) -> None:
        estimate = Estimate(prior)
        for value in values:
            estimate.observe(value)
        seen = [prior, *values]
        assert min(seen) * 0.999 <= estimate.value <= max(seen) * 1.001
        assert estimate.high >= estimate.value
        assert estimate.count == len(values)


class TestDurationHistogram:
    @given(st.lists(st.integers(10_000, 10**12), min_size=1), st.floats(0.01, 1.0))
    def test_it_is_right_within_a_bucket(self, runs: list[int], share: float) -> None:
        histogram = DurationHistogram()
        for run in runs:
            histogram.observe(run)
        mean = histogram.expected_ns()
        low, high = histogram.quantile_ns(share), histogram.quantile_ns(1.0)
        assert mean is not None
        assert low is not None
        assert high is not None
        assert mean == pytest.approx(sum(runs) / len(runs), rel=0.2)
        assert min(runs) / 1.2 <= low <= high <= max(runs)

    @given(st.lists(st.integers(1, 10**13), min_size=1), st.integers(0, 10**13))
    def test_what_still_runs_will_take_longer_than_it_has(self, runs: list[int], elapsed_ns: int) -> None:
        histogram = DurationHistogram()
        for run in runs:
            histogram.observe(run)
        mean, early = histogram.expected_ns(elapsed_ns), histogram.quantile_ns(0.1, elapsed_ns)
        assert (mean is None) == (early is None)
        if mean is not None and early is not None:
            assert early >= elapsed_ns or elapsed_ns == 0
            assert mean >= elapsed_ns

    def test_the_recent_past_decides(self) -> None:
        histogram = DurationHistogram()
        for _ in range(10_000):
            histogram.observe(10**9)
        for _ in range(3_000):
            histogram.observe(10**6)
        assert histogram.expected_ns() == pytest.approx(10**6, rel=3.0)
        assert histogram.count == 13_000
