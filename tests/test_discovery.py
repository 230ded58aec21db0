"""Where a client finds its node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from actorfaas.discovery import DEFAULT_URL, find_node, running_url
from actorfaas.errors import ConfigError


class TestFindNode:
    def node_file(self, folder: Path, url: str, pid: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "node.json").write_text(json.dumps({"url": url, "pid": pid or os.getpid()}))

    def find(self, tmp_path: Path, *, url: str = "", **environment: str) -> tuple[str, str]:
        here = tmp_path / "project" / "sub"
        here.mkdir(parents=True, exist_ok=True)
        given = {"ACTORFAAS_DATA_DIR": str(tmp_path / "data")} | environment
        found = find_node(url, environment=given, folder=here)
        return found.url, found.token

    def test_order(self, tmp_path: Path) -> None:
        assert self.find(tmp_path) == (DEFAULT_URL, "")
        self.node_file(tmp_path / "data", "http://data")
        assert self.find(tmp_path) == ("http://data", "")
        self.node_file(tmp_path / "project" / ".actorfaas", "http://dev")
        assert self.find(tmp_path) == ("http://dev", "")
        assert self.find(tmp_path, ACTORFAAS_URL="http://env") == ("http://env", "")
        assert self.find(tmp_path, url="http://flag", ACTORFAAS_URL="http://env") == ("http://flag", "")

    def test_tokens(self, tmp_path: Path) -> None:
        assert self.find(tmp_path, ACTORFAAS_TOKEN="t")[1] == "t"
        assert self.find(tmp_path, ACTORFAAS_API_TOKEN="own")[1] == "own"
        assert self.find(tmp_path, url="http://else", ACTORFAAS_API_TOKEN="own")[1] == ""

    def test_a_node_that_is_gone_is_passed_over(self, tmp_path: Path) -> None:
        ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
        ended.wait()
        self.node_file(tmp_path / "data", "http://gone", ended.pid)
        assert self.find(tmp_path)[0] == DEFAULT_URL

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": "x", "url": "y"}', "\x00"])
    def test_a_damaged_file_is_passed_over(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "node.json").write_text(content)
        assert running_url(tmp_path / "node.json") == ""

    def test_a_wrong_setting_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="port"):
            self.find(tmp_path, ACTORFAAS_PORT="many")
