"""docs/workflows.md: its Python and JSON are run here, its commands in tests/system/test_workflows_page.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from actorfaas.composing import Composable, Step
from actorfaas.states.validate import validate
from tests.workflows_page import PAGE, blocks, module_source, named_json, write_module


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert {kind for kind, _ in blocks()} == {"python", "json", "console"}
    assert len(named_json()) == len([kind for kind, _ in blocks() if kind == "json"])


def test_what_it_says_in_python_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_module(tmp_path)
    spec = importlib.util.spec_from_file_location("shop", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "shop", module)
    spec.loader.exec_module(module)
    assert module_source().count("assert ") > 20


def test_its_definitions_are_valid() -> None:
    for name, text in named_json().items():
        assert validate(text.encode()) == [], name


@pytest.mark.parametrize("method", sorted(vars(Composable).keys() & {"retry", "catch", "reads", "keeps", "named"}))
def test_every_way_to_change_a_step_is_described(method: str) -> None:
    assert f".{method}(" in PAGE


def test_every_kind_of_step_is_described() -> None:
    kinds = {one.kind for one in Step.__subclasses__()} | {"Wait", "Pass", "Succeed", "Fail"}
    assert all(f"a {kind}" in PAGE or f"{kind}" in PAGE for kind in kinds if kind)
