"""The object store: folders as buckets, files as objects, and no way out of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.storage.objects import ObjectStore, pieces


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    root = tmp_path / "objects"
    for key, text in (("a.txt", "a"), ("a/2", "two"), ("a/10", "ten"), ("a/b/c", ""), ("z", "z"), (".z.part", "half")):
        path = root / "in" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "secret").write_text("secret")
    return ObjectStore(root)


def text_of(objects: ObjectStore, bucket: str, key: str) -> bytes:
    with objects.open(bucket, key) as file:
        return b"".join(pieces(file))


def code(objects: ObjectStore, bucket: str, key: str) -> str:
    with pytest.raises(RequestRefused) as raised:
        objects.open(bucket, key)
    return raised.value.code


@pytest.mark.parametrize(
    ("prefix", "keys"),
    [
        ("", ["a.txt", "a/10", "a/2", "a/b/c", "z"]),
        ("a", ["a.txt", "a/10", "a/2", "a/b/c"]),
        ("a/", ["a/10", "a/2", "a/b/c"]),
        ("a/b/c", ["a/b/c"]),
        ("y", []),
    ],
)
def test_objects_are_listed_in_the_order_of_their_keys(objects: ObjectStore, prefix: str, keys: list[str]) -> None:
    found = list(objects.list("in", prefix))
    assert [one.key for one in found] == keys
    assert all(one.size_bytes == len(text_of(objects, "in", one.key)) for one in found)


def test_a_tag_tells_versions_apart(objects: ObjectStore) -> None:
    before = next(objects.list("in", "z")).tag
    assert next(objects.list("in", "z")).tag == before
    path = objects.root / "in" / "z"
    (objects.root / "new").write_text("y")
    (objects.root / "new").replace(path)
    assert next(objects.list("in", "z")).tag != before


@pytest.mark.parametrize("key", ["", "/z", "../in/z", "a/../z", "a//2", "a/", ".", "x\0", ".z.part", "k" * 1025])
def test_keys_that_no_object_has(objects: ObjectStore, key: str) -> None:
    assert code(objects, "in", key) == "invalid"


@pytest.mark.parametrize("bucket", ["", "..", ".in", "in/a", "in\n"])
def test_names_that_no_bucket_has(objects: ObjectStore, bucket: str) -> None:
    assert code(objects, bucket, "z") == "invalid"


def test_what_is_not_there(objects: ObjectStore) -> None:
    assert code(objects, "out", "z") == "not_found"
    assert code(objects, "in", "a/b") == "not_found"
    assert code(objects, "in", "a/3") == "not_found"
    assert code(objects, "in", "z/3") == "not_found"
    os.mkfifo(objects.root / "in" / "pipe")
    assert code(objects, "in", "pipe") == "not_found"


def test_no_link_leads_out_of_a_bucket(objects: ObjectStore, tmp_path: Path) -> None:
    bucket = objects.root / "in"
    (bucket / "out").symlink_to(tmp_path / "secret")
    (bucket / "folder").symlink_to(tmp_path)
    assert code(objects, "in", "out") == "invalid"
    assert code(objects, "in", "folder/secret") == "invalid"
    assert {one.key for one in objects.list("in")} == {"a.txt", "a/10", "a/2", "a/b/c", "z"}
    with pytest.raises(RequestRefused):
        objects.place("in", "folder/new")
    assert not (tmp_path / "new").exists()


def test_a_bucket_may_be_a_link_to_a_folder_elsewhere(objects: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "k").write_text("there")
    (objects.root / "linked").symlink_to(tmp_path / "elsewhere")
    assert text_of(objects, "linked", "k") == b"there"
    unfinished, path = objects.place("linked", "deep/er")
    unfinished.write_text("new")
    assert [one.key for one in objects.list("linked")] == ["k"], "what is being written is no object yet"
    unfinished.replace(path)
    assert [one.key for one in objects.list("linked")] == ["deep/er", "k"]
