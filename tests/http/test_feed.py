"""One source for many viewers: who is asked, who gets what, who is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from actorfaas import logs
from actorfaas.http.feed import MAX_VIEWERS, MAX_WAITING_BYTES, Feed, Topic, Viewer
from actorfaas.http.problems import Problem

NODE, OTHER = Topic("node"), Topic("logs", (("function", "f"),))


class Script:
    """A source that says what the test gives it."""

    period_s = 3600.0

    def __init__(self) -> None:
        self.questions = 0
        self.asked = asyncio.Event()
        self.answers: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.known = b""

    async def news(self) -> bytes:
        self.questions += 1
        self.asked.set()
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        self.known += answer
        return answer

    def whole(self) -> bytes:
        return self.known

    def trouble(self, problem: Problem) -> bytes:
        return b"trouble " + problem.code.encode()


class Scene:
    """A feed and the sources it opened."""

    def __init__(self) -> None:
        self.sources: dict[Topic, Script] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.feed = Feed(self.open, self.spawn, logs.get("test"))

    def open(self, topic: Topic) -> Script:
        self.sources[topic] = Script()
        return self.sources[topic]

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(coroutine, name=name))
        return self.tasks[-1]

    def say(self, topic: Topic, answer: bytes | Exception) -> None:
        self.sources[topic].answers.put_nowait(answer)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def taken(viewer: Viewer) -> bytes:
    """The next news of a viewer."""
    async with asyncio.timeout(10):
        await viewer.changed.wait()
    return viewer.take()


async def test_without_viewers_nothing_is_asked(scene: Scene) -> None:
    assert not scene.feed.topics
    viewer = scene.feed.join([NODE])
    await scene.sources[NODE].asked.wait()
    scene.feed.leave(viewer)
    assert not scene.feed.topics
    await asyncio.wait(scene.tasks)
    assert all(task.cancelled() for task in scene.tasks)


async def test_all_viewers_of_a_topic_share_one_source_and_get_the_same(scene: Scene) -> None:
    viewers = [scene.feed.join([NODE]) for _ in range(10)]
    await scene.sources[NODE].asked.wait()
    scene.say(NODE, b"one")
    assert [await taken(viewer) for viewer in viewers] == [b"one"] * 10
    assert len(scene.tasks) == 1
    assert scene.sources[NODE].questions == 1


async def test_who_joins_later_gets_the_whole_at_once_and_the_source_is_asked_anew(scene: Scene) -> None:
    first = scene.feed.join([NODE])
    scene.say(NODE, b"one")
    await taken(first)
    later = scene.feed.join([NODE])
    assert later.take() == b"one"
    scene.say(NODE, b"two")  # although the period is an hour
    assert await taken(later) == b"two"
    assert await taken(first) == b"two"


async def test_topics_with_other_filters_are_others(scene: Scene) -> None:
    viewer = scene.feed.join([NODE, OTHER])
    assert scene.feed.topics == {NODE, OTHER}
    scene.say(OTHER, b"line")
    assert await taken(viewer) == b"line"
    assert OTHER.filter("function") == "f"
    assert OTHER.filter("request") == ""


async def test_one_who_leaves_does_not_end_what_others_watch(scene: Scene) -> None:
    one, other = scene.feed.join([NODE]), scene.feed.join([NODE, OTHER])
    scene.feed.leave(other)
    assert scene.feed.topics == {NODE}
    scene.say(NODE, b"one")
    assert await taken(one) == b"one"
    assert other.take() == b""


@pytest.mark.parametrize(
    ("error", "code"), [(Problem("restarting", "it is not there"), b"restarting"), (KeyError("a mistake"), b"internal")]
)
async def test_news_that_cannot_be_had_are_told_and_asked_for_again(
    scene: Scene, error: Exception, code: bytes
) -> None:
    viewer = scene.feed.join([NODE])
    scene.say(NODE, error)
    assert await taken(viewer) == b"trouble " + code
    scene.feed.join([NODE])
    scene.say(NODE, b"one")
    assert await taken(viewer) == b"one"


async def test_when_a_trouble_is_over_that_is_told_although_nothing_has_changed(scene: Scene) -> None:
    viewer = scene.feed.join([NODE])
    scene.say(NODE, b"one")
    assert await taken(viewer) == b"one"
    scene.say(NODE, Problem("restarting", "it is not there"))
    scene.feed.join([NODE])
    assert await taken(viewer) == b"trouble restarting"
    scene.say(NODE, b"")
    scene.feed.join([NODE])
    assert await taken(viewer) == b"one"


async def test_more_viewers_than_allowed_are_refused(scene: Scene) -> None:
    viewers = [scene.feed.join([NODE]) for _ in range(MAX_VIEWERS)]
    with pytest.raises(Problem) as caught:
        scene.feed.join([NODE])
    assert (caught.value.code, caught.value.status) == ("overloaded", 503)
    scene.feed.leave(viewers[0])
    scene.feed.join([NODE])


async def test_a_viewer_that_takes_nothing_is_dropped(scene: Scene) -> None:
    viewer = Viewer()
    half = bytes(MAX_WAITING_BYTES // 2)
    viewer.give(half)
    viewer.give(half)
    fitting = viewer.is_dropped
    viewer.give(b"x")
    viewer.give(b"y")
    assert (fitting, viewer.is_dropped, viewer.take()) == (False, True, b"")


async def test_a_single_piece_of_news_is_never_too_large(scene: Scene) -> None:
    viewer = Viewer()
    large = bytes(MAX_WAITING_BYTES * 3)
    for news in (large, b"small", large):
        viewer.give(news)
        assert viewer.take() == news
