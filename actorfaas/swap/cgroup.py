"""Which control groups a node can use here, and its tree in them.

`cgroup_base` has the interface, `cgroup_v1` and `cgroup_v2` carry it out. On machines with both (v1's memory controller
and an empty v2 hierarchy), the one that counts memory is taken.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from actorfaas.errors import CgroupError
from actorfaas.swap.cgroup_base import Group, Tree
from actorfaas.swap.cgroup_files import Mount, Owner, own_folder, parse_mounts, parse_own_groups
from actorfaas.swap.cgroup_v1 import TreeV1
from actorfaas.swap.cgroup_v2 import TreeV2
from actorfaas.swap.target import Target

__all__ = ["Detected", "Group", "Owner", "Tree", "detect", "handed_down", "leaf_of", "open_tree", "owner_of"]

HANDED_DOWN = "ACTORFAAS_CGROUP"
"""The environment variable in which actors find the node's tree, as VERSION:FOLDER."""


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found. `version` 0 is none; `sentence` says what can be used, or why not and what to do."""

    version: int
    parent: Path
    usable: bool
    sentence: str


def detect(proc: Path = Path("/proc")) -> Detected:
    """Look for a hierarchy that counts memory, and whether this process may make groups in its own group there."""
    own = parse_own_groups((proc / "self/cgroup").read_text())
    mounts = parse_mounts((proc / "self/mountinfo").read_text())
    for mount in sorted(mounts, key=lambda mount: -mount.version):
        group_path = own.get("" if mount.version == 2 else "memory")
        if group_path is None:
            continue
        folder = own_folder(mount, group_path)
        if mount.version == 2 and not _has_memory(folder):
            continue
        return _judge(mount, folder)
    sentence = "no control groups that count memory; mount cgroup2 with its memory controller, or run under systemd"
    return Detected(0, Path(), False, sentence)


def _has_memory(folder: Path) -> bool:
    try:
        return "memory" in (folder / "cgroup.controllers").read_text().split()
    except OSError:
        return False


def _judge(mount: Mount, folder: Path) -> Detected:
    name = f"control groups v{mount.version}"
    if not folder.is_dir():
        return Detected(mount.version, folder, False, f"{name}: the node's own group {folder} cannot be seen")
    needed = [folder, folder / "cgroup.procs"]
    if mount.version == 2:
        needed.append(folder / "cgroup.subtree_control")
    refused = next((path for path in needed if not os.access(path, os.W_OK)), None)
    if refused is not None:
        advice = "start the node as root"
        if mount.version == 2:
            advice += ", or with: systemd-run --user --scope -p Delegate=yes actorfaas serve"
        sentence = f"{name}: {refused} is not writable for this user; {advice}"
        return Detected(mount.version, folder, False, sentence)
    strangers = _strangers(folder) if mount.version == 2 and not _is_root_group(folder) else []
    if strangers:
        sentence = (
            f"{name}: {folder} is shared with processes that are not the node's ({', '.join(map(str, strangers[:5]))});"
            " start the node in a group of its own: systemd-run --scope -p Delegate=yes actorfaas serve"
        )
        return Detected(mount.version, folder, False, sentence)
    return Detected(mount.version, folder, True, f"{name} in {folder}")


def _is_root_group(folder: Path) -> bool:
    """The root group has no cgroup.type file."""
    return not (folder / "cgroup.type").exists()


def _strangers(folder: Path) -> list[int]:
    """Processes in the group of other sessions than ours: they would have to be moved, so it is not for us."""
    if "memory" in (folder / "cgroup.subtree_control").read_text().split():
        return []
    mine = os.getsid(0)
    found = []
    for text in (folder / "cgroup.procs").read_text().split():
        try:
            if os.getsid(int(text)) != mine:
                found.append(int(text))
        except ProcessLookupError:
            continue
    return found


def owner_of(pid: int) -> Owner:
    """The identity under which a node's tree is kept. Raises ProcessGone."""
    with Target(pid) as target:
        return Owner(pid, target.start_time)


def open_tree(owner: Owner, detected: Detected | None = None) -> Tree:
    """The tree of a node, made or found again; trees of dead nodes are left to `clean_up`. Raises CgroupError."""
    detected = detected or detect()
    if not detected.usable:
        raise CgroupError(detected.sentence)
    tree: Tree = TreeV1(detected.parent, owner) if detected.version == 1 else TreeV2(detected.parent, owner)
    tree.open()
    return tree


def to_hand_down(tree: Tree) -> str:
    """What the node puts into `HANDED_DOWN`."""
    return f"{tree.version}:{tree.root}"


def handed_down(environment: Mapping[str, str] = os.environ) -> Tree | None:
    """The tree that the node has opened for its actors; None if it has none."""
    version, _, folder = environment.get(HANDED_DOWN, "").partition(":")
    root = Path(folder)
    owner = Owner.of_directory(root.name)
    if version not in ("1", "2") or owner is None or not root.is_dir():
        return None
    return TreeV1(root.parent, owner) if version == "1" else TreeV2(root.parent, owner)


def leaf_of(tree: Tree, target: Target) -> Group | None:
    """The group a process is in, if it is one below the tree. Raises ProcessGone."""
    own = parse_own_groups(target.read("cgroup").decode("utf-8", "replace"))
    path = own.get("memory" if tree.version == 1 else "", "")
    below = path.partition(f"/{tree.root.name}/")[2]  # the name says whose tree it is: no other has it
    return tree.group(tree.root / below) if below else None
