"""The context of a task, and functions' data over the worker's connection. What data does is in tests/data."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from actorfaas.batches import packed, split_effects
from actorfaas.errors import (
    DataRefused,
    MessageRefused,
    PeerUnavailable,
    ReceiveTimeout,
    RequestRefused,
    VersionConflict,
)
from actorfaas.messages import (
    AddedState,
    Done,
    Heartbeat,
    KvCommit,
    KvCommitted,
    KvGet,
    KvKeys,
    KvList,
    KvValue,
    KvWrite,
    Message,
    MessageReceived,
    ReceiveMessage,
    Refused,
    SendMessage,
    TakeAlias,
    Task,
    TaskEffects,
    TaskResult,
    TaskResultAndEffects,
)
from actorfaas.wire import Decoder, Kind, encode
from actorfaas.worker.channel import Channel
from actorfaas.worker.context import TaskPlatform, build_context
from actorfaas.worker.process import MemoryLimit
from tests.data.keepers import task


class Answering:
    """A LocalQueue that gives prepared answers and keeps the questions."""

    def __init__(self) -> None:
        ours, self._theirs = socket.socketpair()
        self.channel = Channel(ours)
        self.asked: list[Message] = []
        self.answers: list[Message] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        decoder = Decoder()
        while data := self._theirs.recv(1 << 16):
            for frame in decoder.feed(data):
                assert frame.kind == Kind.ASK
                self.asked.append(frame.message)
                self._theirs.sendall(b"".join(encode(self.answers.pop(0), Kind.REPLY, frame.ask_id)))

    def platform(self) -> TaskPlatform:
        return TaskPlatform(task(), self.channel, MemoryLimit(0))

    def close(self) -> None:
        self.channel.close()
        self._thread.join()
        self._theirs.close()


@pytest.fixture
def queue() -> Iterator[Answering]:
    made = Answering()
    yield made
    made.close()


def test_what_is_read_is_asked_for(queue: Answering) -> None:
    queue.answers = [KvValue(3, b'{"a":1}'), KvValue(0, b"")]
    data = queue.platform().data()
    assert data.get_versioned("k") == ({"a": 1}, 3)
    assert data.scope("tenant").map("m").get("none") is None
    assert queue.asked == [KvGet("", "k"), KvGet("@tenant/map/m", "none")]


def test_changes_are_committed_together_when_the_call_ends(queue: Answering) -> None:
    queue.answers = [KvValue(0, b""), KvCommitted((1, 1))]
    platform = queue.platform()
    data = platform.data()
    data.put("k", [1])
    data.counter("n").add(2)
    platform.result(b"1", 1, 2)
    put, add = KvWrite("", "k", "put", -1, 0, 0, b"[1]"), KvWrite("/counter", "n", "add", -1, 0, 2, b"")
    assert queue.asked == [KvGet("/counter", "n"), KvCommit("", False, packed([put, add]))]


def test_changes_of_a_task_of_an_execution_go_with_its_result(queue: Answering) -> None:
    platform = TaskPlatform(task("exe_1", "Count"), queue.channel, MemoryLimit(0))
    platform.data().put("k", [1])
    said = platform.result(b'"result"', 1, 2)
    assert isinstance(said, TaskResultAndEffects)
    assert (said.request_id, said.topic, said.started_ns, said.ended_ns) == ("req_1", "reply", 1, 2)
    result, effects = split_effects(said.payload, said.effects_bytes)
    put = KvWrite("", "k", "put", -1, 0, 0, b"[1]")
    assert (result, effects) == (b'"result"', TaskEffects((), packed([put])))
    assert queue.asked == []


def test_states_to_run_next_go_with_the_result(queue: Answering) -> None:
    platform = TaskPlatform(task("exe_1", "Split"), queue.channel, MemoryLimit(0))
    context = build_context(task("exe_1", "Split"), "split", platform)
    context.add_next("Count", [1])
    context.add_next("Weigh")
    said = platform.result(b"1", 1, 2)
    assert isinstance(said, TaskResultAndEffects)
    _, effects = split_effects(said.payload, said.effects_bytes)
    assert effects == TaskEffects((AddedState("Count", b"[1]"), AddedState("Weigh", b"null")), b"")
    with pytest.raises(TypeError, match="input of state 'Count'"):
        context.add_next("Count", {1})


def test_a_call_that_changed_nothing_commits_nothing(queue: Answering) -> None:
    queue.answers = [KvValue(0, b"")]
    platform = queue.platform()
    platform.data().get("k")
    assert platform.result(b"1", 1, 2) == TaskResult("req_1", "reply", 1, 2, b"1")
    assert queue.asked == [KvGet("", "k")]


def test_changes_at_once_say_whether_they_may_be_made_twice(queue: Answering) -> None:
    queue.answers = [KvCommitted((number,)) for number in range(1, 5)]
    data = queue.platform().data().now
    assert (data.put("k", 1), data.put("k", 2, if_version=1), data.counter("n").add(1)) == (1, 2, 3)
    data.delete("k")
    commits = [asked for asked in queue.asked if isinstance(asked, KvCommit)]
    assert [commit.is_repeatable for commit in commits] == [True, False, False, True]


def test_keys_are_listed_until_there_are_enough_or_no_more(queue: Answering) -> None:
    keys = tuple(f"k{number:04}" for number in range(1500))
    queue.answers = [KvKeys(keys[:1000]), KvKeys(keys[1000:1200]), KvKeys(("a",))]
    data = queue.platform().data()
    assert data.keys("k", limit=1200) == list(keys[:1200])
    assert data.keys() == ["a"]
    assert queue.asked == [
        KvList("", "k", "", 1000),
        KvList("", "k", "k0999", 200),
        KvList("", "", "", 1000),
    ]


def test_another_version_is_a_conflict(queue: Answering) -> None:
    queue.answers = [KvCommitted((), conflict=0), KvCommitted((), conflict=1)]
    platform = queue.platform()
    with pytest.raises(VersionConflict) as caught:
        platform.data().now.put("k", 1, if_version=4)
    assert (caught.value.key, caught.value.expected_version) == ("k", 4)
    data = platform.data()
    data.put("a", 1)
    data.delete("b", if_version=7)
    with pytest.raises(VersionConflict, match="'b' is not version 7"):
        platform.result(b"1", 1, 2)


def test_refusals_are_told_as_they_are(queue: Answering) -> None:
    queue.answers = [Refused("unavailable", "the DataLayer is restarting", retryable=True), Refused("invalid", "no")]
    with pytest.raises(RequestRefused, match="the DataLayer is restarting"):
        queue.platform().data().get("k")
    with pytest.raises(DataRefused, match="no"):
        queue.platform().data().get("k")


def test_an_answer_of_the_wrong_kind(queue: Answering) -> None:
    queue.answers = [Done()]
    with pytest.raises(RequestRefused, match="Done is no answer to KvGet"):
        queue.platform().data().get("k")


def test_a_value_that_is_not_json_is_refused_before_it_is_sent(queue: Answering) -> None:
    with pytest.raises(TypeError, match=r"value for key 'k'.*is a set"):
        queue.platform().data().now.put("k", {"a": {1}})
    assert queue.asked == []


def test_only_the_handlers_thread_may_use_it(queue: Answering) -> None:
    platform = queue.platform()
    raised: list[str] = []

    def use() -> None:
        for call in (lambda: platform.data().get("k"), platform.heartbeat):
            try:
                call()
            except RuntimeError as error:
                raised.append(str(error))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert ["handler's own thread only" in text for text in raised] == [True, True]
    assert queue.asked == []


def test_messages_of_functions(queue: Answering) -> None:
    queue.answers = [Done(), Done(), MessageReceived(b'{"a":1}'), Done()]
    platform = TaskPlatform(task("exe_1", "Cart"), queue.channel, MemoryLimit(0))
    context = build_context(task("exe_1", "Cart"), "cart", platform)
    context.send("Other", [1])
    context.send("Other", "é", index=2)
    assert context.receive(1.5) == {"a": 1}
    context.take_alias("mine")
    assert queue.asked == [
        SendMessage("Other", -1, b"[1]"),
        SendMessage("Other", 2, '"é"'.encode()),
        ReceiveMessage(1_500_000_000),
        TakeAlias("mine"),
    ]


def test_what_goes_wrong_with_messages(queue: Answering) -> None:
    queue.answers = [Refused("timeout", "none"), Refused("overloaded", "too many"), Refused("conflict", "taken")]
    platform = TaskPlatform(task("exe_1", "Cart"), queue.channel, MemoryLimit(0))
    with pytest.raises(ReceiveTimeout, match=r"no message for state 'Cart' within 0\.5 s"):
        platform.receive(0.5)
    with pytest.raises(MessageRefused, match="too many"):
        platform.send("Other", 1, None)
    with pytest.raises(MessageRefused, match="taken"):
        platform.take_alias("a")
    queue.answers = [Refused("cancelled", "the execution has ended")]
    with pytest.raises(MessageRefused, match="has ended"):
        platform.receive(None)
    with pytest.raises(TypeError, match="message for 'Other'"):
        platform.send("Other", {1}, None)


def test_without_an_execution_there_are_no_messages(queue: Answering) -> None:
    context = build_context(task(), "cart", queue.platform())
    for call in (
        lambda: context.send("Other", 1),
        context.receive,
        lambda: context.take_alias("a"),
        lambda: context.add_next("a"),
    ):
        with pytest.raises(MessageRefused, match="this call belongs to none"):
            call()
    assert queue.asked == []


def test_a_context_tells_its_task_and_ends_with_it(queue: Answering) -> None:
    task = Task(
        "req_1", "exec_1", "Resize", 2, time.monotonic_ns() + 5_000_000_000, "", 0, "00-trace vendor=value", b""
    )
    platform = TaskPlatform(task, queue.channel, MemoryLimit(0))
    context = build_context(task, "resize", platform)
    assert (context.request_id, context.execution_id, context.state) == ("req_1", "exec_1", "Resize")
    assert (context.attempt, context.function_name) == (2, "resize")
    assert (context.traceparent, context.tracestate) == ("00-trace", "vendor=value")
    assert 4 < context.remaining_time_s() <= 5
    assert context.logger.name == "resize"
    data = context.data
    platform.close()
    with pytest.raises(RuntimeError, match="request has ended"):
        data.get("k")
    with pytest.raises(RuntimeError, match="request has ended"):
        context.heartbeat()


def test_a_heartbeat_names_its_request() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    task = Task("req_1", "", "", 1, time.monotonic_ns() + 5_000_000_000, "", 0, "", b"")
    TaskPlatform(task, channel, MemoryLimit(0)).heartbeat()
    (frame,) = Decoder().feed(theirs.recv(1 << 16))
    assert (frame.kind, frame.message) == (Kind.TELL, Heartbeat("req_1"))
    channel.close()
    theirs.close()


def test_a_lost_connection_is_an_error_at_once() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(PeerUnavailable):
        TaskPlatform(task(), channel, MemoryLimit(0)).data().get("k")
    channel.close()
    theirs.close()
