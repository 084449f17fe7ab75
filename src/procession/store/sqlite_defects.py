"""The SQLite that runs here, and what is known to be wrong with it: for `doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from procession.store.connections import OLDEST_SQLITE, Connection, Connections, SqliteConnections

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class SqliteDefect:
    """A defect of some versions of SQLite: what it does, whether it can touch a store of ours, where it is described."""

    title: str
    touches_us: bool
    why: str
    source: str


def sqlite_version(connections: Connections | None = None) -> str:
    """The version of SQLite that opens stores in this process."""
    connection: Connection = (connections or SqliteConnections()).connect(Path("sqlite-version"), "memory")
    try:
        return str(connection.execute("SELECT sqlite_version()").fetchone()[0])
    finally:
        connection.close()


def known_defects(version: str) -> list[SqliteDefect]:
    """What is known about this version."""
    number = parse_version(version)
    found: list[SqliteDefect] = []
    if number < OLDEST_SQLITE:
        found.append(
            SqliteDefect(
                "It has no STRICT tables.",
                True,
                "A store cannot be opened with it.",
                "https://www.sqlite.org/stricttables.html",
            )
        )
    # Fixed in 3.51.3, and in the maintained lines 3.44.6 and 3.50.7.
    is_fixed = number >= (3, 51, 3) or (3, 50, 7) <= number < (3, 51, 0) or (3, 44, 6) <= number < (3, 45, 0)
    if not is_fixed:
        found.append(
            SqliteDefect(
                "WAL-reset: two connections that write or checkpoint at the same instant can damage the file.",
                False,
                "One connection of one process writes and checkpoints a store; readers can do neither.",
                "https://www.sqlite.org/wal.html#walresetbug",
            )
        )
    if number == (3, 52, 0):
        found.append(
            SqliteDefect(
                "3.52.0 was withdrawn by its makers.",
                True,
                "Use 3.51.3, or 3.53 and later.",
                "https://www.sqlite.org/changes.html",
            )
        )
    return found


def parse_version(text: str) -> Version:
    """A version in numbers, to compare: `3.51` is 3, 51, 0."""
    major, minor, patch, *_ = (*(int(part) for part in text.split(".")), 0, 0)
    return (major, minor, patch)
