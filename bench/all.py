"""Every benchmark in turn: `python -m bench.all [--quick] [--folder bench/results]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("handoff", "throughput", "forks", "node_at_rest", "soak", "faults")


def main() -> int:
    """Run each as a process of its own; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="at most 60 seconds each")
    parser.add_argument("--folder", type=Path, help="write NAME.json files there")
    chosen = parser.parse_args()
    failed = []
    for name in BENCHMARKS:
        command = [sys.executable, "-m", f"bench.{name}"]
        command += ["--quick"] if chosen.quick else []
        command += ["--json", str(chosen.folder / f"{name}.json")] if chosen.folder else []
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
