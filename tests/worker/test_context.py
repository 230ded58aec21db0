"""The context of a task, and key-value data over the worker's connection."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from actorfaas.errors import PeerUnavailable, RequestRefused, VersionConflict
from actorfaas.messages import Done, Heartbeat, KvDelete, KvGet, KvKeys, KvList, KvPut, KvValue, Message, Refused, Task
from actorfaas.wire import Decoder, Kind, encode
from actorfaas.worker.channel import Channel
from actorfaas.worker.context import SocketHeartbeat, SocketKeyValue, build_context, close_context
from actorfaas.worker.process import MemoryLimit


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

    def kv(self) -> SocketKeyValue:
        return SocketKeyValue(self.channel, MemoryLimit(0), time.monotonic_ns() + 10_000_000_000)

    def close(self) -> None:
        self.channel.close()
        self._thread.join()
        self._theirs.close()


@pytest.fixture
def queue() -> Iterator[Answering]:
    made = Answering()
    yield made
    made.close()


def test_get_and_get_versioned(queue: Answering) -> None:
    queue.answers = [KvValue(3, b'{"a":1}'), KvValue(3, b'{"a":1}'), KvValue(0, b"")]
    kv = queue.kv()
    assert kv.get("k") == {"a": 1}
    assert kv.get_versioned("k") == ({"a": 1}, 3)
    assert kv.get_versioned("none") == (None, 0)
    assert queue.asked == [KvGet("", "k"), KvGet("", "k"), KvGet("", "none")]


def test_put_and_delete_with_and_without_a_version(queue: Answering) -> None:
    queue.answers = [KvValue(1, b""), KvValue(2, b""), Done(), Done()]
    kv = queue.kv()
    assert kv.put("k", [1]) == 1
    assert kv.put("k", None, if_version=1) == 2
    kv.delete("k")
    kv.delete("k", if_version=2)
    assert queue.asked == [
        KvPut("", "k", -1, b"[1]"),
        KvPut("", "k", 1, b"null"),
        KvDelete("", "k", -1),
        KvDelete("", "k", 2),
    ]


def test_list_goes_on_until_there_is_enough_or_no_more(queue: Answering) -> None:
    keys = tuple(f"k{number:04}" for number in range(1500))
    queue.answers = [KvKeys(keys[:1000]), KvKeys(keys[1000:1200]), KvKeys(("a",))]
    assert queue.kv().list("k", 1200) == list(keys[:1200])
    assert queue.kv().list() == ["a"]
    assert queue.asked == [
        KvList("", "k", "", 1000),
        KvList("", "k", "k0999", 200),
        KvList("", "", "", 1000),
    ]


def test_another_version_is_a_conflict(queue: Answering) -> None:
    queue.answers = [Refused("precondition_failed", "it is 5")] * 2
    with pytest.raises(VersionConflict) as caught:
        queue.kv().put("k", 1, if_version=4)
    assert (caught.value.key, caught.value.expected_version) == ("k", 4)
    with pytest.raises(VersionConflict):
        queue.kv().delete("k", if_version=4)


def test_other_refusals_are_told_as_they_are(queue: Answering) -> None:
    queue.answers = [Refused("unavailable", "the DataLayer is restarting", retryable=True)]
    with pytest.raises(RequestRefused, match="the DataLayer is restarting"):
        queue.kv().get("k")


def test_an_answer_of_the_wrong_kind(queue: Answering) -> None:
    queue.answers = [Done()]
    with pytest.raises(RequestRefused, match="Done is no answer to KvGet"):
        queue.kv().get("k")


def test_a_value_that_is_not_json_is_refused_before_it_is_sent(queue: Answering) -> None:
    with pytest.raises(TypeError, match=r"value for key 'k'.*is a set"):
        queue.kv().put("k", {"a": {1}})
    assert queue.asked == []


def test_only_the_handlers_thread_may_use_it(queue: Answering) -> None:
    kv = queue.kv()
    raised: list[BaseException] = []

    def use() -> None:
        try:
            kv.get("k")
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "handler's own thread only" in str(raised[0])
    assert queue.asked == []


def test_a_context_tells_its_task_and_ends_with_it(queue: Answering) -> None:
    task = Task("req_1", "exec_1", "Resize", 2, time.monotonic_ns() + 5_000_000_000, "", 0, "00-trace", b"")
    context = build_context(task, "resize", queue.channel, MemoryLimit(0))
    assert (context.request_id, context.execution_id, context.state) == ("req_1", "exec_1", "Resize")
    assert (context.attempt, context.function_name, context.traceparent) == (2, "resize", "00-trace")
    assert 4 < context.remaining_time_s() <= 5
    assert context.logger.name == "resize"
    kv = context.kv
    close_context(context)
    with pytest.raises(RuntimeError, match="request has ended"):
        kv.get("k")
    with pytest.raises(RuntimeError, match="request has ended"):
        context.heartbeat()


def test_a_heartbeat_names_its_request_and_comes_from_the_handlers_thread() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    beat = SocketHeartbeat(channel, "req_1")
    beat()
    (frame,) = Decoder().feed(theirs.recv(1 << 16))
    assert (frame.kind, frame.message) == (Kind.TELL, Heartbeat("req_1"))
    raised: list[BaseException] = []

    def use() -> None:
        try:
            beat()
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "handler's own thread only" in str(raised[0])
    channel.close()
    theirs.close()


def test_a_lost_connection_is_an_error_at_once() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(PeerUnavailable):
        SocketKeyValue(channel, MemoryLimit(0), time.monotonic_ns() + 10_000_000_000).get("k")
    channel.close()
    theirs.close()
