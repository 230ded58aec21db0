"""From code on disk to a bundle: a zip archive whose bytes depend only on the files' names, contents and x-bits.

Owns what belongs in a bundle, which folders hold an application, and what it is called. Unpacking, with its own
checks, is in `bundles`; uploading in `client`.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from actorfaas.declarations import MAX_NAME_LENGTH
from actorfaas.errors import DeployError

DEFAULT_ENTRY = "app.py"
IGNORE_FILE = ".actorfaasignore"
MAX_BUNDLE_BYTES = 256 * 1024 * 1024
MAX_BUNDLE_FILES = 20_000

ALWAYS_IGNORED = (
    "__pycache__/",
    ".actorfaas/",
    ".git/",
    ".hg/",
    ".svn/",
    ".venv/",
    "venv/",
    "node_modules/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".hypothesis/",
    ".idea/",
    ".vscode/",
    "*.egg-info/",
    "*.py[cod]",
    ".DS_Store",
    "*.swp",
    "*~",
    IGNORE_FILE,
)

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip archive can hold; the real ones would change the bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive ready to be deployed. `entry` is the path in it that is imported, `files` all that it holds."""

    app: str
    entry: str
    archive: bytes
    sha256: str
    files: tuple[str, ...]


class Ignore:
    """Decides which paths stay out of a bundle.

    Patterns are those of .gitignore without `!`: `name` and `*.ext` match at any depth, a pattern with a slash in
    front or inside matches from the top, a slash at the end matches only folders. `*` also matches slashes.
    """

    def __init__(self, patterns: tuple[str, ...] = ()) -> None:
        self._patterns = [_parsed(pattern) for pattern in (*ALWAYS_IGNORED, *patterns)]

    @classmethod
    def of_folder(cls, folder: Path) -> Ignore:
        """The patterns that always hold and those in the folder's own .actorfaasignore."""
        try:
            lines = (folder / IGNORE_FILE).read_text("utf-8").splitlines()
        except FileNotFoundError:
            lines = []
        return cls(tuple(line.strip() for line in lines if line.strip() and not line.startswith("#")))

    def matches(self, path: str, is_folder: bool) -> bool:
        """Whether the file or folder at `path` (relative, forward slashes) itself is ignored."""
        name = path.rpartition("/")[2]
        return any(
            fnmatchcase(path if anchored else name, pattern)
            for pattern, anchored, folders_only in self._patterns
            if is_folder or not folders_only
        )

    def excludes(self, path: str) -> bool:
        """Whether a file at `path` is ignored, by itself or with a folder above it."""
        parts = path.split("/")
        above = ("/".join(parts[:count]) for count in range(1, len(parts)))
        return self.matches(path, is_folder=False) or any(self.matches(folder, is_folder=True) for folder in above)


def pack(path: Path, *, app: str = "", entry: str = "", max_bytes: int = MAX_BUNDLE_BYTES) -> Bundle:
    """Make a bundle of a module (a .py file, with the requirements.txt beside it), a package or a folder with app.py.

    `app` and `entry` default to what the path suggests. The same files give the same bytes. Raises DeployError.
    """
    path = path.absolute()
    if path.is_file():
        files = _files_of_module(path)
        entry = entry or path.name
    elif path.is_dir():
        root = path.parent if _is_package(path) and not entry else path
        files = {str(file.relative_to(root)): file for file in _walk(path)}
        entry = entry or (path.name if _is_package(path) else "")
    else:
        raise DeployError(f"{path} does not exist")
    if not any(name.endswith(".py") for name in files):
        raise DeployError(f"{path} holds no Python module")
    archive = _archive(files, max_bytes)
    return Bundle(
        app=app or app_name(path),
        entry=entry or (DEFAULT_ENTRY if DEFAULT_ENTRY in files else ""),
        archive=archive,
        sha256=hashlib.sha256(archive).hexdigest(),
        files=tuple(sorted(files)),
    )


def app_name(path: Path) -> str:
    """What an application at `path` is called: its file's name, or its folder's for a folder and for app.py."""
    path = path.absolute()
    base = path.stem if path.suffix == ".py" and path.name != DEFAULT_ENTRY else ""
    base = base or (path.parent.name if path.name == DEFAULT_ENTRY else path.name)
    kept = (
        character if character.isascii() and (character.isalnum() or character in "_-") else "-" for character in base
    )
    name = "".join(kept).strip("-_")
    return (name if name[:1].isalpha() else f"app-{name}".rstrip("-"))[:MAX_NAME_LENGTH]


