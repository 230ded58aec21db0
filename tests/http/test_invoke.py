"""`POST /v1/invoke/NAME` over a real socket, the LocalQueue played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from actorfaas import trace_context
from actorfaas.http import invoke
from actorfaas.http.calls import now_ns
from actorfaas.messages import CancelRequest, Publish, RecordCalls, RoutesChanged
from tests.actors_kit import Kit
from tests.frontend_kit import HELLO, ROUTES, WORKER, frontend

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_result_is_sent_as_it_is_with_where_the_time_went(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b'{"n": 1}', X_Request_Id="mine-1")
        published = await node.published()
        published.answer(b'{"r" :  2}')
        response = await call
    assert response.status_code == 200
    assert response.content == b'{"r" :  2}'
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == "mine-1"
    assert response.headers["actorfaas-worker"] == WORKER
    assert response.headers["server-timing"].startswith('queue;dur=1.000, start;dur=2.000;desc="resident"')


async def test_published_message_carries_the_route_and_the_body_untouched(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"this is not JSON", traceparent=TRACE)
        published = await node.published()
        message = published.message
        assert message.payload == b"this is not JSON"
        assert (message.topic, message.max_attempts, message.retry_delay_ns) == ("hello@1", 3, 100_000_000)
        assert message.stream is False
        assert trace_context.trace_id(message.traceparent) == trace_context.trace_id(TRACE)
        assert message.traceparent != TRACE, "the handler is a span of its own"
        published.fail("bad_payload", error_message="not JSON: line 1")
        response = await call
    assert response.status_code == 400
    assert response.json()["detail"] == "not JSON: line 1"


async def test_empty_body_is_null(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello")
        published = await node.published()
        assert published.message.payload == b"null"
        published.answer(b"null")
        assert (await call).json() is None


@pytest.mark.parametrize(
    ("strategy", "topic"),
    [
        ("auto", "hello@1"),
        ("resident", "hello@1"),
        *((one, f"hello@1!{one}") for one in ("swap", "reap", "faasnap", "fork", "cold")),
    ],
)
async def test_strategy_of_one_call_chooses_the_topic(kit: Kit, strategy: str, topic: str) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1", Actorfaas_Strategy=strategy)
        published = await node.published()
        assert published.message.topic == topic
        published.answer(b"1", start_kind=strategy)
        assert f'desc="{strategy}"' in (await call).headers["server-timing"]


async def test_deadline_is_the_shorter_of_the_functions_and_the_callers(kit: Kit) -> None:
    async with frontend(kit) as node:
        for given, seconds in (("0.5", 0.5), ("500", 30.0)):
            before_ns = now_ns()
            call = node.post("/v1/invoke/hello", b"1", Actorfaas_Timeout=given)
            published = await node.published()
            began_ns = published.message.deadline_ns - int(seconds * 1e9)
            assert before_ns <= began_ns <= now_ns()
            published.answer(b"1")
            await call


async def test_handler_error_is_a_problem_with_times(kit: Kit) -> None:
    async with frontend(kit, dev=True) as node:
        call = node.post("/v1/invoke/hello", b"1")
        published = await node.published()
        published.fail("handler_error", error_type="ZeroDivisionError", error_message="division by zero", traceback="T")
        response = await call
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["server-timing"].endswith("run;dur=3.000")
    problem = response.json()
    assert problem["type"] == "urn:actorfaas:problem:handler_error"
    assert (problem["error_type"], problem["function"], problem["traceback"]) == ("ZeroDivisionError", "hello", "T")
    assert problem["request_id"] == response.headers["x-request-id"]


async def test_full_queue_is_429_with_retry_after(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1")
        (await node.published()).fail("queue_full", worker_topic="", retryable=True, retry_after_s=2.5)
        response = await call
    assert response.status_code == 429
    assert response.headers["retry-after"] == "3"
    assert response.json()["retryable"] is True
    assert "server-timing" not in response.headers


async def test_unknown_name_is_404_and_nothing_is_published(kit: Kit) -> None:
    async with frontend(kit) as node:
        response = await node.post("/v1/invoke/nobody", b"1")
        assert response.status_code == 404
        assert "nobody" in response.json()["detail"]
        assert not node.queue.received(Publish)


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("HEAD", 405), ("DELETE", 405), ("OPTIONS", 204)])
async def test_other_methods(kit: Kit, method: str, status: int) -> None:
    async with frontend(kit) as node:
        response = await node.client.request(method, "/v1/invoke/hello")
    assert response.status_code == status
    assert response.headers["allow"] == "POST, OPTIONS"


async def test_body_above_the_limit_is_413_by_its_announced_length(kit: Kit) -> None:
    async with frontend(kit, max_body_bytes=1000) as node:
        response = await node.post("/v1/invoke/hello", b"x" * 1001)
        assert response.status_code == 413
        assert response.headers["connection"] == "close"
        assert not node.queue.received(Publish)


async def test_body_above_the_limit_is_413_while_it_arrives(kit: Kit) -> None:
    sent = 0

    async def endless() -> object:
        nonlocal sent
        while sent < 5_000_000:
            sent += 100_000
            yield b"x" * 100_000

    async with frontend(kit, max_body_bytes=200_000) as node:
        response = await node.client.post("/v1/invoke/hello", content=endless())  # type: ignore[arg-type]  # a generator
        assert response.status_code == 413
        assert not node.queue.received(Publish)


async def test_large_body_under_the_limit_arrives_whole(kit: Kit) -> None:
    body = bytes(range(256)) * 8192
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", body)
        published = await node.published()
        assert published.message.payload == body
        published.answer(body)
        assert (await call).content == body


async def test_more_calls_than_the_limit_are_refused(kit: Kit) -> None:
    async with frontend(kit, max_in_flight=2) as node:
        first, second = node.post("/v1/invoke/hello", b"1"), node.post("/v1/invoke/hello", b"2")
        waiting = [await node.published(), await node.published()]
        third = await node.post("/v1/invoke/hello", b"3")
        assert third.status_code == 503
        assert third.json()["type"].endswith(":overloaded")
        assert third.headers["retry-after"] == "1"
        for published in waiting:
            published.answer(b"1")
        assert [(await call).status_code for call in (first, second)] == [200, 200]
        call = node.post("/v1/invoke/hello", b"4")
        (await node.published()).answer(b"4")
        assert (await call).content == b"4"


async def test_the_same_request_id_twice_at_once_does_not_mix_up_the_calls(kit: Kit) -> None:
    async with frontend(kit) as node:
        first = node.post("/v1/invoke/hello", b"1", X_Request_Id="same")
        one = await node.published()
        second = node.post("/v1/invoke/hello", b"2", X_Request_Id="same")
        two = await node.published()
        assert one.message.request_id == "same"
        assert two.message.request_id != "same"
        two.answer(b"22")
        one.answer(b"11")
        assert (await first).content == b"11"
        assert (await second).content == b"22"
        assert (await second).headers["x-request-id"] == two.message.request_id


async def test_the_same_request_id_is_told_apart_although_the_bodies_come_later(kit: Kit) -> None:
    complete = asyncio.Event()

    async def body(last: bytes) -> AsyncIterator[bytes]:
        yield b" "
        await complete.wait()
        yield last

    async with frontend(kit) as node:
        headers = {"X-Request-Id": "same"}
        calls = [
            asyncio.create_task(node.client.post("/v1/invoke/hello", content=body(last), headers=headers))
            for last in (b"1", b"2")
        ]
        async with asyncio.timeout(10):
            while node.frontend.invoker.in_flight < 2:  # noqa: ASYNC110  # it has no event; it runs in this very loop
                await asyncio.sleep(0)
        complete.set()
        published = [await node.published(), await node.published()]
        assert published[0].message.request_id != published[1].message.request_id
        for one in published:
            one.answer(one.message.payload * 2)
        assert [(await call).content for call in calls] == [b" 1 1", b" 2 2"]


async def test_the_id_of_a_call_whose_caller_left_is_free_again_only_when_the_handler_has_ended(kit: Kit) -> None:
    async with frontend(kit) as node:
        left = node.post("/v1/invoke/hello", b"1", X_Request_Id="same")
        first = await node.published()
        left.cancel()
        await node.queue.expect(CancelRequest)
        call = node.post("/v1/invoke/hello", b"2", X_Request_Id="same")
        second = await node.published()
        assert second.message.request_id != "same"
        first.answer(b"11")
        second.answer(b"22")
        assert (await call).content == b"22"
        call = node.post("/v1/invoke/hello", b"3", X_Request_Id="same")
        third = await node.published()
        assert third.message.request_id == "same"
        third.answer(b"33")
        assert (await call).content == b"33"


async def test_answer_for_a_call_that_is_over_is_dropped(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1")
        published = await node.published()
        published.answer(b"1")
        published.answer(b"2")
        published.fail("timeout")
        assert (await call).content == b"1"
        assert (await node.get("/healthz")).status_code == 200
        assert len(node.frontend.calls) == 0


async def test_topic_of_a_version_that_was_replaced_is_looked_up_again(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1")
        published = await node.published()
        newer = (replace(HELLO, version=2, topic="hello@2"), *ROUTES[1:])
        node.manager.callers["frontend"].tell(RoutesChanged(routes=newer))
        while node.frontend.directory.find("hello").route.version != 2:
            await node.get("/healthz")
        published.fail("no_topic", worker_topic="")
        again = await node.published()
        assert again.message.topic == "hello@2"
        again.answer(b"2")
        assert (await call).content == b"2"


async def test_topic_that_stays_unknown_is_503(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoke, "NO_TOPIC_DELAYS_S", (0.0, 0.0))
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1")
        for _ in range(3):
            (await node.published()).fail("no_topic", worker_topic="", error_message="no topic hello@1")
        response = await call
    assert response.status_code == 503
    assert response.json()["detail"] == "no topic hello@1"


async def test_function_removed_meanwhile_is_404(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1")
        published = await node.published()
        node.manager.callers["frontend"].tell(RoutesChanged(routes=()))
        while node.frontend.directory.routes():
            await node.get("/healthz")
        published.fail("no_topic", worker_topic="")
        assert (await call).status_code == 404


async def test_caller_that_hangs_up_is_reported(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1")
        published = await node.published()
        call.cancel()
        cancelled = await node.queue.expect(CancelRequest)
        assert cancelled == CancelRequest(request_id=published.message.request_id, kill=False)
        assert len(node.frontend.calls) == 0


async def test_call_without_any_answer_ends_at_its_deadline(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorfaas.http.calls.GRACE_NS", 0)
    async with frontend(kit) as node:
        response = await node.post("/v1/invoke/hello", b"1", Actorfaas_Timeout="0.05")
        assert response.status_code == 504
        assert (await node.queue.expect(CancelRequest)).kill is True


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}])
async def test_foreign_pages_cannot_call(kit: Kit, headers: dict[str, str]) -> None:
    async with frontend(kit) as node:
        response = await node.post("/v1/invoke/hello", b"1", **headers)
        assert response.status_code == 403
        assert not node.queue.received(Publish)


async def test_token_is_asked_for(kit: Kit) -> None:
    async with frontend(kit, api_token="secret") as node:
        assert (await node.post("/v1/invoke/hello", b"1")).status_code == 401
        assert (await node.get("/v1/node")).status_code == 401
        assert (await node.get("/healthz")).status_code == 200
        call = node.post("/v1/invoke/hello", b"1", Authorization="Bearer secret")
        (await node.published()).answer(b"1")
        assert (await call).status_code == 200


async def test_many_calls_at_once_each_get_their_own_result(kit: Kit) -> None:
    async with frontend(kit) as node:
        calls = [node.post("/v1/invoke/hello", str(number).encode()) for number in range(100)]
        for _ in calls:
            published = await node.published()
            published.answer(published.message.payload + b"0")
        assert [int((await call).content) for call in calls] == [number * 10 for number in range(100)]
        assert node.frontend.invoker.in_flight == 0


async def test_metrics_count_what_was_answered(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1")
        (await node.published()).answer(b"1")
        await call
        call = node.post("/v1/invoke/hello", b"1")
        (await node.published()).fail("handler_error")
        await call
        await node.post("/v1/invoke/nobody", b"1")
        text = (await node.get("/metrics")).text
    assert 'actorfaas_requests_total{name="hello",status="200",start_kind="resident"} 1\n' in text
    assert 'actorfaas_requests_total{name="hello",status="500",start_kind="resident"} 1\n' in text
    assert 'actorfaas_requests_total{name="unknown",status="404",start_kind=""} 1\n' in text
    assert 'actorfaas_request_duration_seconds_count{name="hello",start_kind="resident"} 2\n' in text
    assert 'actorfaas_billed_milliseconds_total{function="hello"} 6\n' in text
    assert 'actorfaas_actor_mailbox_length{actor="local_queue"} 0\n' in text


async def test_a_call_says_what_it_is_billed(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1")
        (await node.published()).answer(b"1", run_ns=2_000_001)
        headers = (await call).headers
        assert (headers["actorfaas-billed-ms"], headers["actorfaas-billed-gb-s"]) == ("3", "0.001500")
        call = node.post("/v1/invoke/hello", b"1")
        (await node.published()).fail("handler_error")
        assert (await call).headers["actorfaas-billed-ms"] == "3", "a failed call ran, too"


async def test_a_sampled_call_is_recorded_after_its_reply(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1", traceparent=TRACE, tracestate="vendor=value", X_Request_Id="mine")
        published = await node.published()
        assert published.message.traceparent.endswith("-01 vendor=value")
        assert not [one for one, _ in node.data.messages if isinstance(one, RecordCalls)]
        published.answer(b"1")
        response = await call
        (record,) = (await node.data.expect(RecordCalls)).calls
    assert (record.trace_id, record.parent_id) == (TRACE[3:35], TRACE[36:52])
    assert (record.request_id, record.function, record.version, record.status, record.error) == (
        *("mine", "hello", 1, 200, ""),
    )
    assert record.run_id == trace_context.span_id(published.message.traceparent)
    assert response.headers["traceresponse"] == f"00-{record.trace_id}-{record.span_id}-01"
    assert (record.queue_ns, record.start_ns, record.run_ns) == (1_000_000, 2_000_000, 3_000_000)
    assert record.worker_topic == WORKER


async def test_a_failed_call_is_recorded_with_its_error(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1", traceparent=TRACE)
        (await node.published()).fail("handler_error", error_type="KeyError")
        assert (await call).headers["traceresponse"].startswith(TRACE[:36])
        (record,) = (await node.data.expect(RecordCalls)).calls
    assert (record.status, record.error) == (500, "KeyError")


async def test_a_call_that_is_not_sampled_is_in_a_trace_and_not_recorded(kit: Kit) -> None:
    async with frontend(kit, trace_per_second=0, trace_share=0.0) as node:
        call = node.post("/v1/invoke/hello", b"1")
        published = await node.published()
        published.answer(b"1")
        assert "traceresponse" not in (await call).headers
        assert trace_context.trace_id(published.message.traceparent)
        assert not trace_context.is_sampled(published.message.traceparent)
        call = node.post("/v1/invoke/hello", b"1", traceparent=TRACE)
        (await node.published()).answer(b"1")
        await call
        (record,) = (await node.data.expect(RecordCalls)).calls
    assert record.trace_id == TRACE[3:35], "the other one would have come first"


async def test_nothing_is_counted_or_billed_with_metrics_off(kit: Kit) -> None:
    async with frontend(kit, metrics=False) as node:
        call = node.post("/v1/invoke/hello", b"1")
        (await node.published()).answer(b"1")
        assert "actorfaas-billed-ms" not in (await call).headers
        assert 'name="hello"' not in (await node.get("/metrics")).text


async def test_failures_of_the_platform_itself_are_500_with_a_request_id(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with frontend(kit) as node:

        def broken(_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(node.frontend.directory, "find", broken)
        response = await node.post("/v1/invoke/hello", b"1", X_Request_Id="look-for-me")
        assert response.status_code == 500
        assert response.json()["type"].endswith(":internal")
        assert response.headers["x-request-id"] == "look-for-me"
        assert node.frontend.invoker.in_flight == 0
