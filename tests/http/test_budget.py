"""The bytes held for all requests together: what is refused, what is only counted."""

from __future__ import annotations

import asyncio

import pytest

from actorfaas.http.budget import Budget
from actorfaas.http.problems import Problem
from tests.actors_kit import Kit
from tests.frontend_kit import frontend

PATH = "/v1/invoke/hello"


def test_bodies_beyond_the_limit_are_refused_until_something_is_released() -> None:
    budget = Budget(10)
    one, other = budget.share(), budget.share()
    one.take(6)
    with pytest.raises(Problem, match="overloaded"):
        other.take(5)
    other.take(4)
    one.release()
    other.take(5)
    assert budget.used_bytes == 9
    other.release()
    assert budget.used_bytes == 0


def test_a_lone_request_is_never_refused() -> None:
    share = Budget(10).share()
    share.take(8)
    share.take(8)


def test_results_are_counted_but_not_refused() -> None:
    budget = Budget(10)
    one = budget.share()
    one.add(50)
    with pytest.raises(Problem, match="overloaded"):
        budget.share().take(1)
    one.give_back(45)
    budget.share().take(1)


async def test_a_body_too_many_is_503_and_may_be_sent_again(kit: Kit) -> None:
    async with frontend(kit, max_in_flight_bytes=1000) as node:
        first = node.post(PATH, b"1" * 900)
        published = await node.published()
        refused = await node.client.post(PATH, content=b"1" * 200)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["retryable"] is True
        published.answer(b"2")
        assert (await first).status_code == 200
        again = node.post(PATH, b"1" * 200)
        (await node.published()).answer(b"3")
        assert (await again).content == b"3"
        assert node.frontend.invoker.budget.used_bytes == 0


async def test_nothing_stays_held_after_failures(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post(PATH, b"1" * 900)
        (await node.published()).fail("handler_error")
        assert (await call).status_code == 500
        gone = node.post("/v1/invoke/count", b"1" * 900)
        published = await node.published()
        published.piece(b"1" * 500)
        gone.cancel()
        await asyncio.wait({gone})
        await node.frontend.invoker.idle.wait()
        assert node.frontend.invoker.budget.used_bytes == 0
