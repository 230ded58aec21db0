"""The import contracts of docs/architecture.md (in .importlinter) hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter import cli

CONTRACTS = Path(__file__).parents[1] / ".importlinter"


def test_the_import_contracts_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.lint_imports(config_filename=str(CONTRACTS), no_cache=True)
    assert status == cli.EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_a_broken_contract_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upside_down = tmp_path / "contracts"
    upside_down.write_text(
        "[importlinter]\nroot_package = actorfaas\n[importlinter:contract:x]\nname = x\ntype = layers\n"
        "layers =\n    actorfaas.messages\n    actorfaas.wire\n"
    )
    status = cli.lint_imports(config_filename=str(upside_down), no_cache=True)
    assert status != cli.EXIT_STATUS_SUCCESS
    assert "actorfaas.wire -> actorfaas.messages" in capsys.readouterr().out
