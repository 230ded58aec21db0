"""A node that is killed again and again, as a whole or one actor of it, and started again as a service manager would.

Owns the processes; what runs on the node is not its business. Its address stays the same.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from actorfaas import testing

ACTORS = ("data_layer", "swapper", "local_queue", "fw_supervisor", "execution_manager", "frontend")
NODE = "node"
NODE_SHARE = 0.25
"""How many of the kills take the whole node."""
AGAIN_SHARE = 0.3
"""After how many of the kills the next one comes while what was killed is still coming back."""
AGAIN_S = 1.2
RESTART_S = 0.05
STOP_TIMEOUT_S = 30.0


@dataclass
class Host:
    """Where the node lives. `gave_up`: how often it ended by itself, because an actor had died too often."""

    folder: Path
    port: int = 0
    starts: int = 0
    gave_up: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    process: subprocess.Popen[bytes] | None = None
    settings: dict[str, str | float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it answers, when it does."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, without waiting until it is ready. Its log so far is kept."""
        self.port = self.port or free_port()
        log = self.folder / "node.log"
        if log.exists():
            shutil.move(log, self.folder / f"node.{self.starts}.log")
        self.starts += 1
        self.process = testing.start_process(self.folder, {**self.settings, "port": self.port})

    def wait_until_ready(self) -> None:
        """Until it serves; started again if it ends meanwhile."""
        while True:
            self.revive()
            assert self.process is not None  # revived
            with suppress(testing.NodeDidNotStart):
                testing.wait_until_ready(self.folder, self.process)
                return

    def revive(self) -> None:
        """Start it if it has ended by itself."""
        if self.process is None:
            self.start()
        elif self.process.poll() is not None:
            self.gave_up += 1
            self.start()

    def kill(self, victim: str) -> bool:
        """SIGKILL to one actor, or to the node's own process. False: there is no such process at the moment."""
        process = self.process
        if process is None or process.poll() is not None:
            return False
        pid = process.pid if victim == NODE else self.actors().get(victim, 0)
        if pid <= 1:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills[victim] += 1
        if victim == NODE:
            process.wait()
            time.sleep(RESTART_S)
            self.start()
        return True

    def actors(self) -> dict[str, int]:
        """The processes of the actors that live now."""
        assert self.process is not None  # it was started
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid:
                    command = (entry / "cmdline").read_bytes().decode()
                    found.update({name: int(entry.name) for name in ACTORS if f"actors.{name}:" in command})
        return found

    def stop(self) -> None:
        """Stop it in order."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def strike(host: Host, kills: int, pause_s: float, seed: int, is_over: Callable[[], bool]) -> None:
    """Kill so often: at random moments, each kill random, some while what was killed before is still coming back."""
    chance = random.Random(seed)
    while sum(host.kills.values()) < kills and not is_over():
        if chance.random() < AGAIN_SHARE:
            time.sleep(chance.random() * AGAIN_S)
            host.revive()
        else:
            host.wait_until_ready()
            time.sleep(chance.random() * 2 * pause_s)
        host.kill(NODE if chance.random() < NODE_SHARE else chance.choice(ACTORS))
