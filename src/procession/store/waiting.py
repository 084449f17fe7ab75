"""What came for a halted instance from services and timers: it waits here and becomes history at `retry`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from procession.store import schema
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.events import EVENT_FORMAT, NewEvent
from procession.store.identity import Identity, RowMap, RowStatements
from procession.store.statements import columns_of, select_where


@dataclass(frozen=True, slots=True)
class WaitingEventRow:
    """An event that waits for its halted instance, encoded as it will be recorded; `at_us` is when it came."""

    id: int
    instance: int
    kind: str
    call: int | None
    at_us: int
    format: int
    header: bytes
    payload: bytes | None


WAITING_EVENTS = RowMap(schema.waiting_event, WaitingEventRow, key=("id",))


@cache
def _statements() -> RowStatements:
    return WAITING_EVENTS.statements()


_OF_INSTANCE = select_where(schema.waiting_event, "instance")

assert columns_of(WaitingEventRow) == tuple(column.name for column in schema.waiting_event.columns)


class WaitingEvents:
    """The waiting events of one batch."""

    def __init__(self, connection: Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters
        self._rows: Identity[int, WaitingEventRow] = Identity(connection, WaitingEventRow, _statements())

    def of_instance(self, instance: int) -> list[WaitingEventRow]:
        """What waits for this instance, in the order in which it came."""
        found = _OF_INSTANCE.run(self._connection, instance)
        rows = self._rows.overlay(((values[0], values) for values in found), lambda row: row.instance == instance)
        return sorted(rows, key=lambda row: row.id)

    def add(self, instance: int, event: NewEvent, *, at_us: int) -> WaitingEventRow:
        self._counters.waiting_event += 1
        row = WaitingEventRow(
            self._counters.waiting_event,
            instance,
            event.kind,
            event.call,
            at_us,
            EVENT_FORMAT,
            event.header,
            event.payload,
        )
        self._rows.add(row.id, row)
        return row

    def remove(self, waiting_event: int) -> None:
        """It has become history, or its call has ended otherwise."""
        self._rows.remove(waiting_event)

    def write(self) -> int:
        return self._rows.write()
