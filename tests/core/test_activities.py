"""Which tasks of an activity wait for a worker, and which workers for a task."""

from __future__ import annotations

from actorfaas.core.activities import Activities, Poll


def made(*names: str) -> Activities:
    activities = Activities()
    activities.know(names)
    return activities


def test_tasks_are_given_out_in_their_order() -> None:
    activities = made("knit")
    assert activities.offer("knit", "t1") is None
    assert activities.offer("knit", "t2") is None
    assert [activities.poll("knit", Poll(number, "")) for number in (1, 2, 3)] == ["t1", "t2", ""]


def test_workers_get_tasks_in_their_order() -> None:
    activities = made("knit", "purl")
    for number in (1, 2):
        assert activities.poll("knit", Poll(number, f"w{number}")) == ""
    assert activities.offer("purl", "other") is None
    assert activities.offer("knit", "t1") == Poll(1, "w1")
    assert activities.offer("knit", "t2") == Poll(2, "w2")
    assert activities.offer("knit", "t3") is None


def test_a_worker_that_waits_no_more_gets_nothing() -> None:
    activities = made("knit")
    activities.poll("knit", Poll(1, ""))
    assert activities.stop(1)
    assert not activities.stop(1)
    assert activities.offer("knit", "t1") is None


def test_a_task_that_is_over_is_given_to_nobody() -> None:
    activities = made("knit")
    activities.offer("knit", "t1")
    activities.withdraw("knit", "t1")
    activities.withdraw("knit", "t1")
    activities.withdraw("unknown", "t1")
    assert activities.poll("knit", Poll(1, "")) == ""


def test_tasks_outlast_their_activity_and_workers_do_not() -> None:
    activities = made("knit", "purl")
    activities.offer("knit", "t1")
    activities.offer("knit", "t2")
    activities.poll("purl", Poll(1, ""))
    assert activities.remove("knit") == []
    assert activities.remove("purl") == [Poll(1, "")]
    assert activities.remove("purl") == []
    assert "knit" not in activities
    activities.withdraw("knit", "t1")
    assert activities.offer("knit", "t3") is None
    activities.know(("knit",))
    activities.know(("knit",))  # one that is there stays as it is
    assert [activities.poll("knit", Poll(number, "")) for number in (2, 3, 4)] == ["t2", "t3", ""]


def test_nothing_is_kept_of_a_removed_activity_whose_tasks_are_over() -> None:
    activities = made("knit")
    for token in ("t1", "t2"):
        activities.offer("knit", token)
    activities.remove("knit")
    activities.withdraw("knit", "t1")
    assert activities.gone == {"knit"}
    activities.withdraw("knit", "t2")
    assert activities.gone == set()
