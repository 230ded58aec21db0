"""README.md names what there is (verbs, strategies, settings of functions), and its Python runs."""

from __future__ import annotations

import inspect
import re
import sys
from ast import literal_eval
from pathlib import Path
from types import ModuleType

import pytest

from actorfaas import Context, Function
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


def test_its_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)
    names = ("validate", "price", "ship", "premium", "abroad", "standard", "pack", "bill", "notify")
    functions = {name: Function(lambda event: event, name=name) for name in names}
    order = {"id": "1", "customer": "Ada", "total": 3, "country": "GB", "lines": ["tea"]}
    vars(module).update(functions, ctx=Context(), order=order)
    module.ctx.data.put("stock/tea", 5)
    blocks = re.findall(
        r"^```python\n(.*?)^```$", PAGE.partition("### Tasks that others do")[0], re.MULTILINE | re.DOTALL
    )
    exec("\n".join(blocks), vars(module))
    assert module.welcome.run({"name": "Ada"}) == "HELLO, ADA!"
    assert module.ctx.data.get("stock/tea") == 4
