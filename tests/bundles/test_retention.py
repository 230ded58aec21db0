"""Bundles and environments that nobody uses any more: which go, which stay, and what a deploy at that moment sees."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from actorfaas.bundles import environment, retention
from actorfaas.bundles.environment import Environments
from actorfaas.bundles.store import LEAST_AGE_S, BundleStore
from actorfaas.messages import BundleRef
from tests.bundles.test_store import archived


def age(folder: Path, seconds: float) -> None:
    """Let a folder have been wanted `seconds` ago."""
    then = time.time() - seconds
    os.utime(folder, (then, then))


async def prepared(store: BundleStore, data_dir: Path, *contents: str) -> list[BundleRef]:
    """Bundles with these contents, the first wanted last, all of them long ago."""
    bundles = [await store.prepare(archived(data_dir, app=content)) for content in contents]
    for number, bundle in enumerate(bundles, start=2):
        age(Path(bundle.folder), number * LEAST_AGE_S)
    return bundles


def are_there(bundles: list[BundleRef]) -> list[bool]:
    return [Path(bundle.folder).is_dir() for bundle in bundles]


async def test_bundles_in_use_and_the_last_wanted_ones_stay(tmp_path: Path) -> None:
    store = BundleStore(tmp_path, 10, keep=1)
    bundles = await prepared(store, tmp_path, "a = 1", "b = 1", "c = 1", "d = 1")
    assert await store.remove_unused([bundles[3]]) == 2
    assert are_there(bundles) == [True, False, False, True]
    assert sorted(os.listdir(tmp_path / "bundles")) == sorted([bundles[0].sha256, bundles[3].sha256])


async def test_what_was_wanted_a_short_while_ago_stays(tmp_path: Path) -> None:
    store = BundleStore(tmp_path, 10)
    fresh, again, restored, old = await prepared(store, tmp_path, "a = 1", "b = 1", "c = 1", "d = 1")
    age(Path(fresh.folder), LEAST_AGE_S / 2)
    await store.prepare(archived(tmp_path, app="b = 1"))
    await store.restore(restored)
    assert await store.remove_unused([]) == 1
    assert are_there([fresh, again, restored, old]) == [True, True, True, False]


async def test_a_removed_bundle_is_extracted_again_when_it_is_wanted(tmp_path: Path) -> None:
    store = BundleStore(tmp_path, 10)
    (bundle,) = await prepared(store, tmp_path, "a = 1")
    assert await store.remove_unused([]) == 1
    await store.restore(bundle)
    assert (Path(bundle.folder) / "app.py").read_text() == "a = 1"


async def test_a_bundle_without_its_archive_stays(tmp_path: Path) -> None:
    store = BundleStore(tmp_path, 10)
    (bundle,) = await prepared(store, tmp_path, "a = 1")
    (tmp_path / "archives" / f"{bundle.sha256}.zip").unlink()
    assert await store.remove_unused([]) == 0
    assert are_there([bundle]) == [True]


async def test_a_deploy_that_comes_first_keeps_its_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BundleStore(tmp_path, 10)
    (bundle,) = await prepared(store, tmp_path, "a = 1")
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()
    look = retention.excess

    def look_and_tell(parent: Path, in_use: set[str], keep: int, least_age_s: float) -> list[Path]:
        found = look(parent, in_use, keep, least_age_s)
        loop.call_soon_threadsafe(looked.set)
        return found

    monkeypatch.setattr(retention, "excess", look_and_tell)
    async with store._locks.setdefault(bundle.sha256, asyncio.Lock()):  # a deploy of it is under way
        removing = asyncio.create_task(store.remove_unused([]))
        await asyncio.wait_for(looked.wait(), 10)
        assert retention.touch(Path(bundle.folder))
    assert await removing == 0
    assert are_there([bundle]) == [True]


async def test_remains_of_what_was_cut_short_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "bundles"
    names = [".aa.1.partial", ".bb.2.partial", f"{retention._TRASH}1.cc", ".cache"]
    for name in names:
        (folder / name).mkdir(parents=True)
        if name != names[1]:
            age(folder / name, 2 * LEAST_AGE_S)
    assert await BundleStore(tmp_path, 10, keep=5).remove_unused([]) == 2
    assert sorted(os.listdir(folder)) == [names[1], ".cache"]


async def test_nothing_was_ever_deployed(tmp_path: Path) -> None:
    assert await BundleStore(tmp_path, 10).remove_unused([]) == 0


async def test_environments_that_no_bundle_uses_are_removed(tmp_path: Path) -> None:
    environments = Environments(tmp_path, 10)
    homes = [tmp_path / name for name in ("used", "wanted", "kept", "old", ".cache")]
    for number, home in enumerate(homes, start=2):
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "python").touch()
        (home / environment._MARKER).touch()
        age(home, number * LEAST_AGE_S)
    assert await environments.is_there(str(homes[1] / "bin" / "python"))
    pythons = {str(homes[0] / "bin" / "python"), "/usr/bin/python3"}
    age(homes[1], 1.0)
    assert await environments.remove_unused(pythons, 2, LEAST_AGE_S) == 1
    assert [home.exists() for home in homes] == [True, True, True, False, True]
    assert not await environments.is_there(str(homes[3] / "bin" / "python"))
