"""Calls that outside systems do: who has fetched each, until when, and under which number."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from sqlalchemy import bindparam, or_, select, text

from procession.kernel import GOES_ON
from procession.store import schema
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.identity import Identity, RowStatements
from procession.store.statements import Prepared, select_where


class ExternalState(StrEnum):
    """Where an open call of an outside system stands."""

    OFFERED = "offered"
    LEASED = "leased"
    ATTENTION = "attention"


class ExternalCallRow(NamedTuple):
    """An open call: `worker` has it until `lease_until_us`, under the number `fencing`; no lease is over by itself.

    It was handed out `attempts` times of `most_attempts`.
    """

    id: int
    instance: int
    call: int
    operation: str
    worker: str | None
    lease_until_us: int
    fencing: int
    attempts: int
    most_attempts: int
    requested_us: int
    due_us: int | None
    requested_position: int
    last_error: str | None

    def state(self, now_us: int) -> ExternalState:
        """A lease that is over needs nobody to say so."""
        if self.lease_until_us > now_us:
            return ExternalState.LEASED
        return ExternalState.OFFERED if self.attempts < self.most_attempts else ExternalState.ATTENTION


@dataclass(frozen=True, slots=True)
class NewExternalCall:
    """A call that was asked for."""

    instance: int
    call: int
    operation: str
    most_attempts: int
    requested_us: int
    due_us: int | None
    requested_position: int


@cache
def _statements() -> RowStatements[ExternalCallRow]:
    return RowStatements(schema.external_call, ExternalCallRow)


_calls = schema.external_call.c
_instances = schema.instance.c
_OF_CALL = select_where(schema.external_call, "instance", "call")
_OF_INSTANCE = select_where(schema.external_call, "instance")
_OFFERED = Prepared(
    select(schema.external_call)
    .join(schema.instance, _instances.id == _calls.instance)
    .where(
        or_(*(_instances.state == str(state) for state in sorted(GOES_ON))),
        _calls.operation == bindparam("operation"),
        _calls.lease_until_us <= bindparam("now_us"),
        _calls.attempts < _calls.most_attempts,
    )
    .order_by(_calls.id)
    .limit(bindparam("limit")),
    "operation",
    "now_us",
    "limit",
)
_ATTENTION = Prepared(
    select(schema.external_call)
    .where(text("attempts >= most_attempts"), _calls.lease_until_us <= bindparam("now_us"))
    .order_by(_calls.lease_until_us, _calls.id)
    .limit(bindparam("limit")),
    "now_us",
    "limit",
)


class ExternalCalls:
    """The calls of outside systems in one batch."""

    def __init__(self, connection: Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters
        self._rows: Identity[int, ExternalCallRow] = Identity(connection, ExternalCallRow._make, _statements())

    def find_open(self, instance: int, call: int) -> ExternalCallRow | None:
        """The row that stands for this call, unless it has ended."""
        found = _OF_CALL.run(self._connection, instance, call)
        rows = self._rows.overlay(found, lambda row: row.instance == instance and row.call == call)
        return rows[0] if rows else None

    def of_instance(self, instance: int) -> list[ExternalCallRow]:
        return self._rows.overlay(_OF_INSTANCE.run(self._connection, instance), lambda row: row.instance == instance)

    def offered(self, operation: str, now_us: int, *, limit: int) -> list[ExternalCallRow]:
        """Those of an operation that may be fetched, the oldest first; none of an instance that stands still in the store."""
        found = _OFFERED.run(self._connection, operation, now_us, limit + self._rows.unwritten_count)
        return self._rows.overlay(
            found, lambda row: row.operation == operation and row.state(now_us) is ExternalState.OFFERED
        )[:limit]

    def add(self, new: NewExternalCall) -> ExternalCallRow:
        self._counters.external_call += 1
        row = ExternalCallRow(
            id=self._counters.external_call,
            instance=new.instance,
            call=new.call,
            operation=new.operation,
            worker=None,
            lease_until_us=0,
            fencing=0,
            attempts=0,
            most_attempts=new.most_attempts,
            requested_us=new.requested_us,
            due_us=new.due_us,
            requested_position=new.requested_position,
            last_error=None,
        )
        self._rows.add(row.id, row)
        return row

    def change(self, row: ExternalCallRow) -> ExternalCallRow:
        """Put what may change of an open call into the batch."""
        present = self._rows.find(row.id)
        assert present is not None
        names = ("worker", "lease_until_us", "fencing", "attempts", "due_us", "last_error")
        return self._rows.change(row.id, present, {name: getattr(row, name) for name in names})

    def remove(self, external_call: int) -> None:
        """The call has ended."""
        self._rows.remove(external_call)

    def write(self) -> int:
        return self._rows.write()


def read_external_calls(connection: Connection, instance: int) -> list[ExternalCallRow]:
    """The open calls of outside systems of this instance, in the order of their numbers."""
    found = (ExternalCallRow(*values) for values in _OF_INSTANCE.run(connection, instance))
    return sorted(found, key=lambda row: row.call)


def read_external_attention(connection: Connection, now_us: int, *, limit: int) -> list[ExternalCallRow]:
    """Calls that were handed out as often as they may be, and that nobody has now."""
    return [ExternalCallRow(*values) for values in _ATTENTION.run(connection, now_us, limit)]
