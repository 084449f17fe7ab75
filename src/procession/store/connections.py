"""The one place where a store file is opened: connections for the writer and for readers.

A fault test runs the engine on another SQLite (apsw with a VFS of its own) by giving another `Connections`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import quote

Mode = Literal["ro", "rw", "rwc", "memory"]

# The oldest SQLite with STRICT tables.
OLDEST_SQLITE = (3, 37, 0)

BUSY_TIMEOUT_SECONDS = 5.0
LOG_KEPT_BYTES = 32_000_000
_CACHED_STATEMENTS = 256


class Cursor(Protocol):
    """What a statement gave; a row is a tuple in the order of its columns."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """As much of a database connection as the store uses."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor: ...
    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor: ...
    def close(self) -> None: ...


class Connections(Protocol):
    """Opens connections to store files; transactions are begun and ended by statements only."""

    def connect(self, path: Path, mode: Mode) -> Connection: ...


class SqliteConnections:
    """Connections of the standard library's SQLite."""

    def connect(self, path: Path, mode: Mode) -> Connection:
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_SECONDS,
            isolation_level=None,  # the module must never begin or commit on its own
            check_same_thread=False,  # a COMMIT may run in a thread while the engine keeps its hands off
            cached_statements=_CACHED_STATEMENTS,
        )


def connect_writer(connections: Connections, path: Path, *, synchronous: str) -> Connection:
    """The one connection that writes: WAL, flushed at every commit, checkpoints only when it says so."""
    return _prepared(
        connections.connect(path, "rw"),
        "journal_mode = WAL",
        f"synchronous = {synchronous}",
        # On macOS a plain flush leaves the bytes in the drive's own memory; elsewhere these two do nothing.
        "fullfsync = ON",
        "checkpoint_fullfsync = ON",
        "foreign_keys = ON",
        "wal_autocheckpoint = 0",
        # The log grows for as long as a backup reads; what it took of the disk is given back once it is moved.
        f"journal_size_limit = {LOG_KEPT_BYTES}",
        "cache_size = -65536",
        "temp_store = MEMORY",
    )


def connect_reader(connections: Connections, path: Path) -> Connection:
    """A connection that cannot write, and cannot checkpoint when it is the last to close."""
    return _prepared(connections.connect(path, "ro"), "query_only = ON", "cache_size = -8192")


def _prepared(connection: Connection, *pragmas: str) -> Connection:
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection
