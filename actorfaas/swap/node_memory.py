"""What a node sets up for its instances' memory before it starts any actor, and takes down after the last one.

The control groups and the swap: made if they can be, found again after a crash, removed at a clean stop if the node
made them. What cannot be had is said once, in the log, and the node goes on without. Everything here blocks.
"""

from __future__ import annotations

import os
from pathlib import Path

from actorfaas.config import Settings
from actorfaas.errors import SwapError
from actorfaas.logs import Logger
from actorfaas.swap import cgroup, swapfile, swaps, zram
from actorfaas.swap.cgroup import Tree
from actorfaas.swap.swaps import NODE_LABEL

FILE_PRIORITY = 100
ZRAM_PRIORITY = 200
"""Above the file's: it fills up first."""

ZRAM_MARKER = "zram-device"
"""The file in the data folder that says which zram device is ours."""

OFF_TIMEOUT_S = 10.0
"""The node's own instances have ended by then; what is still in its file is other programs' memory."""

_MIB = 1 << 20


def zram_marker(settings: Settings) -> Path:
    """Where it is remembered which zram device is ours."""
    return settings.data_dir / ZRAM_MARKER


class NodeMemory:
    """One node's control groups and swap. `open`, then `close`, whatever came between. Under the node's lock only."""

    def __init__(self, settings: Settings, log: Logger) -> None:
        self._settings = settings
        self._log = log
        self._tree: Tree | None = None

    def open(self) -> dict[str, str]:
        """Set up what can be; what the actors need to know of it, as environment variables."""
        self._open_groups()
        self._turn_swap_on()
        return {cgroup.HANDED_DOWN: cgroup.to_hand_down(self._tree) if self._tree else ""}

    def close(self) -> None:
        """Take it down, once the actors have stopped: groups first, so that nobody is left whose memory is in swap."""
        if self._tree is not None:
            try:
                self._tree.close()
            except SwapError as error:
                self._log.warning("control groups are left behind", error=str(error))
            self._tree = None
        self._turn_swap_off()

    # --- control groups ----------------------------------------------------------------------------------------------

    def _open_groups(self) -> None:
        if self._settings.cgroups == "off":
            self._log.info("no control groups", why="setting cgroups")
            return
        try:
            self._tree = cgroup.open_tree(cgroup.owner_of(os.getpid()))
        except (SwapError, OSError) as error:
            self._log.info("no control groups", why=str(error))
            return
        try:
            cleaned = self._tree.clean_up()
        except (SwapError, OSError) as error:
            self._log.warning("control groups of a node that was killed cannot be removed", error=str(error))
            return
        if cleaned:
            self._log.info("control groups of killed nodes removed", nodes=[owner.pid for owner in cleaned])

    # --- swap --------------------------------------------------------------------------------------------------------

    def _turn_swap_on(self) -> None:
        settings = self._settings
        if settings.swap_mb:
            try:
                ready = swapfile.ensure(settings.swapfile, settings.swap_mb * _MIB, priority=FILE_PRIORITY)
                self._log.info("swap file", path=ready.area.path, how=ready.how, size_bytes=ready.area.size_bytes)
            except (SwapError, OSError) as error:
                self._log.warning("no swap file", why=str(error))
        elif self._is_own_file():
            self._log.info("a node that was killed left its swap file; it is used until this one stops")
        if settings.zram_mb:
            try:
                area = zram.turn_on(settings.zram_mb * _MIB, ZRAM_PRIORITY, zram_marker(settings))
                self._log.info("compressed swap", path=area.path, size_bytes=area.size_bytes)
            except (SwapError, OSError) as error:
                self._log.warning("no compressed swap", why=str(error))

    def _turn_swap_off(self) -> None:
        """What the node made goes; what a person made (`actorfaas swap on`) stays."""
        for what, give_up in (("compressed swap", self._give_zram_up), ("swap file", self._give_file_up)):
            try:
                give_up()
            except (SwapError, OSError) as error:
                self._log.warning(f"the {what} stays", why=str(error))

    def _give_file_up(self) -> None:
        path = self._settings.swapfile
        if not self._is_own_file():
            return
        area = swaps.find_active(path)
        self._log.info("turning swap off", path=str(path), used_bytes=area.used_bytes if area else 0)
        swapfile.turn_off(path, OFF_TIMEOUT_S)
        swapfile.remove(path)

    def _give_zram_up(self) -> None:
        marker = zram_marker(self._settings)
        if zram.label_of(marker) == NODE_LABEL:
            zram.turn_off(marker, OFF_TIMEOUT_S)

    def _is_own_file(self) -> bool:
        try:
            header = swapfile.read_header(self._settings.swapfile)
        except OSError:
            return False
        return header is not None and header.label == NODE_LABEL and os.geteuid() == 0
