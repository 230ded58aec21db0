"""Which module is a bundle's entry."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorfaas.bundles.entry import find_entry
from actorfaas.errors import DeployError


def bundle(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("files", "wanted", "entry"),
    [
        (["app.py", "other.py"], "", "app.py"),
        (["only.py", "README.md", "data/x.json"], "", "only.py"),
        (["shop/__init__.py", "shop/items.py", "requirements.txt"], "", "shop"),
        (["app.py", "other.py"], "other.py", "other.py"),
        (["app.py", "other.py"], "other", "other.py"),
        (["shop/__init__.py", "shop/items.py"], "shop.items", "shop/items.py"),
        (["shop/__init__.py", "shop/items.py"], "shop/items.py", "shop/items.py"),
        (["shop/__init__.py", "app.py"], "shop", "shop"),
    ],
)
def test_entry_is_found(tmp_path: Path, files: list[str], wanted: str, entry: str) -> None:
    assert find_entry(bundle(tmp_path, *files), wanted) == entry


@pytest.mark.parametrize(
    ("files", "wanted", "said"),
    [
        (["a.py", "b.py"], "", r"several modules \(a\.py, b\.py\)"),
        (["README.md"], "", "no Python module"),
        ([], "", "it holds nothing"),
        (["app.py"], "main.py", r"no entry 'main\.py'; it holds app\.py"),
        (["app.py"], "../app.py", "inside the bundle"),
        (["app.py"], "/app.py", "inside the bundle"),
        (["my-app.py"], "my-app.py", "no entry"),
        (["app.py"], ".", "no entry"),
    ],
)
def test_no_entry_says_why(tmp_path: Path, files: list[str], wanted: str, said: str) -> None:
    with pytest.raises(DeployError, match=said):
        find_entry(bundle(tmp_path, *files), wanted)
