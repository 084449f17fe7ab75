"""Reading beside the writer: a few connections that cannot write, lent for one short snapshot each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue

from procession.errors import NotAStore, OlderStore, StoreBusy, StoreNotUsable
from procession.store.connections import Connection, Connections, SqliteConnections, connect_reader
from procession.store.creation import Content, content_of
from procession.store.failures import explained
from procession.store.view import View

READERS = 8
_WAIT_SECONDS = 10.0


class Readers:
    """A small pool of reading connections, usable from any thread."""

    def __init__(self, path: Path, connections: Connections, *, size: int = READERS) -> None:
        self.path = path
        self._connections = connections
        self._size = size
        self._idle: LifoQueue[Connection | None] = LifoQueue()
        self._is_closed = False
        for _ in range(size):
            self._idle.put(None)

    @contextmanager
    def snapshot(self) -> Iterator[View]:
        """What was committed when it began, unchanged until it ends: keep it under a second, it holds up checkpoints."""
        connection = self._take()
        try:
            with explained(self.path):
                if connection is None:
                    connection = self._open()
                connection.execute("BEGIN")
                try:
                    yield View(connection)
                finally:
                    connection.execute("ROLLBACK")
        except BaseException:
            if connection is not None:
                connection.close()
                connection = None
            raise
        finally:
            self._give_back(connection)

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes what is idle now, and the rest as it comes back."""
        self._is_closed = True
        emptied = 0
        while True:
            try:
                connection = self._idle.get_nowait()
            except Empty:
                break
            emptied += 1
            if connection is not None:
                connection.close()
        for _ in range(emptied):  # whoever waits for one is to hear that there is none any more
            self._idle.put(None)

    def _take(self) -> Connection | None:
        try:
            connection = self._idle.get(timeout=_WAIT_SECONDS)
        except Empty:
            remedy = "Some reader keeps its snapshot open; look for a page or an export that hangs."
            raise StoreBusy(
                f"All {self._size} readers of {self.path} are lent.", subject=str(self.path), remedy=remedy
            ) from None
        if self._is_closed:
            self._give_back(connection)
            raise StoreNotUsable(f"{self.path} was closed.", subject=str(self.path), remedy="Open it again.")
        return connection

    def _give_back(self, connection: Connection | None) -> None:
        if self._is_closed and connection is not None:
            connection.close()
            connection = None
        self._idle.put(connection)

    def _open(self) -> Connection:
        if not self.path.exists():
            remedy = "Start the engine once (`procession serve`), or name the right application folder."
            raise StoreNotUsable(f"There is no store {self.path}.", subject=str(self.path), remedy=remedy)
        if self.path.is_dir():
            remedy = "Name the store's file in it."
            raise StoreNotUsable(f"{self.path} is a folder, not a store.", subject=str(self.path), remedy=remedy)
        connection = connect_reader(self._connections, self.path)
        try:
            content = content_of(connection, self.path)
        except BaseException:
            connection.close()
            raise
        if content is Content.PRESENT:
            return connection
        connection.close()
        if content is Content.OLDER:
            remedy = "Open it once to write, with `procession serve`: that makes a copy and migrates it."
            raise OlderStore(f"{self.path} was written by an older Procession.", subject=str(self.path), remedy=remedy)
        raise NotAStore(
            f"{self.path} is empty.", subject=str(self.path), remedy="Start the engine once (`procession serve`)."
        )


def open_readers(path: Path | str, connections: Connections | None = None) -> Readers:
    """Readers of a store that this process does not write; needs no lock and never migrates."""
    return Readers(Path(path).resolve(), connections or SqliteConnections())
