"""Functions' data over HTTP: what the DataLayer is asked, what is answered, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from actorfaas.batches import unpacked
from actorfaas.messages import KvCommit, KvCommitted, KvGet, KvKeys, KvList, KvNames, KvValue, KvWrite, Message
from tests.actors_kit import Kit
from tests.frontend_kit import Node, frontend
from tests.http.shapes import check

M = TypeVar("M", bound=Message)


def asked_for(node: Node, kind: type[M], answer: Callable[[M], Message]) -> list[M]:
    """What the DataLayer is asked of one type, answered like this."""
    asked: list[M] = []

    def noted(message: M) -> Message:
        asked.append(message)
        return answer(message)

    node.data.answer(kind, noted)
    return asked


def committed(node: Node, *numbers: int, conflict: int = -1) -> list[tuple[KvCommit, KvWrite]]:
    """What the DataLayer is asked to change, answered with these numbers."""
    asked: list[tuple[KvCommit, KvWrite]] = []

    def answer(message: KvCommit) -> KvCommitted:
        (write,) = unpacked(message.payload, message.app)
        asked.append((message, write))
        return KvCommitted(numbers, conflict)

    node.data.answer(KvCommit, answer)
    return asked


async def test_a_value_is_read_with_its_version(node: Node) -> None:
    gets = asked_for(node, KvGet, lambda get: KvValue(4, b'{"a":1}') if get.key == "a/b c" else KvValue(0, b""))
    response = await node.client.get("/v1/data/shop/entry", params={"key": "a/b c"})
    check(response.json(), "DataEntry")
    assert response.json() == {
        "app": "shop",
        "kind": "value",
        "name": "",
        "key": "a/b c",
        "version": 4,
        "value": {"a": 1},
    }
    missing = await node.client.get("/v1/data/@tenant/entry?key=k&kind=map&name=m")
    assert (missing.status_code, missing.json()["detail"]) == (404, "@tenant has no map 'm' with 'k'")
    assert [get.namespace for get in gets] == ["shop", "@tenant/map/m"]


async def test_keys_are_listed_in_pages(node: Node) -> None:
    lists = asked_for(node, KvList, lambda one: KvKeys(("k1", "k2")[: one.limit]))
    whole = (await node.client.get("/v1/data/shop?kind=set&name=seen&prefix=k&after=k0")).json()
    check(whole, "DataKeys")
    assert (whole["keys"], whole["next_after"]) == (["k1", "k2"], None)
    assert (await node.client.get("/v1/data/shop?limit=1")).json()["next_after"] == "k1"
    assert lists == [
        KvList("shop/set/seen", "k", "k0", 100),
        KvList("shop", "", "", 1),
    ]


async def test_so_are_the_names_of_maps(node: Node) -> None:
    names = asked_for(node, KvNames, lambda _: KvKeys(("shop/map/a", "shop/map/b/c")))
    assert (await node.client.get("/v1/data/shop?kind=map&after=a")).json()["keys"] == ["a", "b/c"]
    assert names == [KvNames("shop/map/", "shop/map/a", 100)]


async def test_a_value_is_put(node: Node) -> None:
    asked = committed(node, 7)
    response = await node.client.put("/v1/data/shop/entry?key=k&if_version=6&ttl_s=1.5", content=b"[1]")
    check(response.json(), "DataEntry")
    assert (response.status_code, response.json()["version"]) == (200, 7)
    await node.client.put("/v1/data/@tenant/entry?key=k&kind=set&name=s")
    assert [(write, message.is_repeatable) for message, write in asked] == [
        (KvWrite("shop", "k", "put", 6, 1500, 0, b"[1]"), False),
        (KvWrite("@tenant/set/s", "k", "put", -1, 0, 0, b""), True),
    ]


async def test_a_counter_is_added_to(node: Node) -> None:
    asked = committed(node, -4)
    response = await node.client.post("/v1/data/shop/entry?key=hits&kind=counter&amount=-5")
    check(response.json(), "DataEntry")
    assert response.json()["value"] == -4
    await node.client.post("/v1/data/shop/entry?key=hits&kind=counter")
    assert [write.amount for _, write in asked] == [-5, 1]


async def test_a_key_is_removed(node: Node) -> None:
    asked = committed(node, 0)
    assert (await node.client.delete("/v1/data/shop/entry?key=k")).status_code == 204
    assert asked[0][1] == KvWrite("shop", "k", "delete", -1, 0, 0, b"")


async def test_another_version_is_a_failed_precondition(node: Node) -> None:
    committed(node, conflict=0)
    for method in ("PUT", "DELETE"):
        response = await node.client.request(method, "/v1/data/shop/entry?key=k&if_version=3", content=b"1")
        assert (response.status_code, response.json()["detail"]) == (412, "'k' is not version 3 any more")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/data/@other/entry?key=k", b"", 400),
        ("GET", "/v1/data/shop/entry", b"", 400),
        ("GET", "/v1/data/shop/entry?key=k&kind=list", b"", 400),
        ("GET", "/v1/data/shop/entry?key=k&kind=map", b"", 400),
        ("PUT", "/v1/data/shop/entry?key=k", b"{", 400),
        ("PUT", "/v1/data/shop/entry?key=k&kind=counter", b"1.5", 400),
        ("PUT", "/v1/data/shop/entry?key=k&ttl_s=0", b"1", 400),
        ("PUT", "/v1/data/shop/entry?key=k&ttl_s=soon", b"1", 400),
        ("POST", "/v1/data/shop/entry?key=k", b"", 400),
        ("POST", "/v1/data/shop/entry?key=k&kind=counter&amount=1.5", b"", 400),
        ("PUT", "/v1/data/shop/entry?key=k", b"1" * 2000, 413),
    ],
)
async def test_what_makes_no_sense_is_refused(kit: Kit, method: str, path: str, body: bytes, status: int) -> None:
    kit.configure(max_body_bytes=1000)
    async with frontend(kit) as node:
        response = await node.client.request(method, path, content=body)
        assert response.status_code == status
        check(response.json(), "Problem")
        assert not node.data.received(KvCommit)
