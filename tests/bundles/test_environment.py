"""Cached environments: what identifies one, and what is left out. Building real ones is a system test."""

from __future__ import annotations

import asyncio
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


@pytest.mark.system
async def test_a_build_that_takes_too_long_is_ended_and_not_taken_for_complete(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"not installed within 0\.001 s"):
        await Environments(tmp_path / "venvs", 0.001).python_for(b"./no/such/folder\n")
    with pytest.raises(DeployError, match="uv pip failed") as caught:
        await Environments(tmp_path / "venvs", 60).python_for(b"./no/such/folder\n")
    assert "no/such/folder" in str(caught.value)


@pytest.mark.system
async def test_deploys_with_the_same_requirements_share_one_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = b"--no-index\n"  # an environment without any package: built without a network
    environments = Environments(tmp_path / "venvs", 60)
    pythons = await asyncio.gather(*(environments.python_for(requirements) for _ in range(4)))
    assert len(set(pythons)) == 1
    monkeypatch.setattr("actorfaas.bundles.environment.find_uv_bin", lambda: "/no/such/uv")
    assert await Environments(tmp_path / "venvs", 60).python_for(requirements) == pythons[0]
    version = await asyncio.create_subprocess_exec(
        pythons[0], "-c", "import sys; sys.exit(sys.prefix == sys.base_prefix)"
    )
    assert await version.wait() == 0


@pytest.mark.system
@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
async def test_uv_trusts_the_certificates_of_the_machine_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    for name in ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS"):
        if given is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, given)
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\necho "system=$UV_SYSTEM_CERTS native=$UV_NATIVE_TLS"\nexit 1\n', "utf-8")
    uv.chmod(0o755)
    monkeypatch.setattr("actorfaas.bundles.environment.find_uv_bin", lambda: str(uv))
    with pytest.raises(DeployError, match=f"system={expected} native={expected}"):
        await Environments(tmp_path / "venvs", 60).python_for(b"six\n")
