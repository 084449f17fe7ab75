"""A store under test: the contract suite says nothing of SQLite, so that another database can be put in here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from procession.store import OpenOptions, Readers, Store, open_store
from procession.store.connections import Connection
from procession.store.invariants import Evidence, Report, check_invariants, fingerprint

# Tests do not survive a power loss, so they need not wait for the disk.
FAST = OpenOptions(synchronous="OFF")


class SqliteSubject:
    """Stores in a folder of SQLite files."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.db"
        self.store: Store = open_store(self.path, FAST)

    @property
    def readers(self) -> Readers:
        return self.store.readers

    def reopen(self) -> Store:
        """Ends the writer and starts another on the same store."""
        self.store.close()
        self.store = open_store(self.path, FAST)
        return self.store

    def check(self, evidence: Evidence | None = None) -> Report:
        return check_invariants(self.path, evidence)

    def fingerprint(self) -> bytes:
        return fingerprint(self.path)

    @contextmanager
    def tampering(self) -> Iterator[Connection]:
        """A connection of somebody who may write everything; what they write is rolled back at the end."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")
            connection.close()

    def close(self) -> None:
        self.store.close()
