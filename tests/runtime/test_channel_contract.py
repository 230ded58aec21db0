"""What a channel promises, whatever carries it: the memory channel is held to the same as the socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from actorfaas import wire
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused
from actorfaas.messages import ChunkCredit, Done, InvocationChunk, KvGet, KvValue, Message, Refused
from actorfaas.runtime.channel import Connection
from tests.runtime.ends import Ends, connected

ASKED = KvGet(namespace="app", key="colour")


@pytest.fixture(params=["memory", "socket"])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    made = await connected(request.param)
    yield made
    await made.close()


def credit(number: int) -> ChunkCredit:
    return ChunkCredit(request_id="req_1", chunks=number)


async def test_tells_arrive_in_order_in_both_directions(ends: Ends) -> None:
    sent = [credit(number) for number in range(1000)]
    for message in sent:
        ends.here.tell(message)
        ends.there.tell(message)
    assert await ends.there_owner.until_count(1000) == sent
    assert await ends.here_owner.until_count(1000) == sent
    assert ends.there_owner.bursts < 1000, "messages sent together arrive together"


async def test_an_ask_gets_its_own_answer(ends: Ends) -> None:
    held: list[tuple[Connection, int, str]] = []

    def hold(connection: Connection, message: Message, ask_id: int) -> None:
        assert isinstance(message, KvGet)
        held.append((connection, ask_id, message.key))
        if len(held) == 3:
            for there, number, key in reversed(held):
                there.answer(number, KvValue(version=1, payload=key.encode()))

    ends.there_owner.on_ask = hold
    keys = ["a", "b", "c"]
    answers = await asyncio.gather(*(ends.here.ask(KvGet(namespace="", key=key), KvValue) for key in keys))
    assert [answer.payload for answer in answers] == [b"a", b"b", b"c"]


async def test_asks_in_both_directions_do_not_mix(ends: Ends) -> None:
    ends.there_owner.on_ask = lambda c, m, n: c.answer(n, KvValue(version=1, payload=b"from there"))
    ends.here_owner.on_ask = lambda c, m, n: c.answer(n, KvValue(version=2, payload=b"from here"))
    one, other = await asyncio.gather(ends.here.ask(ASKED, KvValue), ends.there.ask(ASKED, KvValue))
    assert (one.payload, other.payload) == (b"from there", b"from here")


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 1024 * 1024, 5 * 1024 * 1024])
async def test_payloads_of_every_size(ends: Ends, size: int) -> None:
    payload = os.urandom(size)
    ends.here.tell(InvocationChunk(request_id="req_1", content="json", payload=payload))
    ends.here.tell(credit(1))
    assert await ends.there_owner.until_count(2) == [
        InvocationChunk(request_id="req_1", content="json", payload=payload),
        credit(1),
    ]


async def test_a_refusal_is_raised(ends: Ends) -> None:
    refusal = Refused(error="busy", detail="later", retryable=True, retry_after_s=2.5)
    ends.there_owner.on_ask = lambda c, m, n: c.answer(n, refusal)
    with pytest.raises(RequestRefused) as caught:
        await ends.here.ask(ASKED, KvValue)
    assert (caught.value.code, caught.value.detail) == ("busy", "later")
    assert (caught.value.retryable, caught.value.retry_after_s) == (True, 2.5)


async def test_an_answer_of_another_type_is_an_error(ends: Ends) -> None:
    ends.there_owner.on_ask = lambda c, m, n: c.answer(n, Done())
    with pytest.raises(RequestRefused, match="answered Done, not KvValue"):
        await ends.here.ask(ASKED, KvValue)


async def test_an_ask_without_answer_times_out_and_the_late_answer_is_ignored(ends: Ends) -> None:
    with pytest.raises(AskTimeout, match=r"there did not answer KvGet within 0\.01 s"):
        await ends.here.ask(ASKED, KvValue, timeout_s=0.01)
    await ends.there_owner.until_count(1)
    ends.there.answer(ends.there_owner.messages[0][1], KvValue(version=1, payload=b"late"))
    ends.there.tell(credit(1))
    assert await ends.here_owner.until_count(1) == [credit(1)]


async def test_a_second_answer_is_an_error_of_the_caller(ends: Ends) -> None:
    ends.there_owner.on_ask = lambda c, m, n: c.answer(n, Done())
    await ends.here.ask(ASKED, Done)
    with pytest.raises(RuntimeError, match="second reply"):
        ends.there.answer(ends.there_owner.messages[0][1], Done())


async def test_asks_fail_when_the_other_side_closes(ends: Ends) -> None:
    ends.there_owner.on_ask = lambda c, m, n: c.close()
    with pytest.raises(PeerUnavailable, match="there was disconnected: the other side closed it"):
        await ends.here.ask(ASKED, KvValue)
    assert ends.here.is_closed
    assert ends.here_owner.closed == [ends.here]


async def test_asks_fail_at_once_when_closed_here(ends: Ends) -> None:
    asking = asyncio.create_task(ends.here.ask(ASKED, KvValue))
    await ends.there_owner.until_count(1)
    ends.here.close()
    with pytest.raises(PeerUnavailable):
        await asking
    with pytest.raises(PeerUnavailable):
        await ends.here.ask(ASKED, KvValue)


async def test_what_was_told_before_close_still_arrives(ends: Ends) -> None:
    payload = os.urandom(3 * 1024 * 1024)
    ends.here.tell(InvocationChunk(request_id="req_1", content="json", payload=payload))
    ends.here.close()
    ends.here.tell(credit(1))  # no longer sent
    await ends.there_owner.until(lambda: bool(ends.there_owner.closed))
    assert [m for m, _ in ends.there_owner.messages] == [
        InvocationChunk(request_id="req_1", content="json", payload=payload)
    ]


async def test_both_sides_are_told_once_of_the_end(ends: Ends) -> None:
    ends.here.close()
    ends.here.close()
    ends.there.abort()
    await ends.here_owner.until(lambda: bool(ends.here_owner.closed))
    await ends.there_owner.until(lambda: bool(ends.there_owner.closed))
    assert ends.here_owner.closed == [ends.here]
    assert ends.there_owner.closed == [ends.there]


async def test_a_paused_side_reads_nothing_until_every_pause_is_undone(ends: Ends) -> None:
    ends.there.pause_reading("inbox")
    ends.there.pause_reading("actor")
    ends.there_owner.on_ask = lambda c, m, n: c.answer(n, Done())
    ends.here.tell(credit(1))
    with pytest.raises(AskTimeout):
        await ends.here.ask(ASKED, Done, timeout_s=0.02)
    ends.there.resume_reading("inbox")
    with pytest.raises(AskTimeout):
        await ends.here.ask(ASKED, Done, timeout_s=0.02)
    assert ends.there_owner.messages == []
    ends.there.resume_reading("actor")
    assert (await ends.there_owner.until_count(3))[0] == credit(1)


async def test_garbage_closes_that_connection_and_fails_its_asks(ends: Ends) -> None:
    asking = asyncio.create_task(ends.here.ask(ASKED, Done))
    await ends.there_owner.until_count(1)
    assert ends.there._transport is not None
    ends.there._transport.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with pytest.raises(PeerUnavailable, match="broke the protocol"):
        await asking
    await ends.there_owner.until(lambda: bool(ends.there_owner.closed))


@pytest.mark.parametrize("ask_id", [0, 7])
async def test_an_ask_id_that_is_zero_or_in_use_closes_the_connection(ends: Ends, ask_id: int) -> None:
    assert ends.there._transport is not None
    for _ in range(2):
        ends.there._transport.write(b"".join(wire.encode(Done(), wire.Kind.ASK, ask_id)))
    await ends.here_owner.until(lambda: bool(ends.here_owner.closed))
    assert len(ends.here_owner.messages) == (0 if ask_id == 0 else 1)
    assert "in use" in ends.here.close_reason


async def test_write_buffer_is_counted_and_drains(ends: Ends) -> None:
    ends.there.pause_reading()
    chunk = InvocationChunk(request_id="req_1", content="json", payload=bytes(8 * 1024 * 1024))
    ends.here.tell(chunk)
    ends.here.tell(chunk)
    await asyncio.sleep(0)
    assert ends.here.write_buffer_bytes > 8 * 1024 * 1024
    ends.there.resume_reading()
    await ends.there_owner.until_count(2)
    assert ends.here.write_buffer_bytes == 0


@pytest.mark.parametrize("kind", ["memory", "socket"])
async def test_a_peer_that_does_not_read_is_disconnected_at_the_limit(kind: str) -> None:
    ends = await connected(kind, write_limit_bytes=8 * 1024 * 1024)
    ends.there.pause_reading()
    chunk = InvocationChunk(request_id="req_1", content="json", payload=bytes(1024 * 1024))
    for _ in range(64):
        ends.here.tell(chunk)
        await asyncio.sleep(0)
        if ends.here.is_closed:
            break
    assert "unread" in ends.here.close_reason
    assert ends.here.write_buffer_bytes <= 9 * 1024 * 1024
    ends.there.resume_reading()
    await ends.close()


async def test_messages_before_the_transport_wait_for_it() -> None:
    ends = await connected("memory")
    await ends.close()
    from actorfaas.runtime import memory

    early = Connection("there", ends.here_owner, ends.here._log, ask_timeout_s=5.0)
    later = Connection("here", ends.there_owner, ends.here._log, ask_timeout_s=5.0)
    early.tell(credit(1))
    early.tell(credit(2))
    assert early.write_buffer_bytes > 0
    memory.connect(early, later)
    assert await ends.there_owner.until_count(2) == [credit(1), credit(2)]
    early.close()
    await ends.there_owner.until(lambda: later in ends.there_owner.closed)
