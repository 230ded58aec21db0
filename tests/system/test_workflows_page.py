"""The commands of docs/workflows.md, run on a node as they stand there."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.kit import node_with
from tests.workflows_page import commands, write_module

pytestmark = pytest.mark.system


def test_commands_print_what_the_page_says(tmp_path: Path) -> None:
    shop, folder = tmp_path / "shop", tmp_path / "node"
    shop.mkdir()
    folder.mkdir()
    write_module(shop)
    with node_with(folder) as node:
        environment = os.environ | {"ACTORFAAS_URL": str(node.http.base_url)}
        for command, expected in commands():
            program, *arguments = shlex.split(command)
            assert program == "actorfaas"
            line = [sys.executable, "-m", "actorfaas", *arguments]
            done = subprocess.run(line, cwd=shop, env=environment, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, (command, done.stderr)
            beginning, cut, _ = expected.partition("...\n")
            is_so = done.stdout.startswith(beginning) if cut else done.stdout.rstrip("\n") == expected.rstrip("\n")
            assert is_so, (command, done.stdout)
    assert (shop / "orders.svg").read_text("utf-8").count("data-state=") == 11
