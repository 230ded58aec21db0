"""What is in docs/workflows.md: its blocks of code, by language, and the module that they make together."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "workflows.md").read_text("utf-8")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED_JSON = re.compile(r"^`([\w.]+\.json)`:\n\n```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """Language and text of each block, in order."""
    return [(match[1], match[2]) for match in _BLOCK.finditer(PAGE)]


def module_source() -> str:
    """All blocks of Python as one module."""
    return "\n\n".join(text for kind, text in blocks() if kind == "python")


def named_json() -> dict[str, str]:
    """The blocks of JSON by the name of the file that each is said to be."""
    return {match[1]: match[2] for match in _NAMED_JSON.finditer(PAGE)}


def write_module(folder: Path) -> Path:
    """Write the module `shop.py` and its definitions into a folder."""
    for name, text in named_json().items():
        (folder / name).write_text(text, "utf-8")
    path = folder / "shop.py"
    path.write_text(module_source(), "utf-8")
    return path


def commands() -> list[tuple[str, str]]:
    """Each command of the blocks of commands, and what it prints."""
    found: list[tuple[str, str]] = []
    for line in "".join(text for kind, text in blocks() if kind == "console").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found
