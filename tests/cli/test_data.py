"""`actorfaas data`."""

from __future__ import annotations

import json

from tests.cli.conftest import Cli
from tests.fake_node import FakeNode, Reply, document

ENTRY = {"app": "shop", "kind": "value", "name": "", "key": "k", "version": 4, "value": {"a": "é"}}


def test_get_writes_the_value(cli: Cli, fake: FakeNode) -> None:
    fake.on("GET", "/v1/data/shop/entry", document(ENTRY))
    result = cli("data", "get", "shop", "stock/tea")
    assert (result.stdout, result.stderr) == ('{"a": "é"}\n', "version 4\n")
    assert fake.last.query == {"key": "stock/tea", "kind": "value"}
    assert json.loads(cli("data", "get", "shop", "k", "--map", "m", "-o", "json").stdout) == ENTRY
    assert fake.last.query == {"key": "k", "kind": "map", "name": "m"}


def test_put_sends_json(cli: Cli, fake: FakeNode) -> None:
    fake.on("PUT", "/v1/data/@tenant/entry", document(ENTRY))
    result = cli("data", "put", "@tenant", "k", "[1]", "--if-version", "0", "--ttl", "1.5")
    assert (result.exit_code, result.stderr) == (0, "version 4\n")
    assert fake.last.query == {"key": "k", "kind": "value", "if_version": "0", "ttl_s": "1.5"}
    assert fake.last.body == b"[1]"
    cli("data", "put", "@tenant", "member", "--set", "seen")
    assert fake.last.query == {"key": "member", "kind": "set", "name": "seen"}


def test_list_writes_keys_and_where_to_go_on(cli: Cli, fake: FakeNode) -> None:
    fake.on("GET", "/v1/data/shop", document({"keys": ["a", "b"], "next_after": "b"}))
    result = cli("data", "list", "shop", "pre", "--limit", "2", "--after", "0")
    assert (result.stdout, result.stderr) == ("a\nb\n", "More: --after b\n")
    assert fake.last.query == {"kind": "value", "prefix": "pre", "limit": "2", "after": "0"}
    cli("data", "list", "shop", "--kind", "map")
    assert fake.last.query == {"kind": "map", "limit": "100"}


def test_add_writes_what_the_counter_comes_to(cli: Cli, fake: FakeNode) -> None:
    fake.on("POST", "/v1/data/shop/entry", document(ENTRY | {"value": -3}))
    assert cli("data", "add", "shop", "hits", "--", "-5").stdout == "-3\n"
    assert fake.last.query == {"key": "hits", "kind": "counter", "amount": "-5"}


def test_remove(cli: Cli, fake: FakeNode) -> None:
    fake.on("DELETE", "/v1/data/shop/entry", Reply(204))
    assert cli("data", "remove", "shop", "k", "--if-version", "4").stderr == "removed k\n"
    assert fake.last.query == {"key": "k", "kind": "value", "if_version": "4"}


def test_wrong_usage(cli: Cli, fake: FakeNode) -> None:
    for arguments in (
        ("put", "shop", "k", "{"),
        ("get", "shop", "k", "--map", "m", "--counter"),
        ("put", "shop", "k", "1", "--ttl", "0"),
    ):
        assert cli("data", *arguments).exit_code == 2
    assert fake.asked == []
