"""Bundles on disk: extracted once per content, checked against their hash, safe under concurrent deploys."""

from __future__ import annotations

import asyncio
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import pytest

from actorfaas.bundles.archive import ArchiveLimits, extract
from actorfaas.bundles.store import BundleStore
from actorfaas.errors import DeployError
from actorfaas.messages import PrepareBundle


def archived(data_dir: Path, **files: str) -> PrepareBundle:
    """A request for an archive with `files` (`app` stands for app.py), stored where the Frontend would store it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(f"{name}.py", content)
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    (data_dir / "archives").mkdir(exist_ok=True)
    path = data_dir / "archives" / f"{sha256}.zip"
    path.write_bytes(buffer.getvalue())
    return PrepareBundle("shop", str(path), sha256, "")


async def test_a_bundle_is_extracted_under_its_hash(tmp_path: Path) -> None:
    request = archived(tmp_path, app="x = 1\n")
    bundle = await BundleStore(tmp_path, 10).prepare(request)
    assert Path(bundle.folder) == tmp_path / "bundles" / request.sha256
    assert (Path(bundle.folder) / "app.py").read_text() == "x = 1\n"
    assert (bundle.app, bundle.entry, bundle.python) == ("shop", "app.py", sys.executable)


async def test_the_archive_is_also_found_by_its_bare_name(tmp_path: Path) -> None:
    request = archived(tmp_path, app="")
    by_name = PrepareBundle("shop", f"{request.sha256}.zip", request.sha256, "")
    assert (await BundleStore(tmp_path, 10).prepare(by_name)).entry == "app.py"


async def test_the_same_content_is_extracted_once_however_many_deploy_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = archived(tmp_path, app="")
    extractions: list[Path] = []

    def counted(archive: Path, folder: Path, limits: ArchiveLimits) -> None:
        extractions.append(folder)
        extract(archive, folder, limits)

    monkeypatch.setattr("actorfaas.bundles.store.extract", counted)
    bundles = BundleStore(tmp_path, 10)
    prepared = await asyncio.gather(*(bundles.prepare(request) for _ in range(8)))
    await BundleStore(tmp_path, 10).prepare(request)
    assert len(extractions) == 1
    assert len(set(map(str, prepared))) == 1


async def test_content_that_does_not_match_its_hash_is_refused(tmp_path: Path) -> None:
    request = archived(tmp_path, app="")
    wrong = PrepareBundle("shop", request.archive, "0" * 64, "")
    with pytest.raises(DeployError, match="has the SHA-256"):
        await BundleStore(tmp_path, 10).prepare(wrong)
    assert not (tmp_path / "bundles" / ("0" * 64)).exists()


async def test_a_hash_that_is_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="not a SHA-256"):
        await BundleStore(tmp_path, 10).prepare(PrepareBundle("shop", "x.zip", "../../etc", ""))


async def test_a_lost_folder_is_extracted_again(tmp_path: Path) -> None:
    request = archived(tmp_path, app="x = 2\n")
    bundles = BundleStore(tmp_path, 10)
    bundle = await bundles.prepare(request)
    (Path(bundle.folder) / "app.py").unlink()
    Path(bundle.folder).rmdir()
    await bundles.restore(bundle)
    assert (Path(bundle.folder) / "app.py").read_text() == "x = 2\n"
