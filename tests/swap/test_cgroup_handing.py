"""How actors find the node's groups again, and a worker's leaf among them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from actorfaas.swap import cgroup
from actorfaas.swap.cgroup import Owner, Tree
from actorfaas.swap.cgroup_v1 import TreeV1
from actorfaas.swap.cgroup_v2 import TreeV2
from actorfaas.swap.target import Target

KINDS: list[type[TreeV1] | type[TreeV2]] = [TreeV1, TreeV2]


class InGroup:
    """A process that is in certain groups."""

    def __init__(self, groups: str) -> None:
        self._groups = groups.encode()

    def read(self, name: str) -> bytes:
        assert name == "cgroup"
        return self._groups


def leaf(tree: Tree, groups: str) -> Path | None:
    found = cgroup.leaf_of(tree, cast(Target, InGroup(groups)))
    return found.path if found else None


@pytest.mark.parametrize("kind", KINDS)
def test_a_tree_is_found_again(tmp_path: Path, kind: type[TreeV1] | type[TreeV2]) -> None:
    tree = kind(tmp_path, Owner(12, 34))
    tree.root.mkdir()
    again = cgroup.handed_down({cgroup.HANDED_DOWN: cgroup.to_hand_down(tree)})
    assert type(again) is kind
    assert (again.root, again.owner, again.parent) == (tree.root, tree.owner, tree.parent)


@pytest.mark.parametrize("text", ["", "1:", "x", "1:/nowhere/actorfaas-1-2", "3:{tree}", "1:{folder}"])
def test_anything_else_is_no_tree(tmp_path: Path, text: str) -> None:
    tree = TreeV1(tmp_path, Owner(12, 34))
    tree.root.mkdir()
    assert cgroup.handed_down({cgroup.HANDED_DOWN: text.format(tree=tree.root, folder=tmp_path)}) is None
    assert cgroup.handed_down({}) is None


def test_a_leaf_is_below_the_tree_or_nothing(tmp_path: Path) -> None:
    v1, v2 = TreeV1(tmp_path, Owner(12, 34)), TreeV2(tmp_path, Owner(12, 34))
    below = "actorfaas-12-34/fn-f@1/w-7"
    assert leaf(v1, f"5:memory:/a/{below}\n0::/\n") == tmp_path / below
    assert leaf(v2, f"0::/a/{below}\n") == tmp_path / below
    assert leaf(v2, f"0::/{below}\n") == tmp_path / below  # seen from a namespace that begins there
    for elsewhere in ("/", "/a", "/a/actorfaas-12-34", "/a/actorfaas-12-345/fn-f@1/w-7", "/a/xactorfaas-12-34/w"):
        assert leaf(v1, f"5:memory:{elsewhere}\n") is None
        assert leaf(v2, f"0::{elsewhere}\n") is None
    assert leaf(v1, f"0::/a/{below}\n") is None


def test_a_functions_group_is_found_only_if_it_is_there(tmp_path: Path) -> None:
    tree = TreeV1(tmp_path, Owner(12, 34))
    assert tree.find_function("f@1") is None
    (tree.root / "fn-f@1").mkdir(parents=True)
    found = tree.find_function("f@1")
    assert found is not None
    assert found.path == tree.root / "fn-f@1"
