"""A batch: one transaction of the writer. Rows are collected and written together; what is read includes what is not yet written.

    batch = store.begin()
    instance = batch.instances.get(17)
    batch.events.append(17, [...])
    batch.commit()

The batch knows no rule. A batch that fails in any way leaves nothing behind, and takes back the numbers it gave out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from procession.errors import InternalError, ProcessionError, StoreFailed
from procession.store import meta
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.deliveries import Deliveries
from procession.store.events import Events
from procession.store.external_calls import ExternalCalls
from procession.store.failures import explained, meaning_of
from procession.store.instances import Instances
from procession.store.messages import Messages
from procession.store.receives import Receives
from procession.store.releases import Releases, SiteNumbers
from procession.store.requests import Requests
from procession.store.service_calls import ServiceCalls
from procession.store.timers import Timers
from procession.store.waiting import WaitingEvents
from procession.store.worklist import WorkItems


@dataclass(slots=True)
class Writer:
    """The writing connection and what is kept beside it from batch to batch."""

    path: Path
    connection: Connection
    counters: Counters
    sites: SiteNumbers
    pages_since_checkpoint: int = 0  # about so many, see `Batch.commit`
    current: Batch | None = None
    failure: ProcessionError | None = None


@dataclass(frozen=True, slots=True)
class BatchMark:
    """What tells a store that holds a batch from one that does not: where events and the chain of requests end."""

    position: int
    request_head: bytes
    position_before: int
    request_head_before: bytes

    def is_of(self, counters: Counters) -> bool | None:
        """Whether a store that counts so holds the batch; None for a batch that wrote nothing that is counted."""
        if self.request_head != self.request_head_before:
            return counters.request_head == self.request_head
        if self.position != self.position_before:
            return counters.position > self.position_before
        return None


class _State(Enum):
    OPEN = "open"
    WRITTEN = "written"
    COMMITTED = "committed"
    DROPPED = "dropped"


class Batch:
    """One transaction: `commit` makes all of it durable, `rollback` leaves nothing of it."""

    def __init__(self, writer: Writer) -> None:
        if writer.current is not None:
            raise InternalError("A batch was begun while another is open.", subject=str(writer.path))
        connection, counters = writer.connection, writer.counters
        with explained(writer.path):
            connection.execute("BEGIN IMMEDIATE")
        self._writer = writer
        self._before = counters.copy()
        self._rows = 0
        self._touched: set[int] = set()
        self._state = _State.OPEN
        writer.current = self
        self.instances = Instances(connection, counters)
        self.events = Events(connection, counters, self.instances)
        self.items = WorkItems(connection, counters)
        self.service_calls = ServiceCalls(connection, counters)
        self.timers = Timers(connection)
        self.waiting_events = WaitingEvents(connection, counters)
        self.external_calls = ExternalCalls(connection, counters)
        self.messages = Messages(connection, counters)
        self.receives = Receives(connection, counters)
        self.deliveries = Deliveries(connection, counters)
        self.requests = Requests(connection, counters)
        self.releases = Releases(connection, counters, writer.sites)

    @property
    def is_open(self) -> bool:
        return self._state in (_State.OPEN, _State.WRITTEN)

    @property
    def touched(self) -> frozenset[int]:
        """Instances this batch writes: the engine drops their live selves if it fails."""
        return frozenset(self._touched | self.instances.touched)

    @property
    def mark(self) -> BatchMark:
        """By what the batch is found again in the store, once it is written."""
        now, before = self._writer.counters, self._before
        return BatchMark(now.position, now.request_head, before.position, before.request_head)

    def find_meta(self, key: str) -> str | None:
        return meta.find_meta(self._writer.connection, key)

    def put_meta(self, key: str, value: str | None) -> None:
        """Keeps a value under a key; with None, no longer."""
        if value is None:
            meta.remove_meta(self._writer.connection, key)
        else:
            meta.put_meta(self._writer.connection, key, value)

    def write(self) -> None:
        """Runs the statements for everything collected so far; the transaction stays open. On an error it is dropped."""
        self._require_open()
        try:
            with explained(self._writer.path):
                self._write()
        except BaseException:
            self.rollback()
            raise
        self._state = _State.WRITTEN

    def commit(self) -> None:
        """Makes the batch durable. May run in a thread after `write`; then nothing else may touch the store meanwhile.

        After a `StoreError` from here it is unknown whether the batch is in the store: acknowledge none of it, `Store.reopen`, read again.
        """
        self.write()
        try:
            self._writer.connection.execute("COMMIT")
        except BaseException as error:
            meaning = meaning_of(error, self._writer.path)
            unknown = f"The commit to {self._writer.path} was interrupted; whether it happened is unknown."
            self._writer.failure = meaning or StoreFailed(
                unknown, subject=str(self._writer.path), remedy="Open the store again."
            )
            self.rollback()
            if meaning is None:
                raise
            raise meaning from error
        self._state = _State.COMMITTED
        # Measured: a commit writes about 13 pages, and one more for each 6 rows (indexes included). SQLite does not say.
        self._writer.pages_since_checkpoint += 13 + self._rows // 6
        self._writer.current = None

    def rollback(self) -> None:
        """Drops the batch: nothing of it reaches the store, its numbers will be given out again."""
        if not self.is_open:
            return
        self._state = _State.DROPPED
        writer = self._writer
        writer.current = None
        for name in Counters.__dataclass_fields__:
            setattr(writer.counters, name, getattr(self._before, name))
        writer.sites.forget_after(self._before.site)
        try:
            writer.connection.execute("ROLLBACK")
        except Exception as error:
            # SQLite has rolled back by itself after some errors (disk full, I/O); any other reason must be looked into.
            failure = meaning_of(error, writer.path)
            if failure is None:
                raise
            if "no transaction is active" not in str(error):
                writer.failure = writer.failure or failure

    def _write(self) -> None:
        self._touched |= self.instances.touched
        written = self.releases.write()
        written += self.instances.write()
        written += self.events.write()
        written += self.instances.write_attributes()
        written += self.items.write()
        written += self.items.write_events()
        written += self.service_calls.write()
        written += self.timers.write()
        written += self.waiting_events.write()
        written += self.external_calls.write()
        written += self.messages.write()
        written += self.receives.write()
        written += self.deliveries.write()
        requests = self.requests.write()
        if requests:
            counters = self._writer.counters
            self.put_meta(
                meta.REQUEST_CHAIN, meta.encode_request_head(self.requests.last_number, counters.request_head)
            )
        self._rows += written + requests

    def _require_open(self) -> None:
        if not self.is_open:
            raise InternalError(f"A batch that is {self._state.value} was used again.", subject=str(self._writer.path))

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves nothing behind unless it was committed."""
        self.rollback()
