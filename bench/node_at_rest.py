"""What an idle node without functions costs: memory and processor time.

`python -m bench.node_at_rest [--quick] [--json FILE]`. Memory is the sum of PSS over the node's processes (each page
counted once, shared ones in shares); processor time is user and system time of them all over the period.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.node import running
from bench.report import Report, options

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def pss_bytes(pid: int) -> int:
    """Proportional set size of one process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_s(pid: int) -> float:
    """User and system time of one process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def command_name(pid: int) -> str:
    """The last argument of the command, which names the actors of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")[-1].decode()


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__)
    report = Report("node_at_rest", chosen.seed)
    period_s = 10.0 if chosen.quick else 60.0
    with running() as node:
        time.sleep(2)
        pids = node.processes()
        before = {pid: cpu_s(pid) for pid in pids}
        time.sleep(period_s)
        used = {pid: cpu_s(pid) - before[pid] for pid in pids}
        memory = {pid: pss_bytes(pid) for pid in pids}
        for pid in pids:
            report.rows.append(
                {
                    "process": "node" if pid == node.process.pid else command_name(pid),
                    "PSS MB": memory[pid] / 1e6,
                    "CPU %": used[pid] / period_s * 100,
                }
            )
    report.budget("memory of a node at rest", 150, sum(memory.values()) / 1e6, "MB")
    report.budget("processor time of a node at rest", 1.0, sum(used.values()) / period_s * 100, "%")
    report.finish(chosen)


if __name__ == "__main__":
    main()
