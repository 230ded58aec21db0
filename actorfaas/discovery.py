"""Where the node is that a client should talk to.

Order: what was given, `ACTORFAAS_URL`, the node.json of a development node (`.actorfaas/` here or in a folder above),
the node.json of the data folder, http://127.0.0.1:8080. A node.json whose process is gone is passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from actorfaas.config import load

DEFAULT_URL = "http://127.0.0.1:8080"
DEV_FOLDER = ".actorfaas"
NODE_FILE = "node.json"


@dataclass(frozen=True, slots=True)
class Target:
    """A node's address, the token it wants ("" when none is known) and where the address comes from."""

    url: str
    token: str
    origin: str


def find_node(
    url: str = "", token: str = "", environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Target:
    """Decide which node to talk to; `folder` is where the search begins. Raises ConfigError on a wrong setting."""
    environment = os.environ if environment is None else environment
    folder = folder or Path.cwd()
    token = token or environment.get("ACTORFAAS_TOKEN", "")
    if url:
        return Target(url, token, "--url")
    if environment.get("ACTORFAAS_URL"):
        return Target(environment["ACTORFAAS_URL"], token, "ACTORFAAS_URL")
    settings = load(environment=environment, folder=folder)
    token = token or settings.api_token
    for candidate in (*(above / DEV_FOLDER for above in (folder, *folder.parents)), settings.data_dir):
        found = running_url(candidate / NODE_FILE)
        if found:
            return Target(found, token, str(candidate / NODE_FILE))
    return Target(DEFAULT_URL, token, "the default")


def running_url(node_file: Path) -> str:
    """The URL in a node.json whose process is alive, or ""."""
    try:
        state = json.loads(node_file.read_text("utf-8"))
        pid, url = int(state["pid"]), str(state["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return url if Path(f"/proc/{pid}").exists() else ""
