"""Timers that have neither fired nor been withdrawn."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from sqlalchemy import bindparam, func, select

from procession.store import schema
from procession.store.connections import Connection
from procession.store.identity import Identity, RowStatements
from procession.store.statements import Prepared, select_where


class TimerRow(NamedTuple):
    """A moment an instance waits for."""

    instance: int
    call: int
    due_us: int


@cache
def _statements() -> RowStatements[TimerRow]:
    return RowStatements(schema.timer, TimerRow)


_timers = schema.timer.c
_OF_INSTANCE = select_where(schema.timer, "instance")
_DUE = Prepared(
    select(schema.timer)
    .where(_timers.due_us <= bindparam("by_us"))
    .order_by(_timers.due_us, _timers.instance, _timers.call)
    .limit(bindparam("limit")),
    "by_us",
    "limit",
)
_NEXT = Prepared(select(func.min(_timers.due_us)))


def next_timer_due_us(connection: Connection) -> int | None:
    """When the next timer is due, as last committed."""
    value = _NEXT.run(connection).fetchone()[0]
    return None if value is None else int(value)


class Timers:
    """The timers of one batch."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: Identity[tuple[int, int], TimerRow] = Identity(connection, TimerRow._make, _statements())
        self.changes = 0
        """How many timers were added or removed: whoever has read them sees whether to read again."""

    def find(self, instance: int, call: int) -> TimerRow | None:
        return self._rows.find((instance, call))

    def of_instance(self, instance: int) -> list[TimerRow]:
        """The open timers of an instance, in the order in which they are to be applied: by due time, then call."""
        found = _OF_INSTANCE.run(self._connection, instance)
        rows = self._rows.overlay(found, lambda row: row.instance == instance)
        return sorted(rows, key=lambda row: (row.due_us, row.call))

    def due(self, by_us: int, *, limit: int) -> list[TimerRow]:
        """Timers of any instance that are due by then, the longest due first."""
        found = _DUE.run(self._connection, by_us, limit + self._rows.unwritten_count)
        rows = self._rows.overlay(found, lambda row: row.due_us <= by_us)
        return sorted(rows, key=lambda row: (row.due_us, row.instance, row.call))[:limit]

    def add(self, instance: int, call: int, due_us: int) -> TimerRow:
        row = TimerRow(instance, call, due_us)
        self.changes += 1
        self._rows.add((instance, call), row)
        return row

    def remove(self, instance: int, call: int) -> None:
        """The timer fired or was withdrawn."""
        self.changes += 1
        self._rows.remove((instance, call))

    def write(self) -> int:
        return self._rows.write()
