"""What came for a halted instance from services and timers: it waits here and becomes history at `retry`."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from procession.store import schema
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.events import EVENT_FORMAT, NewEvent
from procession.store.identity import Identity, RowStatements
from procession.store.statements import select_where


class WaitingEventRow(NamedTuple):
    """An event that waits for its halted instance, encoded as it will be recorded; `at_us` is when it came."""

    id: int
    instance: int
    kind: str
    call: int | None
    at_us: int
    format: int
    header: bytes
    payload: bytes | None


@cache
def _statements() -> RowStatements[WaitingEventRow]:
    return RowStatements(schema.waiting_event, WaitingEventRow)


_OF_INSTANCE = select_where(schema.waiting_event, "instance")


class WaitingEvents:
    """The waiting events of one batch."""

    def __init__(self, connection: Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters
        self._rows: Identity[int, WaitingEventRow] = Identity(connection, WaitingEventRow._make, _statements())

    def of_instance(self, instance: int) -> list[WaitingEventRow]:
        """What waits for this instance, in the order in which it came."""
        found = _OF_INSTANCE.run(self._connection, instance)
        return self._rows.overlay(found, lambda row: row.instance == instance)

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
