"""What a node does about memory where it may do nothing; where it may, see tests/system/swap."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from actorfaas import logs
from actorfaas.config import Settings
from actorfaas.errors import CgroupError, SwapUnavailable
from actorfaas.swap import cgroup, swapfile, zram
from actorfaas.swap.node_memory import NodeMemory
from actorfaas.swap.swaps import NODE_LABEL, PERSON_LABEL, build_header


def refuse(*_: object, **__: object) -> None:
    raise SwapUnavailable("only root can")


@pytest.fixture
def nothing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_groups(*_: object) -> None:
        raise CgroupError("no control groups here")

    monkeypatch.setattr(cgroup, "open_tree", no_groups)
    for module, name in ((swapfile, "ensure"), (swapfile, "turn_off"), (zram, "turn_on")):
        monkeypatch.setattr(module, name, refuse)


@pytest.mark.usefixtures("nothing_works")
def test_refusals_are_logged_and_the_node_goes_on(tmp_path: Path) -> None:
    with capture_logs() as logged:
        memory = NodeMemory(Settings(data_dir=tmp_path, swap_mb=64, zram_mb=64), logs.get("node"))
        assert memory.open() == {cgroup.HANDED_DOWN: ""}
        memory.close()
    assert [(line["event"], line["why"]) for line in logged] == [
        ("no control groups", "no control groups here"),
        ("no swap file", "only root can"),
        ("no compressed swap", "only root can"),
    ]


@pytest.mark.usefixtures("nothing_works")
def test_by_default_no_swap_is_made(tmp_path: Path) -> None:
    with capture_logs() as logged:
        memory = NodeMemory(Settings(data_dir=tmp_path, cgroups="off"), logs.get("node"))
        assert memory.open() == {cgroup.HANDED_DOWN: ""}
        memory.close()
    assert [line["event"] for line in logged] == ["no control groups"]


@pytest.mark.usefixtures("nothing_works")
@pytest.mark.parametrize(("label", "tried"), [(NODE_LABEL, True), (PERSON_LABEL, False), ("other", False)])
def test_only_the_nodes_own_file_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str, tried: bool
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    (tmp_path / "swapfile").write_bytes(build_header(64 << 20, label, bytes(16)))
    memory = NodeMemory(Settings(data_dir=tmp_path, cgroups="off"), logs.get("node"))
    memory.open()
    with capture_logs() as logged:
        memory.close()
    assert ("the swap file stays" in [line["event"] for line in logged]) is tried
    assert (tmp_path / "swapfile").exists()
