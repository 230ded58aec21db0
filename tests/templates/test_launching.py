"""How the processes of one node are told from those of another."""

from __future__ import annotations

from actorfaas.templates.launching import MARK_VARIABLE, Start
from actorfaas.worker.launch import DirectLauncher


def start(node: str) -> Start:
    return Start(DirectLauncher(), 1000, node)


def test_supervisors_of_one_node_share_their_lineage_and_no_other_node_does() -> None:
    first, second, other = start("/data"), start("/data"), start("/data:1/more")
    assert first.lineage == second.lineage
    assert first.mark != second.mark
    assert first.mark.startswith(first.lineage)
    assert not other.mark.startswith(first.lineage), "what one node ends at its start is not another's"
    assert f"{MARK_VARIABLE}={first.environment[MARK_VARIABLE]}" == first.mark
