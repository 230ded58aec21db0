"""Opening one SQLite file: its identity, its version, its settings, and which errors mean what.

Owns the pragmas and the migrations' bookkeeping; the tables themselves are in `schema`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from actorfaas.errors import StorageUnavailable, StorageUnusable

BUSY_TIMEOUT_S = 5.0
QUICK_CHECK_BELOW_BYTES = 64 * 1024 * 1024
WAL_KEPT_BYTES = 64 * 1024 * 1024
CACHED_STATEMENTS = 256
READ_CACHE_KIB = 8 * 1024
WRITE_CACHE_KIB = 2 * 1024
"""Most that SQLite keeps of a file's pages in memory, for each connection."""


@dataclass(frozen=True, slots=True)
class Database:
    """One database file and what it must be. `synchronous`: full or normal, as in the settings."""

    path: Path
    application_id: int
    migrations: tuple[str, ...]
    synchronous: str

    def prepare(self) -> None:
        """Create the file or bring it up to date. Raises StorageUnusable or StorageUnavailable."""
        with translated(self.path):
            connection = self._connect(read_only=False)
            try:
                self._identify(connection)
                self._migrate(connection)
                self._check(connection)
            except sqlite3.DatabaseError as error:
                if _is_damage(error):
                    raise self._damaged(str(error)) from error
                raise
            finally:
                connection.close()

    def writer(self) -> sqlite3.Connection:
        """The one connection that writes. It may be used in any one thread at a time."""
        with translated(self.path):
            connection = self._connect(read_only=False)
            connection.execute(f"PRAGMA synchronous = {self.synchronous}")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
            connection.execute(f"PRAGMA cache_size = -{WRITE_CACHE_KIB}")
            return connection

    def reader(self) -> sqlite3.Connection:
        """A connection that only reads."""
        with translated(self.path):
            connection = self._connect(read_only=True)
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA cache_size = -{READ_CACHE_KIB}")
            return connection

    def _connect(self, *, read_only: bool) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,  # transactions are begun and ended by name
            cached_statements=CACHED_STATEMENTS,
            check_same_thread=False,  # opened in one thread, then used by one other
        )

    def _identify(self, connection: sqlite3.Connection) -> None:
        found = _pragma(connection, "application_id")
        version = _pragma(connection, "user_version")
        if found not in (0, self.application_id) or (found == 0 and _has_tables(connection)):
            raise StorageUnusable(f"{self.path} is an SQLite database of another program; move it away")
        if version > len(self.migrations):
            raise StorageUnusable(
                f"{self.path} has schema version {version}, but this actorfaas knows only up to "
                f"{len(self.migrations)}; start the newer actorfaas that wrote it, or use another data_dir"
            )

    def _migrate(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StorageUnusable(f"{self.path}: this file system cannot do SQLite's write-ahead log (WAL)")
        for version in range(_pragma(connection, "user_version"), len(self.migrations)):
            connection.executescript(
                f"BEGIN EXCLUSIVE;\n{self.migrations[version]};\n"
                f"PRAGMA application_id = {self.application_id};\nPRAGMA user_version = {version + 1};\nCOMMIT;"
            )

    def _check(self, connection: sqlite3.Connection) -> None:
        """Read every page of a small database; a large one would keep the node from starting for too long."""
        if self.path.stat().st_size < QUICK_CHECK_BELOW_BYTES:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise self._damaged(found)

    def _damaged(self, detail: str) -> StorageUnusable:
        return StorageUnusable(
            f"{self.path} is damaged ({detail}); restore a backup, or save what is left with "
            f"`sqlite3 {self.path} .recover`, or move the file away to start empty"
        )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the file system inside become StorageUnavailable, naming the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise unavailable(path, error) from error


def unavailable(path: Path, error: Exception) -> StorageUnavailable:
    """The error for a write or read that failed for a reason outside the request."""
    return StorageUnavailable(f"{path}: {error}")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def _has_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
