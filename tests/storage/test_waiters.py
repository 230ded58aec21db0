"""Who waits for what, until when."""

from __future__ import annotations

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.storage.waiters import Waiters


def test_by_key_in_the_order_of_arrival() -> None:
    waiters: Waiters[str] = Waiters()
    first = waiters.add("a", 50, "one")
    waiters.add("b", 40, "two")
    waiters.add("a", 30, "three")
    assert [waiting.waiter for waiting in waiters.of("a")] == ["one", "three"]
    assert waiters.remove(first)
    assert not waiters.remove(first)
    assert [waiting.waiter for waiting in waiters.of("a")] == ["three"]
    assert waiters.of("c") == []
    waiters.check_invariants()


def test_by_deadline_and_only_once() -> None:
    waiters: Waiters[str] = Waiters()
    for deadline_ns, name in ((30, "late"), (10, "early"), (20, "gone")):
        ticket = waiters.add("k", deadline_ns, name)
        if name == "gone":
            waiters.remove(ticket)
    assert waiters.next_deadline_ns() == 10
    assert waiters.due(9) == []
    assert [waiting.waiter for waiting in waiters.due(10)] == ["early"]
    assert waiters.next_deadline_ns() == 30
    assert [waiting.waiter for waiting in waiters.due(99)] == ["late"]
    assert waiters.next_deadline_ns() is None
    assert len(waiters) == 0
    waiters.check_invariants()


def test_those_who_left_do_not_pile_up() -> None:
    waiters: Waiters[int] = Waiters()
    for number in range(10_000):
        waiters.remove(waiters.add("k", 1_000_000 + number, number))
        waiters.check_invariants()
    assert len(waiters._deadlines) < 200


def test_the_bound_and_leaving_together() -> None:
    waiters: Waiters[int] = Waiters(limit=3)
    for number in range(3):
        waiters.add(str(number), 1, number)
    with pytest.raises(RequestRefused, match="overloaded"):
        waiters.add("k", 1, 9)
    assert waiters.remove_where(lambda number: number > 0) == 2
    assert [waiting.key for waiting in waiters.due(1)] == ["0"]
    waiters.check_invariants()
