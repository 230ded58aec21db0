"""Which module of an extracted bundle is its entry: the one asked for, else `app.py`, else the only candidate."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from actorfaas.errors import DeployError

DEFAULT_ENTRY = "app.py"


def find_entry(folder: Path, wanted: str) -> str:
    """The entry as a path relative to `folder`: a `.py` file or a package's folder. Raises DeployError.

    `wanted` may be such a path or a dotted module name; "" lets the bundle's content decide.
    """
    return _named_entry(folder, wanted) if wanted else _default_entry(folder)


def _named_entry(folder: Path, wanted: str) -> str:
    path = PurePosixPath(wanted)
    if path.is_absolute() or ".." in path.parts or "\0" in wanted:
        raise DeployError(f"the entry {wanted!r} must be a path inside the bundle")
    dotted = wanted.replace(".", "/")
    for candidate in (path, PurePosixPath(dotted + ".py"), PurePosixPath(dotted)):
        if _is_module(folder / candidate) and _importable(candidate):
            return str(candidate)
    raise DeployError(f"the bundle has no entry {wanted!r}; it holds {_listing(folder)}")


def _default_entry(folder: Path) -> str:
    if (folder / DEFAULT_ENTRY).is_file():
        return DEFAULT_ENTRY
    found = [path.name for path in folder.iterdir() if _is_module(path) and _importable(PurePosixPath(path.name))]
    if len(found) == 1:
        return found[0]
    problem = "no Python module" if not found else f"several modules ({', '.join(sorted(found))})"
    raise DeployError(f"the bundle has no {DEFAULT_ENTRY} and {problem}; name its entry; it holds {_listing(folder)}")


def _is_module(path: Path) -> bool:
    return (path.is_file() and path.suffix == ".py") or (path / "__init__.py").is_file()


def _importable(path: PurePosixPath) -> bool:
    parts = path.with_suffix("").parts
    return bool(parts) and all(part.isidentifier() for part in parts)


def _listing(folder: Path) -> str:
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    shown = ", ".join(names[:12])
    return (shown + (", …" if len(names) > 12 else "")) or "nothing"
