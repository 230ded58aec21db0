"""Deployments: immutable, numbered from 1, at most one version of an application active."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import DeploymentSaved
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import Wall, deployment


async def active(store: SqliteStore) -> list[tuple[str, int]]:
    found = (await store.list_deployments("", active_only=True)).deployments
    return [(record.app, record.version) for record in found]


async def test_a_version_comes_back_as_it_was_stored(store: SqliteStore, wall: Wall) -> None:
    request = deployment("shop")
    assert await store.save_deployment(request) == DeploymentSaved("shop", 1)
    (record,) = (await store.list_deployments("shop", active_only=False)).deployments
    assert (record.app, record.version, record.active, record.created_at_ms) == ("shop", 1, False, wall.ms)
    assert (record.bundle, record.functions, record.workflows) == (
        *(request.bundle, request.functions, request.workflows),
    )


async def test_fields_of_functions_that_are_no_longer_kept_are_ignored(store: SqliteStore, tmp_path: Path) -> None:
    request = deployment("shop")
    await store.save_deployment(request)
    with closing(sqlite3.connect(tmp_path / "state.sqlite")) as connection, connection:
        connection.execute('UPDATE deployment SET functions = replace(functions, \'"module"\', \'"old":1,"module"\')')
    (record,) = (await store.list_deployments("shop", active_only=False)).deployments
    assert record.functions == request.functions


async def test_versions_are_numbered_by_application_and_listed_newest_first(store: SqliteStore) -> None:
    for app in ("b", "a", "b", "b"):
        await store.save_deployment(deployment(app))
    found = (await store.list_deployments("", active_only=False)).deployments
    assert [(record.app, record.version) for record in found] == [("a", 1), ("b", 3), ("b", 2), ("b", 1)]
    found = (await store.list_deployments("b", active_only=False)).deployments
    assert [record.version for record in found] == [3, 2, 1]


async def test_one_version_is_active_or_none(store: SqliteStore) -> None:
    for app in ("a", "b", "b"):
        await store.save_deployment(deployment(app))
    assert await active(store) == []
    await store.activate_deployment("b", 1)
    await store.activate_deployment("a", 1)
    await store.activate_deployment("b", 2)
    assert await active(store) == [("a", 1), ("b", 2)]
    with pytest.raises(RequestRefused, match="no version 9"):
        await store.activate_deployment("b", 9)
    assert await active(store) == [("a", 1), ("b", 2)]
    await store.activate_deployment("b", 0)
    assert await active(store) == [("a", 1)]


async def test_a_definition_that_is_not_text_is_invalid(store: SqliteStore) -> None:
    request = deployment()
    broken = replace(request, workflows=(replace(request.workflows[0], definition=b"\xff"),))
    with pytest.raises(RequestRefused, match="not UTF-8"):
        await store.save_deployment(broken)
