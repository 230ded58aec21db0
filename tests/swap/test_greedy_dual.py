"""GreedyDual: the order of victims."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorfaas.swap.greedy_dual import GreedyDual


def evict_all(victims: GreedyDual) -> list[str]:
    order = []
    while (key := victims.first()) is not None:
        victims.evict(key)
        victims.check_invariants()
        order.append(key)
    return order


def test_the_cheap_the_large_and_the_rarely_used_go_first() -> None:
    victims = GreedyDual()
    victims.offer("normal", frequency=4, cost_ns=100, size_bytes=10, idle_since_ns=0)
    victims.offer("cheap", frequency=4, cost_ns=10, size_bytes=10, idle_since_ns=0)
    victims.offer("large", frequency=4, cost_ns=100, size_bytes=50, idle_since_ns=0)
    victims.offer("rare", frequency=3, cost_ns=100, size_bytes=10, idle_since_ns=0)
    assert evict_all(victims) == ["cheap", "large", "rare", "normal"]


def test_of_equals_the_longest_idle_goes_first() -> None:
    victims = GreedyDual()
    for key, since_ns in (("b", 2), ("a", 1), ("c", 3)):
        victims.offer(key, frequency=1, cost_ns=5, size_bytes=1, idle_since_ns=since_ns)
    assert evict_all(victims) == ["a", "b", "c"]


def test_what_is_dear_goes_too_when_it_is_idle_for_long_enough() -> None:
    victims = GreedyDual()
    victims.offer("dear", frequency=1, cost_ns=100, size_bytes=1, idle_since_ns=0)
    evicted = []
    for number in range(20):
        victims.offer(str(number), frequency=1, cost_ns=15, size_bytes=1, idle_since_ns=number)
        first = victims.first()
        assert first is not None
        victims.evict(first)
        evicted.append(first)
    assert "dear" in evicted
    assert evicted.index("dear") >= 5


def test_what_is_withdrawn_or_offered_again_is_not_a_victim_twice() -> None:
    victims = GreedyDual()
    for cost in (1.0, 50.0):
        victims.offer("a", frequency=1, cost_ns=cost, size_bytes=1, idle_since_ns=0)
    victims.offer("b", frequency=1, cost_ns=20, size_bytes=1, idle_since_ns=0)
    victims.withdraw("unknown")
    assert len(victims) == 2
    assert evict_all(victims) == ["b", "a"]
    assert "a" not in victims


offers = st.tuples(
    st.integers(0, 20), st.floats(0, 100), st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from("oowe")
)


@given(st.lists(offers, max_size=200))
def test_victims_leave_in_the_order_of_their_ranks(steps: list[tuple[int, float, int, int, str]]) -> None:
    victims = GreedyDual()
    clock = 0.0
    for key, frequency, cost, size, step in steps:
        first = victims.first()
        if step == "o":
            victims.offer(str(key), frequency=frequency, cost_ns=cost, size_bytes=size, idle_since_ns=key)
        elif step == "w":
            victims.withdraw(str(key))
        elif first is not None:
            ranks = [victims.rank(str(other)) for other in range(21) if str(other) in victims]
            assert victims.rank(first) == min(ranks)
            victims.evict(first)
        victims.check_invariants()
        assert victims.clock >= clock
        clock = victims.clock


def test_the_heap_stays_small() -> None:
    victims = GreedyDual()
    for number in range(10_000):
        victims.offer(str(number % 10), frequency=1, cost_ns=number, size_bytes=1, idle_since_ns=0)
    victims.check_invariants()
