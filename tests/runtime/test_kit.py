"""The kit that other tests stand on."""

from __future__ import annotations

from actorfaas.messages import DescribeQueue, Done, KvGet, KvValue
from tests.actors_kit import Kit


async def test_fakes_talk(kit: Kit) -> None:
    one = await kit.fake("one")
    two = await kit.fake("two", peers=("one",))
    one.answer(KvGet, lambda asked: KvValue(version=7, payload=asked.key.encode()))
    assert (await two.ask("one", KvGet(namespace="n", key="k"), KvValue)).payload == b"k"
    two.tell("one", DescribeQueue())
    assert await one.expect(DescribeQueue) == DescribeQueue()
    (await one.expect_caller("two")).tell(Done())
    assert await two.expect(Done) == Done()
