"""`actorfaas.packing`: what gets into a bundle, and that the same files give the same bytes."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from actorfaas.bundles.archive import extract
from actorfaas.bundles.entry import find_entry
from actorfaas.errors import DeployError
from actorfaas.packing import Ignore, app_name, find_apps, pack


def write(root: Path, *names: str) -> Path:
    """Files with some content."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    return root


def names_in(archive: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.namelist()


class TestPack:
    def test_a_module(self, tmp_path: Path) -> None:
        write(tmp_path, "hello.py", "other.py")
        bundle = pack(tmp_path / "hello.py")
        assert (bundle.app, bundle.entry, bundle.files) == ("hello", "hello.py", ("hello.py",))
        assert names_in(bundle.archive) == ["hello.py"]

    def test_a_module_brings_the_requirements_beside_it(self, tmp_path: Path) -> None:
        write(tmp_path, "hello.py", "requirements.txt")
        assert pack(tmp_path / "hello.py").files == ("hello.py", "requirements.txt")

    def test_a_folder(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "shop", "app.py", "lib/prices.py", "data/prices.json")
        bundle = pack(folder)
        assert (bundle.app, bundle.entry) == ("shop", "app.py")
        assert bundle.files == ("app.py", "data/prices.json", "lib/prices.py")

    def test_a_package_keeps_its_name_as_a_folder(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "shop", "__init__.py", "prices.py", "parts/__init__.py")
        bundle = pack(folder)
        assert (bundle.app, bundle.entry) == ("shop", "shop")
        assert bundle.files == ("shop/__init__.py", "shop/parts/__init__.py", "shop/prices.py")

    def test_name_and_entry_can_be_given(self, tmp_path: Path) -> None:
        bundle = pack(write(tmp_path, "main.py", "more.py"), app="mine", entry="main.py")
        assert (bundle.app, bundle.entry) == ("mine", "main.py")

    def test_without_app_py_the_node_finds_the_entry(self, tmp_path: Path) -> None:
        assert pack(write(tmp_path / "single", "only.py")).entry == ""

    def test_what_stays_out(self, tmp_path: Path) -> None:
        write(tmp_path, "app.py", "app.pyc", "__pycache__/app.cpython-311.pyc", ".git/config", ".venv/bin/python")
        write(tmp_path, "node_modules/x/y.js", ".actorfaas/node.json", "sub/__pycache__/z.pyc", "sub/kept.py", ".env")
        assert pack(tmp_path).files == (".env", "app.py", "sub/kept.py")

    def test_the_ignore_file(self, tmp_path: Path) -> None:
        write(
            tmp_path, "app.py", "data/big.bin", "notes/a.md", "deep/notes/b.md", "c.md", "build/x.py", "deep/build/y.py"
        )
        (tmp_path / ".actorfaasignore").write_text("# comment\n\ndata/\n*.md\n/build\n")
        assert pack(tmp_path).files == ("app.py", "deep/build/y.py")

    def test_the_same_files_give_the_same_bytes(self, tmp_path: Path) -> None:
        first = write(tmp_path / "one" / "app", "app.py", "b.py", "c/d.py")
        second = tmp_path / "two" / "app"
        for name in ("c/d.py", "b.py", "app.py"):  # another order of creation
            (second / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(first / name, second / name)
            os.utime(second / name, (1, 1))
        assert pack(first).archive == pack(second).archive
        assert pack(first).sha256 == pack(second).sha256

    @pytest.mark.parametrize("change", ["content", "name", "mode"])
    def test_other_files_give_other_bytes(self, tmp_path: Path, change: str) -> None:
        folder = write(tmp_path, "app.py", "b.py")
        before = pack(folder).sha256
        if change == "content":
            (folder / "b.py").write_text("# else\n")
        elif change == "name":
            (folder / "b.py").rename(folder / "c.py")
        else:
            (folder / "b.py").chmod(0o755)
        assert pack(folder).sha256 != before

    def test_the_node_accepts_what_is_packed(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "shop", "app.py", "run.sh", "sub/x.py")
        (folder / "run.sh").chmod(0o755)
        bundle = pack(folder)
        (tmp_path / "a.zip").write_bytes(bundle.archive)
        extract(tmp_path / "a.zip", tmp_path / "out")
        assert find_entry(tmp_path / "out", bundle.entry) == "app.py"
        assert (tmp_path / "out" / "sub" / "x.py").read_text() == "# sub/x.py\n"
        assert os.access(tmp_path / "out" / "run.sh", os.X_OK)

    def test_the_node_accepts_a_package(self, tmp_path: Path) -> None:
        bundle = pack(write(tmp_path / "shop", "__init__.py"))
        (tmp_path / "a.zip").write_bytes(bundle.archive)
        extract(tmp_path / "a.zip", tmp_path / "out")
        assert find_entry(tmp_path / "out", bundle.entry) == "shop"

    def test_a_link_to_a_file_is_its_content(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "shop", "app.py")
        (tmp_path / "shared.txt").write_text("shared")
        (folder / "linked.txt").symlink_to(tmp_path / "shared.txt")
        with zipfile.ZipFile(io.BytesIO(pack(folder).archive)) as opened:
            assert opened.read("linked.txt") == b"shared"

    def test_a_link_to_a_folder_is_refused(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "shop", "app.py")
        (folder / "loop").symlink_to(folder)
        with pytest.raises(DeployError, match="loop is a link to a folder"):
            pack(folder)

    def test_a_broken_link_is_refused(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "shop", "app.py")
        (folder / "gone").symlink_to(tmp_path / "nowhere")
        with pytest.raises(DeployError, match="gone is not a regular file"):
            pack(folder)

    def test_too_large_names_the_largest_files(self, tmp_path: Path) -> None:
        folder = write(tmp_path, "app.py")
        (folder / "weights.bin").write_bytes(b"w" * 3_000_000)
        (folder / "small.bin").write_bytes(b"s" * 500_000)
        with pytest.raises(DeployError) as caught:
            pack(folder, max_bytes=1_000_000)
        message = str(caught.value)
        assert "3.5 MB, more than the 1.0 MB" in message
        assert "the largest: weights.bin (3.0 MB), small.bin (0.5 MB)" in message
        assert ".actorfaasignore" in message

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            ((), "does not exist"),
            (("shop/readme.md",), "holds no Python module"),
        ],
    )
    def test_nothing_to_pack(self, tmp_path: Path, make: tuple[str, ...], message: str) -> None:
        write(tmp_path, *make)
        with pytest.raises(DeployError, match=message):
            pack(tmp_path / "shop")

    def test_a_file_that_is_no_module(self, tmp_path: Path) -> None:
        write(tmp_path, "notes.txt")
        with pytest.raises(DeployError, match="is not a Python module"):
            pack(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("hello.py", "hello"),
        ("shop/app.py", "shop"),
        ("shop", "shop"),
        ("random_average", "random_average"),
        ("my shop.v2", "my-shop-v2"),
        ("2024/app.py", "app-2024"),
        ("__init__", "init"),
        ("größe.py", "gr--e"),
        ("x" * 80, "x" * 64),
    ],
)
def test_app_name(path: str, name: str) -> None:
    assert app_name(Path("/srv") / path) == name