def find_apps(path: Path) -> list[Path]:
    """The applications at `path`: itself (a module, a package, a folder with app.py), or those in its folders.

    Raises DeployError when there are none.
    """
    path = path.absolute()
    if path.is_file():
        if path.suffix != ".py":
            raise DeployError(f"{path} is not a Python module (.py)")
        return [path]
    if not path.is_dir():
        raise DeployError(f"{path} does not exist")
    if _is_app(path):
        return [path]
    ignore = Ignore.of_folder(path)
    found = [
        one for one in sorted(path.iterdir()) if one.is_dir() and not ignore.matches(one.name, True) and _is_app(one)
    ]
    if not found and _is_package(path):
        return [path]
    if not found:
        raise DeployError(f"{path} has no {DEFAULT_ENTRY}, is no package, and no folder in it is an application")
    return found


def _is_app(folder: Path) -> bool:
    return (folder / DEFAULT_ENTRY).is_file()


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").is_file() and not (folder / DEFAULT_ENTRY).is_file()


def _files_of_module(path: Path) -> dict[str, Path]:
    if path.suffix != ".py":
        raise DeployError(f"{path} is not a Python module (.py)")
    requirements = path.with_name("requirements.txt")
    return {path.name: path} | ({requirements.name: requirements} if requirements.is_file() else {})


def _walk(folder: Path) -> Iterator[Path]:
    ignore = Ignore.of_folder(folder)
    for here, folders, names in os.walk(folder):
        inner = os.path.relpath(here, folder).replace(os.sep, "/")
        prefix = "" if inner == "." else f"{inner}/"
        folders[:] = [name for name in folders if not ignore.matches(prefix + name, is_folder=True)]
        for name in folders:
            if os.path.islink(os.path.join(here, name)):
                raise DeployError(
                    f"{os.path.join(here, name)} is a link to a folder, which a bundle cannot hold; copy the files, or"
                    f" name it in {IGNORE_FILE}"
                )
        for name in names:
            if not ignore.matches(prefix + name, is_folder=False):
                yield Path(here, name)


def _archive(files: dict[str, Path], max_bytes: int) -> bytes:
    if len(files) > MAX_BUNDLE_FILES:
        raise DeployError(f"{len(files)} files are more than the {MAX_BUNDLE_FILES} a bundle may have; {_advice()}")
    out = io.BytesIO()
    total_bytes = 0
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(files):
            content, executable = _read(files[name])
            total_bytes += len(content)
            if total_bytes > max_bytes:
                raise DeployError(_too_large(files, max_bytes))
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix: the next line has its meaning
            info.external_attr = (0o100755 if executable else 0o100644) << 16
            archive.writestr(info, content)
    return out.getvalue()


def _read(path: Path) -> tuple[bytes, bool]:
    """A file's content and whether it is executable."""
    try:
        if not path.is_file():
            raise DeployError(f"{path} is not a regular file; name it in {IGNORE_FILE} to leave it out")
        return path.read_bytes(), bool(path.stat().st_mode & stat.S_IXUSR)
    except OSError as error:
        raise DeployError(f"{path} cannot be read: {error.strerror or error}") from error


def _too_large(files: dict[str, Path], max_bytes: int) -> str:
    sizes = sorted(((path.stat().st_size, name) for name, path in files.items()), reverse=True)
    largest = ", ".join(f"{name} ({size / 1e6:.1f} MB)" for size, name in sizes[:3])
    total = sum(size for size, _ in sizes)
    return (
        f"the files have {total / 1e6:.1f} MB, more than the {max_bytes / 1e6:.1f} MB a bundle may have;"
        f" the largest: {largest}; {_advice()}"
    )


def _advice() -> str:
    return f"leave files out by naming them in {IGNORE_FILE}"


def _parsed(pattern: str) -> tuple[str, bool, bool]:
    """A pattern as (what to match, whether from the top, whether folders only)."""
    folders_only = pattern.endswith("/")
    pattern = pattern.rstrip("/")
    return pattern.lstrip("/"), "/" in pattern, folders_only
