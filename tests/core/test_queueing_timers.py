"""The timer wheel: what falls due, what was removed before, what stays behind."""

from __future__ import annotations

from actorfaas.core.queue.timers import SLOT_BITS, TimerWheel

SLOT_NS = 1 << SLOT_BITS


def test_items_fall_due_in_order_and_never_early() -> None:
    wheel: TimerWheel[str] = TimerWheel()
    wheel.add(5 * SLOT_NS + 7, "c")
    wheel.add(3 * SLOT_NS + 2, "b")
    wheel.add(3 * SLOT_NS + 1, "a")
    assert wheel.due(3 * SLOT_NS) == []
    assert wheel.due(3 * SLOT_NS + 1) == ["a"]
    assert wheel.due(5 * SLOT_NS + 7) == ["b", "c"]
    assert not wheel
    assert wheel.due(1000 * SLOT_NS) == []


def test_a_removed_item_does_not_fall_due() -> None:
    wheel: TimerWheel[str] = TimerWheel()
    wheel.add(10, "a")
    wheel.add(10, "b")
    wheel.discard(10, "a")
    wheel.discard(10, "a")
    wheel.discard(10 * SLOT_NS, "never there")
    assert len(wheel) == 1
    assert wheel.due(10) == ["b"]


def test_an_item_can_be_added_to_a_slot_that_was_emptied() -> None:
    wheel: TimerWheel[str] = TimerWheel()
    for _ in range(3):
        wheel.add(10, "a")
        wheel.discard(10, "a")
    assert not wheel
    wheel.add(11, "b")
    assert wheel.due(11) == ["b"]


def test_nothing_stays_of_what_was_removed() -> None:
    wheel: TimerWheel[int] = TimerWheel()
    for item in range(10_000):
        wheel.add(item * SLOT_NS, item)
        wheel.discard(item * SLOT_NS, item)
    assert not wheel._slots
    assert len(wheel._order) <= 65
