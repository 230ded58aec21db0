"""`actorfaas.context`: what handlers see in a unit test."""

from __future__ import annotations

import logging
import time

from actorfaas import Context
from actorfaas.tasks import MemoryTasks
from actorfaas.testing import MemoryData


def test_without_arguments_there_is_no_deadline() -> None:
    context = Context()
    assert context.remaining_time_s() == float("inf")
    assert (context.attempt, context.request_id, context.execution_id, context.state) == (1, "", "", "")


def test_remaining_time_ends_at_zero() -> None:
    assert 9 < Context(deadline=time.monotonic() + 10).remaining_time_s() <= 10
    assert Context(deadline=time.monotonic() - 1).remaining_time_s() == 0.0


def test_a_heartbeat_without_a_platform_does_nothing() -> None:
    Context().heartbeat()


def test_the_logger_is_named_after_the_function() -> None:
    context = Context(function_name="resize")
    assert context.logger is logging.getLogger("resize")
    given = logging.getLogger("given")
    assert Context(logger=given).logger is given


def test_a_context_keeps_its_data() -> None:
    context = Context()
    context.data.put("a", 1)
    assert context.data.get("a") == 1
    assert Context().data.get("a") is None


def test_contexts_share_the_data_they_are_given() -> None:
    data = MemoryData()
    Context(data=data).data.counter("n").add(1)
    assert Context(data=data).data.counter("n").add(1) == 2
    assert data.counter("n").get() == 2


def test_answers_to_tasks_are_kept_in_a_unit_test() -> None:
    tasks = MemoryTasks()
    context = Context(tasks=tasks)
    context.tasks.heartbeat("a")
    context.tasks.succeed("b", [1])
    context.tasks.fail("c", "Bad", "it is")
    assert tasks.answers == {"a": ("heartbeat",), "b": ("succeed", [1]), "c": ("fail", "Bad", "it is")}
    assert isinstance(Context().tasks, MemoryTasks)
