"""`actorfaas.data_calls`: functions' data, against a server on a real socket."""

from __future__ import annotations

import json

from actorfaas.client import Client
from tests.fake_node import FakeNode, Reply, document


def test_keys_are_asked_for_a_page_at_a_time(fake: FakeNode, client: Client) -> None:
    fake.on("GET", "/v1/data/@acme", document({"keys": ["b"], "next_after": None}))
    assert client.data_keys("@acme", kind="map", name="orders", after="a")["keys"] == ["b"]
    assert fake.last.query == {"kind": "map", "name": "orders", "after": "a", "limit": "100"}


def test_a_value_is_set_if_it_is_absent(fake: FakeNode, client: Client) -> None:
    fake.on("PUT", "/v1/data/shop/entry", document({"version": 1}))
    assert client.data_put("shop", "tea", {"n": 1}, if_version=0, ttl_s=2.5) == {"version": 1}
    assert fake.last.query == {"key": "tea", "if_version": "0", "ttl_s": "2.5"}
    assert json.loads(fake.last.body) == {"n": 1}


def test_one_value(fake: FakeNode, client: Client) -> None:
    fake.on("GET", "/v1/data/shop/entry", document({"value": 3, "version": 2}))
    assert client.data_get("shop", "tea")["value"] == 3
    assert fake.last.query == {"key": "tea"}


def test_counters_and_removals(fake: FakeNode, client: Client) -> None:
    fake.on("POST", "/v1/data/shop/entry", document({"value": -2}))
    assert client.data_add("shop", "sold", -2) == {"value": -2}
    assert fake.last.query == {"key": "sold", "kind": "counter", "amount": "-2"}
    fake.on("DELETE", "/v1/data/shop/entry", Reply(204))
    client.data_delete("shop", "tea", if_version=7)
    assert fake.last.query == {"key": "tea", "if_version": "7"}
