"""docs/operations.md says what is true: every setting with its default and meaning, and a unit for systemd."""

from __future__ import annotations

import configparser
import re
from dataclasses import fields
from pathlib import Path

import pytest

from actorfaas.config import Settings

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "operations.md").read_text("utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", re.MULTILINE)
DEPENDS_ON_THE_MACHINE = {"data_dir", "run_dir", "swap_path", "objects_dir"}


def settings_on_the_page() -> dict[str, tuple[str, str]]:
    table = PAGE.partition("## Settings")[2].partition("\n## ")[0]
    return {name: (default.strip(), meaning) for name, default, meaning in ROW.findall(table)}


def test_every_setting_is_described_in_order() -> None:
    assert list(settings_on_the_page()) == [field.name for field in fields(Settings)]


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_a_setting_has_its_default_and_meaning(field: object) -> None:
    name, default = field.name, field.default  # type: ignore[attr-defined]  # dataclasses.Field, generic over nothing
    shown, meaning = settings_on_the_page()[name]
    assert meaning == field.metadata["doc"]  # type: ignore[attr-defined]
    if name not in DEPENDS_ON_THE_MACHINE:
        text = str(default).lower() if isinstance(default, bool) else str(default)
        assert shown == (f"`{text}`" if text else "")


def test_the_unit_starts_a_node_with_known_settings() -> None:
    unit = configparser.ConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    unit.read_string(PAGE.partition("```ini\n")[2].partition("```")[0])
    service = unit["Service"]
    assert service["ExecStart"].endswith("/actorfaas serve")
    name = service["Environment"].partition("=")[0]
    assert name.removeprefix("ACTORFAAS_").lower() in {field.name for field in fields(Settings)}
    defaults = Settings()
    assert float(service["TimeoutStopSec"]) > defaults.stop_timeout_s * len(defaults.processes.split())
