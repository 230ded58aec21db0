"""README.md names what there is: every verb of the command line, every strategy, and the functions' settings."""

from __future__ import annotations

import inspect
import re
from ast import literal_eval
from pathlib import Path

from actorfaas import Function
from actorfaas.cli.root import VERBS
from actorfaas.ids import STRATEGY_MEANINGS

PAGE = (Path(__file__).resolve().parents[1] / "README.md").read_text("utf-8")


def section(title: str) -> str:
    """One section of the page."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_verb_is_in_the_table() -> None:
    cells = re.findall(r"^\| (`.*?) \|", section("The command line"), re.MULTILINE)
    assert {word for cell in cells for word in re.findall(r"`([\w-]+)", cell)} >= VERBS.keys()


def test_every_strategy_is_in_the_table() -> None:
    table = section("How a call gets its instance").partition("| start kind |")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == STRATEGY_MEANINGS.keys()


def test_the_settings_of_functions_are_shown_with_their_defaults() -> None:
    shown = {
        name: literal_eval(value) for name, value in re.findall(r"^    (\w+)=(.*?),  ", section("Functions"), re.M)
    }
    declared = inspect.signature(Function.__init__).parameters.values()
    assert shown == {one.name: one.default for one in declared if one.name not in ("self", "handler", "name")}
