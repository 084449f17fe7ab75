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

from benchmarks.measure import percentile
from benchmarks.purchase_rows import RELEASE, SQL, Rows, together, transitions_of
from procession.store import schema
from procession.store.connections import Connection, SqliteConnections, connect_writer
from procession.store.statements import insert_into

CHECKPOINT_COMMITS = 64


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
        for statement, values in rows.items():
            connection.executemany(SQL[statement], values)
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


def commit_seconds(path: Path, *, commits: int) -> list[float]:
    """The time of each commit when every transition has one of its own."""
    store = RawStore(path)
    seconds = []
    try:
        for transition in transitions_of(-(-commits // 6), 1):
            rows = together([transition])
            start = time.perf_counter()
            store.commit(rows)
            seconds.append(time.perf_counter() - start)
    finally:
        store.close()
    return seconds


def commit_p99_ms(path: Path, *, commits: int) -> float:
    """What 99 of 100 commits of one transition stay under."""
    return percentile(commit_seconds(path, commits=commits), 0.99) * 1000
