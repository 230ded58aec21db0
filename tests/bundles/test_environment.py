"""Cached environments: what identifies one, and what is left out. Building real ones is a system test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from actorfaas.bundles.environment import Environments, environment_key, own_requirement_removed
from actorfaas.errors import DeployError


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"# nothing\n", b"actorfaas>=0.1\n", b"actorfaas\n", b"\xef\xbb\xbf"]
)
async def test_no_requirements_means_the_nodes_own_interpreter(tmp_path: Path, content: bytes) -> None:
    assert await Environments(tmp_path / "venvs", 10).python_for(content) == sys.executable
    assert not (tmp_path / "venvs").exists()


@pytest.mark.parametrize("line", ["actorfaas", "actorfaas==0.1.0", " ActorFaaS [examples] >= 0.1 ", "actorfaas # us"])
def test_the_platform_itself_is_not_installed(line: str) -> None:
    assert own_requirement_removed(f"six\n{line}\nidna\n".encode()) == "six\nidna\n"


@pytest.mark.parametrize("line", ["actorfaas-tools", "actorfaas_x==1", "not-actorfaas"])
def test_packages_with_a_similar_name_are_installed(line: str) -> None:
    assert own_requirement_removed(line.encode()) == f"{line}\n"


def test_what_is_not_text_is_refused() -> None:
    with pytest.raises(DeployError, match="UTF-8"):
        own_requirement_removed(b"\xff\xfe\x00")


def test_the_key_depends_on_the_requirements_only_by_content() -> None:
    assert environment_key("six\n") == environment_key("six\n")
    assert environment_key("six\n") != environment_key("six==1.16\n")
