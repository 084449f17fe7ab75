"""Events: the history of an instance, append-only, each row chained to the one before it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import bindparam, select

from procession.store import schema
from procession.store.chain import digest_of, link, new_salt
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.instances import Instances
from procession.store.statements import Prepared, insert_into, select_where

EVENT_FORMAT = 1


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A recorded fact, encoded: `header` is what is hashed as it stands, `payload` what may have to be erased."""

    kind: str
    call: int | None
    request: int | None
    header: bytes
    payload: bytes | None


class EventRow(NamedTuple):
    """One event of a history, as the table has it."""

    position: int
    instance: int
    seq: int
    kind: str
    call: int | None
    request: int | None
    format: int
    header: bytes
    payload: bytes | None
    salt: bytes | None
    digest: bytes | None
    hash: bytes


_INSERT = insert_into(schema.event)
_BY_POSITION = select_where(schema.event, "position")
_HISTORY = Prepared(
    select(schema.event)
    .where(schema.event.c.instance == bindparam("instance"), schema.event.c.seq > bindparam("after"))
    .order_by(schema.event.c.seq),
    "instance",
    "after",
)

assert EventRow._fields == tuple(column.name for column in schema.event.columns)


def read_history(connection: Connection, instance: int, *, after: int = 0) -> Iterator[EventRow]:
    """The events of an instance, in order, after this sequence number."""
    return (EventRow(*values) for values in _HISTORY.run(connection, instance, after))


def find_event(connection: Connection, position: int) -> EventRow | None:
    """The event with this position."""
    values = _BY_POSITION.run(connection, position).fetchone()
    return None if values is None else EventRow(*values)


_POSITION: Callable[[tuple[object, ...]], int] = itemgetter(0)


class Events:
    """The events of one batch."""

    def __init__(self, connection: Connection, counters: Counters, instances: Instances) -> None:
        self._connection = connection
        self._counters = counters
        self._instances = instances
        self._rows: list[tuple[object, ...]] = []

    def append(self, instance: int, events: Iterable[NewEvent]) -> range:
        """Adds events at the end of the instance's history; gives their positions."""
        counters, rows = self._counters, self._rows
        seq, head = self._instances.tail(instance)
        first = position = counters.position + 1
        for event in events:
            seq += 1
            payload = event.payload
            if payload is None:
                salt = digest = None
            else:
                salt = new_salt()
                digest = digest_of(salt, payload)
            head = link(head, event.header, digest)
            rows.append(
                (
                    position,
                    instance,
                    seq,
                    event.kind,
                    event.call,
                    event.request,
                    EVENT_FORMAT,
                    event.header,
                    payload,
                    salt,
                    digest,
                    head,
                )
            )
            position += 1
        counters.position = position - 1
        self._instances.move_tail(instance, seq, head)
        return range(first, position)

    def history(self, instance: int, *, after: int = 0) -> list[EventRow]:
        """The whole history, the batch's own events included."""
        found = list(read_history(self._connection, instance, after=after))
        found.extend(EventRow(*row) for row in self._rows if row[1] == instance and row[2] > after)  # type: ignore[operator,arg-type]
        return found

    def find(self, position: int) -> EventRow | None:
        place = bisect_left(self._rows, position, key=_POSITION)
        if place < len(self._rows) and self._rows[place][0] == position:
            return EventRow(*self._rows[place])  # type: ignore[arg-type]
        return find_event(self._connection, position)

    def write(self) -> int:
        rows = self._rows
        if rows:
            _INSERT.run_many(self._connection, rows)
        written = len(rows)
        rows.clear()
        return written
