"""Who waits for a message: one row for each open `receive`; `message` is what is on its way to it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from sqlalchemy import bindparam, select

from procession.store import schema
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.identity import Identity, RowStatements
from procession.store.statements import Prepared, select_where


class ReceiveRow(NamedTuple):
    """An instance waits, by one of its calls, for a message of a type and a key; `wanted` are values of its fields, as JSON."""

    id: int
    instance: int
    call: int
    type: str
    key: str
    wanted: str | None
    since_us: int
    requested_position: int
    message: int | None


@cache
def _statements() -> RowStatements[ReceiveRow]:
    return RowStatements(schema.receive, ReceiveRow)


_receives = schema.receive.c
_OF_CALL = select_where(schema.receive, "instance", "call")
_OF_INSTANCE = select_where(schema.receive, "instance")
_OF_MESSAGE = select_where(schema.receive, "message")
_WAITING = Prepared(
    select(schema.receive).where(
        _receives.message.is_(None), _receives.type == bindparam("type"), _receives.key == bindparam("key")
    ),
    "type",
    "key",
)


class Receives:
    """The waiting receives of one batch."""

    def __init__(self, connection: Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters
        self._rows: Identity[int, ReceiveRow] = Identity(connection, ReceiveRow._make, _statements())

    def find_open(self, instance: int, call: int) -> ReceiveRow | None:
        """The row that stands for this call, unless it has ended."""
        found = _OF_CALL.run(self._connection, instance, call)
        rows = self._rows.overlay(found, lambda row: row.instance == instance and row.call == call)
        return rows[0] if rows else None

    def of_instance(self, instance: int) -> list[ReceiveRow]:
        return self._rows.overlay(_OF_INSTANCE.run(self._connection, instance), lambda row: row.instance == instance)

    def waiting_for(self, type_name: str, key: str) -> list[ReceiveRow]:
        """Those that wait for this type and key and that nothing is on its way to, the oldest first."""
        found = _WAITING.run(self._connection, type_name, key)
        return self._rows.overlay(found, lambda row: row.message is None and row.type == type_name and row.key == key)

    def awaiting(self, message: int) -> list[ReceiveRow]:
        """Those that this message is on its way to."""
        return self._rows.overlay(_OF_MESSAGE.run(self._connection, message), lambda row: row.message == message)

    def add(
        self, event: tuple[int, int, int], type_name: str, key: str, *, wanted: str | None, since_us: int
    ) -> ReceiveRow:
        """A receive was asked for: `event` is its instance, its call, and the position of the request."""
        instance, call, position = event
        self._counters.receive += 1
        row = ReceiveRow(self._counters.receive, instance, call, type_name, key, wanted, since_us, position, None)
        self._rows.add(row.id, row)
        return row

    def promise(self, receive: int, message: int) -> ReceiveRow:
        """This message is on its way to it."""
        row = self._rows.find(receive)
        assert row is not None
        return self._rows.change(receive, row, {"message": message})

    def remove(self, receive: int) -> None:
        """It has its message, or is withdrawn."""
        self._rows.remove(receive)

    def write(self) -> int:
        return self._rows.write()


def read_receives(connection: Connection, instance: int) -> list[ReceiveRow]:
    """The messages that this instance waits for, in the order of its calls."""
    return sorted((ReceiveRow(*values) for values in _OF_INSTANCE.run(connection, instance)), key=lambda row: row.call)