class TestFindApps:
    def test_a_module_a_folder_and_a_package_are_themselves(self, tmp_path: Path) -> None:
        write(tmp_path, "one.py", "two/app.py", "three/__init__.py")
        for name in ("one.py", "two", "three"):
            assert find_apps(tmp_path / name) == [tmp_path / name]

    def test_several_in_a_folder(self, tmp_path: Path) -> None:
        write(tmp_path, "__init__.py", "b/app.py", "a/app.py", "docs/readme.md", ".venv/app.py")
        assert find_apps(tmp_path) == [tmp_path / "a", tmp_path / "b"]

    def test_a_folder_with_app_py_is_one_application(self, tmp_path: Path) -> None:
        write(tmp_path, "app.py", "inner/app.py")
        assert find_apps(tmp_path) == [tmp_path]

    @pytest.mark.parametrize(
        ("path", "message"),
        [("", "no folder in it is an application"), ("x", "does not exist"), ("a.txt", "not a Python module")],
    )
    def test_none(self, tmp_path: Path, path: str, message: str) -> None:
        write(tmp_path, "a.txt")
        with pytest.raises(DeployError, match=message):
            find_apps(tmp_path / path)


@pytest.mark.parametrize(
    ("path", "excluded"),
    [
        ("app.py", False),
        ("a/__pycache__/b.pyc", True),
        (".git/HEAD", True),
        ("git/HEAD", False),
        ("x/.venv/lib/y.py", True),
        ("a/b.pyo", True),
        ("notes.py~", True),
    ],
)
def test_ignore_looks_at_the_folders_above_too(path: str, excluded: bool) -> None:
    assert Ignore().excludes(path) is excluded
