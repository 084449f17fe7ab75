"""Opens a store to write: refuses what cannot be one, takes the lock, makes or migrates the tables, gives batches and readers."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from procession.errors import InternalError, ProcessionError, StoreNotUsable
from procession.store.batch import Batch, BatchMark, Writer
from procession.store.connections import OLDEST_SQLITE, Connection, Connections, SqliteConnections, connect_writer
from procession.store.counters import read_counters
from procession.store.creation import Content, check_identity, content_of, create_tables
from procession.store.failures import explained
from procession.store.lock import StoreLock
from procession.store.mounts import Mounts, network_file_system_of, read_mounts
from procession.store.readers import Readers
from procession.store.releases import SiteNumbers
from procession.store.sqlite_defects import parse_version, sqlite_version

# Pages of the write-ahead log after which a checkpoint is worth its two flushes: 16 MB.
CHECKPOINT_PAGES = 4_000


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How a store is opened; the defaults are those of an engine in service."""

    wait_seconds: float = 0.0
    create: bool = True
    synchronous: Literal["FULL", "OFF"] = "FULL"  # OFF is for test worlds: their store ends with them
    connections: Connections = field(default_factory=SqliteConnections)
    mounts: Mounts = read_mounts


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint did: pages in the write-ahead log, and how many of them are in the database now."""

    log_pages: int
    moved_pages: int
    was_hindered: bool


class Store:
    """A store, open to write: the only writer there is. `begin` gives batches, `readers` gives views."""

    def __init__(self, path: Path, options: OpenOptions, lock: StoreLock, migrated_from: Path | None) -> None:
        self.path = path
        self.lock = lock
        self.copy_before_migration = migrated_from
        self.readers = Readers(path, options.connections)
        self._options = options
        self._writer, self.store_id = self._connect()
        self._file = _file_at(path)

    def begin(self) -> Batch:
        """The next batch; there is one at a time. Raises `StoreNotUsable` where the file is not there any more."""
        if self._writer.failure is not None:
            raise self._writer.failure
        if _file_at(self.path) != self._file:
            # Whatever is committed to a file without a name is lost with the connection.
            raise StoreNotUsable(
                f"{self.path} was removed, or replaced by another file, while it was open.",
                subject=str(self.path),
                remedy="Put the file or a backup in its place, and start the engine again.",
            )
        return Batch(self._writer)

    @property
    def is_failed(self) -> bool:
        """Whether a commit failed: nothing is taken until `reopen`."""
        return self._writer.failure is not None

    @property
    def checkpoint_is_due(self) -> bool:
        return self._writer.pages_since_checkpoint >= CHECKPOINT_PAGES

    def checkpoint(self, *, truncate: bool = False) -> Checkpoint:
        """Moves what is committed from the write-ahead log into the database; never waits for readers."""
        if self._writer.current is not None:
            raise InternalError("A checkpoint was asked for while a batch is open.", subject=str(self.path))
        mode = "TRUNCATE" if truncate else "PASSIVE"
        with explained(self.path):
            busy, log, moved = self._writer.connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        self._writer.pages_since_checkpoint = 0
        return Checkpoint(int(log), int(moved), bool(busy) or moved < log)

    @property
    def log_bytes(self) -> int:
        """The size of the write-ahead log; it keeps growing while some reader never ends its snapshot."""
        log = self.path.with_name(self.path.name + "-wal")
        return log.stat().st_size if log.exists() else 0

    def last_recorded_us(self) -> int:
        """The latest time any request or instance was given: the clock must not start before it."""
        connection = self._writer.connection
        with explained(self.path):
            request = connection.execute("SELECT at_us FROM request ORDER BY number DESC LIMIT 1").fetchone()
            instance = connection.execute(
                "SELECT now_us FROM instance WHERE id = (SELECT instance FROM event ORDER BY position DESC LIMIT 1)"
            ).fetchone()
        return max(0, *(int(row[0]) for row in (request, instance) if row is not None), 0)

    def reopen(self) -> None:
        """After a failed commit: a new connection, checked; what is in the store now is what counts."""
        self._close_connection()
        try:
            writer, store_id = self._connect()
            if store_id != self.store_id:
                writer.connection.close()
                raise StoreNotUsable(
                    f"{self.path} is another store than the one that was opened.",
                    subject=str(self.path),
                    remedy="Put the right file in its place, or start the engine again.",
                )
            self._writer, self._file = writer, _file_at(self.path)
        except ProcessionError as error:
            self._writer.failure = self._writer.failure or error  # the old connection is closed: take nothing with it
            raise

    def holds(self, mark: BatchMark) -> bool | None:
        """After `reopen`: whether the batch whose commit failed is in the store; None where that cannot be told.

        Where it is, it is made durable first: a flush that failed once may be reported as done the next time, so what
        the log holds is written into the database and flushed there. Raises a `StoreError` where that fails.
        """
        held = mark.is_of(self._writer.counters)
        if held:
            self.checkpoint()
        return held

    def close(self) -> None:
        """Moves everything into the database, closes, and lets the lock go."""
        try:
            self.readers.close()
            if self._writer.current is not None:
                self._writer.current.rollback()
            if self._writer.failure is None:
                self.checkpoint(truncate=True)
        finally:
            self._close_connection()
            self.lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> tuple[Writer, bytes]:
        options = self._options
        with explained(self.path):
            connection = connect_writer(options.connections, self.path, synchronous=options.synchronous)
            try:
                store_id, head = check_identity(connection, self.path)
                counters = read_counters(connection, request_head=head)
            except BaseException:
                connection.close()
                raise
        return Writer(self.path, connection, counters, SiteNumbers()), store_id

    def _close_connection(self) -> None:
        # A connection that failed may fail to close; the operating system closes what is left.
        try:
            self._writer.connection.close()
        except Exception as error:
            if not self.is_failed:
                raise
            self._writer.failure = self._writer.failure or InternalError(str(error))


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file has this name: its device and number; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def open_store(path: Path | str, options: OpenOptions | None = None) -> Store:
    """Opens the store at this path to write, made or migrated if need be; raises a `StoreError` that says what is wrong."""
    options = options or OpenOptions()
    place = Path(path).resolve()
    require_usable(place, options)
    lock = StoreLock.acquire(place, wait_seconds=options.wait_seconds)
    try:
        copy = _prepare(place, options)
        return Store(place, options, lock, copy)
    except BaseException:
        lock.release()
        raise


def require_usable(path: Path, options: OpenOptions) -> None:
    """Refuses a place where there can be no store, before anything is made there."""

    def refuse(what: str, remedy: str) -> StoreNotUsable:
        return StoreNotUsable(what, subject=str(path), remedy=remedy)

    if path.is_dir():
        raise refuse(f"{path} is a folder, not a store.", "Name the store's file in it.")
    if not path.parent.is_dir():
        raise refuse(f"There is no folder {path.parent}.", "Make it, or name another path for the store.")
    kind = network_file_system_of(path.parent, options.mounts)
    if kind is not None:
        raise refuse(
            f"{path} is on a network or shared file system ({kind}), where SQLite's locks do not hold.",
            "Put the store on a local disk of the machine that runs the engine.",
        )
    for place, what in ((path.parent, "folder"), (path, "file")):
        if place.exists() and not os.access(place, os.W_OK):
            raise refuse(f"The {what} {place} is not writable.", "Give the engine's user write access to it.")
    if not path.exists() and not options.create:
        raise refuse(
            f"There is no store {path}.",
            "Start the engine once (`procession serve`), or name the right application folder.",
        )


def _prepare(path: Path, options: OpenOptions) -> Path | None:
    version = sqlite_version(options.connections)
    if parse_version(version) < OLDEST_SQLITE:
        remedy = "Use a Python with a newer SQLite (`python -c 'import sqlite3; print(sqlite3.sqlite_version)'`)."
        raise StoreNotUsable(f"SQLite {version} is too old to open a store.", subject=str(path), remedy=remedy)
    content = _probe(path, options.connections)
    if content is Content.OLDER:
        from procession.store.migrating import migrate  # Alembic is imported only by those who migrate

        return migrate(path)
    if content is Content.EMPTY:
        with explained(path):
            connection = options.connections.connect(path, "rwc")
            try:
                create_tables(connection)
            finally:
                connection.close()
    return None


def _probe(path: Path, connections: Connections) -> Content:
    """Looks at the file through a connection that cannot write, so that a foreign database stays as it is."""
    if not path.exists() or path.stat().st_size == 0:
        return Content.EMPTY
    with explained(path):
        connection: Connection = connections.connect(path, "ro")
        try:
            return content_of(connection, path)
        finally:
            connection.close()
