"""What a handler answers to tasks of others, over its worker's connection."""

from __future__ import annotations

import threading

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import BeatTask, Done, FailTask, KvValue, Refused, SucceedTask
from actorfaas.worker.context import build_context
from tests.data.keepers import task
from tests.worker.test_context import Answering
from tests.worker.test_context import queue as queue


def test_every_answer_is_asked_for(queue: Answering) -> None:
    queue.answers = [Done(), Done(), Done()]
    tasks = build_context(task(), "f", queue.platform()).tasks
    tasks.succeed("t", {"a": 1})
    tasks.fail("t", "Bad", "it is")
    tasks.heartbeat("t")
    assert queue.asked == [SucceedTask("t", b'{"a":1}'), FailTask("t", "Bad", "it is"), BeatTask("t")]


def test_a_refusal_says_why(queue: Answering) -> None:
    queue.answers = [Refused("task_timed_out", "it is over"), KvValue(0, b"")]
    tasks = queue.platform().tasks()
    with pytest.raises(RequestRefused) as refused:
        tasks.succeed("t")
    assert refused.value.code == "task_timed_out"
    with pytest.raises(RequestRefused, match="internal"):
        tasks.heartbeat("t")


def test_what_is_no_json_is_not_sent(queue: Answering) -> None:
    with pytest.raises(TypeError):
        queue.platform().tasks().succeed("t", object())
    assert queue.asked == []


def test_only_the_call_itself_may_answer(queue: Answering) -> None:
    platform = queue.platform()
    tasks = platform.tasks()
    raised: list[Exception] = []

    def elsewhere() -> None:
        try:
            tasks.heartbeat("t")
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert raised
    platform.close()
    with pytest.raises(RuntimeError, match="has ended"):
        tasks.heartbeat("t")
    assert queue.asked == []
