"""The page's files: what is served, under which headers, and that they ask for nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator

import pytest

from actorfaas.diagrams.svg import svg
from actorfaas.http.page import HEADERS, files
from tests.actors_kit import Kit
from tests.frontend_kit import Node, frontend

FILES = files()


@pytest.fixture
async def node(kit: Kit) -> AsyncIterator[Node]:
    async with frontend(kit, api_token="secret") as made:
        yield made


@pytest.mark.parametrize("path", ["/", "/ui"])
async def test_the_bare_address_leads_to_the_page(node: Node, path: str) -> None:
    response = await node.get(path)
    assert response.status_code == 307
    assert response.headers["location"] == "/ui/"


async def test_the_page_is_there_without_a_token(node: Node) -> None:
    response = await node.get("/ui/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.content == FILES["index.html"].content


@pytest.mark.parametrize("name", sorted(FILES))
async def test_every_file_is_served_with_its_type_and_the_policy(node: Node, name: str) -> None:
    response = await node.get(f"/ui/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"] == FILES[name].media_type
    assert {header: response.headers[header] for header in HEADERS} == dict(HEADERS)
    again = await node.get(f"/ui/{name}", if_none_match=response.headers["etag"])
    assert again.status_code == 304
    assert again.content == b""


@pytest.mark.parametrize("path", ["/ui/nothing.js", "/ui/..%2fpage.py", "/ui/index.html/x"])
async def test_nothing_else_is_served(node: Node, path: str) -> None:
    assert (await node.get(path)).status_code == 404


async def test_only_reading_is_possible(node: Node) -> None:
    assert (await node.client.head("/ui/")).status_code == 200
    assert (await node.post("/ui/")).status_code == 405


async def test_a_name_that_was_made_to_lead_here_gets_nothing(node: Node) -> None:
    assert (await node.get("/ui/", host="evil.example")).status_code == 403


def test_the_policy_lets_in_the_pictures_style_and_nothing_inline_otherwise() -> None:
    policy = HEADERS["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    picture = svg({"StartAt": "a", "States": {"a": {"Type": "Succeed"}}}, "one")
    (style,) = re.findall("<style>(.*?)</style>", picture, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_file_asks_for_anything_from_elsewhere(name: str) -> None:
    text = FILES[name].content.decode()
    addresses = set(re.findall(r"https?://[\w./-]+", text)) - {"http://www.w3.org/2000/svg"}
    assert not addresses
    assert not re.search(r"""(src|href)=["']?//|@import|url\(|innerHTML|outerHTML|insertAdjacentHTML|eval\(""", text)


def test_every_import_is_one_of_the_files() -> None:
    for file in FILES.values():
        if file.media_type.startswith("text/javascript"):
            for name in re.findall(r"from '\./([\w.]+)'", file.content.decode()):
                assert name in FILES
