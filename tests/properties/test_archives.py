"""Whatever an archive holds, extraction either succeeds inside its folder or refuses; nothing else happens."""

from __future__ import annotations

import io
import shutil
import stat
import zipfile
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorfaas.bundles.archive import ArchiveLimits, extract
from actorfaas.errors import DeployError

LIMITS = ArchiveLimits(max_files=50, max_total_bytes=100_000)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)

names = st.lists(st.sampled_from(["a", "b.py", "..", ".", "", "/", "\\", "ü", "c:"]), min_size=1, max_size=4).map(
    "/".join
)
modes = st.sampled_from([0, stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o600])
entries = st.lists(st.tuples(names, modes, st.binary(max_size=40), st.sampled_from(METHODS)), max_size=6)
damage = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(deadline=None)  # the machine may be busy, and each example writes files
@given(entries, damage)
def test_extraction_stays_inside_or_refuses(
    content: list[tuple[str, int, bytes, int]], damaged: list[tuple[int, int]]
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, mode, data, method in content:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = method
            opened.writestr(info, data)
    archive = bytearray(buffer.getvalue())
    for position, value in damaged:
        archive[position % len(archive)] = value

    root = Path(mkdtemp(prefix="afaas-"))
    try:
        (root / "a.zip").write_bytes(archive)
        (root / "in").mkdir()
        try:
            extract(root / "a.zip", root / "in" / "bundle", LIMITS)
        except DeployError:
            assert list((root / "in").iterdir()) == []
        else:
            assert [path.name for path in (root / "in").iterdir()] == ["bundle"]
            for path in (root / "in" / "bundle").rglob("*"):
                assert not path.is_symlink()
                assert path.is_file() or path.is_dir()
        assert sorted(path.name for path in root.iterdir()) == ["a.zip", "in"]
    finally:
        shutil.rmtree(root)
