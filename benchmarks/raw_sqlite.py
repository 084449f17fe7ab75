"""What the disk and SQLite allow: the rows of the purchase approval, written by nothing but prepared statements.

The file has the store's own schema and is opened by the store's own connection: WAL, fsync at every commit. A checkpoint is made
every 64 commits, inside the measured time, as an engine must.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from benchmarks.purchase_rows import RELEASE, SQL, Rows, together, transitions_of
from procession.store import schema
from procession.store.connections import Connection, SqliteConnections, connect_reader, connect_writer
from procession.store.statements import insert_into

CHECKPOINT_COMMITS = 64
BYTES_TOLERANCE = 0.15


@dataclass(frozen=True, slots=True)
class RawFigures:
    """Transitions a second when `batch` of them share a commit."""

    batch: int
    transitions: int
    seconds: float

    @property
    def transactions_per_second(self) -> float:
        return self.transitions / self.seconds


class RawStore:
    """A file with the store's tables; a commit is rows in, fsync out."""

    def __init__(self, path: Path) -> None:
        connections = SqliteConnections()
        connections.connect(path, "rwc").close()
        self._connection: Connection = connect_writer(connections, path, synchronous="FULL")
        self._commits = 0
        dialect = sqlite.dialect()
        for table in schema.metadata.sorted_tables:
            self._connection.execute(str(CreateTable(table).compile(dialect=dialect)))
            for index in table.indexes:
                self._connection.execute(str(CreateIndex(index).compile(dialect=dialect)))
        self._connection.execute(insert_into(schema.release).sql, RELEASE)

    def pragmas(self) -> dict[str, str]:
        """What the file is really written with."""
        names = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
        journal = str(self._connection.execute("PRAGMA journal_mode").fetchone()[0])
        return {
            "journal_mode": journal,
            "synchronous": names[self._connection.execute("PRAGMA synchronous").fetchone()[0]],
        }

    def commit(self, rows: Rows) -> None:
        """One transaction, durable when this returns."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        for statement, sql in SQL.items():
            if values := rows.get(statement):
                connection.executemany(sql, values)
        connection.execute("COMMIT")
        self._commits += 1
        if self._commits % CHECKPOINT_COMMITS == 0:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        self._connection.close()


def throughput(path: Path, *, instances: int, batch: int) -> RawFigures:
    """All transitions of so many instances, `batch` to a commit."""
    transitions = list(transitions_of(instances, batch))
    batches = [together(transitions[start : start + batch]) for start in range(0, len(transitions), batch)]
    store = RawStore(path)
    try:
        start = time.perf_counter()
        for rows in batches:
            store.commit(rows)
        seconds = time.perf_counter() - start
    finally:
        store.close()
    return RawFigures(batch, len(transitions), seconds)


COUNTED = ("event", "work_item", "work_item_event", "request")
BYTES = "SELECT SUM(LENGTH(header) + COALESCE(LENGTH(payload), 0)) FROM event"


def expect_same_rows(ours: Path, raw: Path) -> None:
    """Raises unless an instance of ours has as many rows as a raw one, and at least as many bytes: else the ratio says nothing."""
    here, there = rows_per_instance(ours), rows_per_instance(raw)
    differing = [f"{name}: ours {here[name]:g}, raw {there[name]:g}" for name in COUNTED if here[name] != there[name]]
    if abs(here["bytes"] / there["bytes"] - 1) > BYTES_TOLERANCE:
        differing.append(f"bytes of events: ours {here['bytes']:.0f}, raw {there['bytes']:.0f}")
    if differing:
        raise RuntimeError(f"benchmarks/purchase_rows.py does not write the engine's rows: {'; '.join(differing)}")


def rows_per_instance(path: Path) -> dict[str, float]:
    """How many rows of each kind an instance has, and how many bytes its events."""
    connection = connect_reader(SqliteConnections(), path)
    try:
        instances = connection.execute("SELECT COUNT(*) FROM instance").fetchone()[0]
        counts = {name: connection.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in COUNTED}
        counts["bytes"] = connection.execute(BYTES).fetchone()[0]
    finally:
        connection.close()
    return {name: count / instances for name, count in counts.items()}
