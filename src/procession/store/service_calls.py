"""Service calls that have not ended: due, running, or in need of attention. The row goes when the call ends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypedDict, Unpack

from sqlalchemy import Select, bindparam, func, select

from procession.store import schema
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.identity import Identity, RowStatements
from procession.store.statements import Prepared, select_where


class ServiceCallRow(NamedTuple):
    """An open service call, as the table has it; `due_us` is when it may start, or while it runs, when it must be over."""

    id: int
    instance: int
    call: int
    operation: str
    state: str
    attempts: int
    round_attempts: int
    due_us: int
    fencing: int
    idempotency_key: str
    requested_position: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class NewServiceCall:
    """What the engine says of a service call it was asked for."""

    instance: int
    call: int
    operation: str
    due_us: int
    idempotency_key: str
    requested_position: int
    state: str = "due"


class ServiceCallChanges(TypedDict, total=False):
    """The columns of a service call that may change."""

    operation: str
    state: str
    attempts: int
    round_attempts: int
    due_us: int
    fencing: int
    last_error: str | None


@cache
def _statements() -> RowStatements[ServiceCallRow]:
    return RowStatements(schema.service_call, ServiceCallRow)


_calls = schema.service_call.c
_OF_CALL = select_where(schema.service_call, "instance", "call")
_OF_INSTANCE = select_where(schema.service_call, "instance")
_IN_STATE = Prepared(
    select(schema.service_call)
    .where(_calls.state == bindparam("state"), _calls.due_us <= bindparam("by_us"))
    .order_by(_calls.due_us, _calls.id)
    .limit(bindparam("limit")),
    "state",
    "by_us",
    "limit",
)

_END_OF_TIME = 2**62


@cache
def _due_without(number: int) -> Prepared:
    """Those due by then, without those at so many operations."""
    due = select(schema.service_call).where(_calls.state == "due", _calls.due_us <= bindparam("by_us"))
    ordered = due.order_by(_calls.due_us, _calls.id).limit(bindparam("limit"))
    return _not_at(number, ordered, "by_us", "limit")


@cache
def _next_due_without(number: int) -> Prepared:
    return _not_at(number, select(func.min(_calls.due_us)).where(_calls.state == "due"))


def _not_at(number: int, statement: Select[Any], *names: str) -> Prepared:
    """Without the calls at so many operations; their names follow the other values."""
    operations = tuple(f"operation_{each}" for each in range(number))
    if operations:
        statement = statement.where(_calls.operation.not_in([bindparam(name) for name in operations]))
    return Prepared(statement, *names, *operations)


def next_service_due_us(connection: Connection, *, without: frozenset[str] = frozenset()) -> int | None:
    """When the next attempt may start, as last committed; `without` those at these operations."""
    value = _next_due_without(len(without)).run(connection, *sorted(without)).fetchone()[0]
    return None if value is None else int(value)


class ServiceCalls:
    """The service calls of one batch."""

    def __init__(self, connection: Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters
        self._rows: Identity[int, ServiceCallRow] = Identity(connection, ServiceCallRow._make, _statements())

    def know(self, row: ServiceCallRow) -> None:
        """Takes a row, as the last commit left it, so that it need not be read again."""
        self._rows.know(row.id, row)

    def find(self, service_call: int) -> ServiceCallRow | None:
        return self._rows.find(service_call)

    def get(self, service_call: int) -> ServiceCallRow:
        row = self._rows.find(service_call)
        if row is None:
            raise LookupError(f"no service call {service_call} in the store: it has ended")
        return row

    def find_open(self, instance: int, call: int) -> ServiceCallRow | None:
        """The row that stands for this call, unless it has ended."""
        found = _OF_CALL.run(self._connection, instance, call)
        rows = self._rows.overlay(found, lambda row: row.instance == instance and row.call == call)
        return rows[0] if rows else None

    def of_instance(self, instance: int) -> list[ServiceCallRow]:
        found = _OF_INSTANCE.run(self._connection, instance)
        rows = self._rows.overlay(found, lambda row: row.instance == instance)
        return sorted(rows, key=lambda row: row.call)

    def due(self, by_us: int, *, limit: int, without: frozenset[str] = frozenset()) -> list[ServiceCallRow]:
        """Those whose next attempt may start by then, the longest due first; `without` those of these operations."""
        if not without:
            return self.in_state("due", by_us=by_us, limit=limit)
        most = limit + self._rows.unwritten_count
        found = _due_without(len(without)).run(self._connection, by_us, most, *sorted(without))
        rows = self._rows.overlay(
            found, lambda row: row.state == "due" and row.due_us <= by_us and row.operation not in without
        )
        return sorted(rows, key=lambda row: (row.due_us, row.id))[:limit]

    def in_state(self, state: str, *, by_us: int = _END_OF_TIME, limit: int = 1000) -> list[ServiceCallRow]:
        """Those in this state, by due time: `running` ones after a crash, those in `attention`."""
        # Rows of the batch may hide some of those found, so as many more are asked for.
        found = _IN_STATE.run(self._connection, state, by_us, limit + self._rows.unwritten_count)
        rows = self._rows.overlay(found, lambda row: row.state == state and row.due_us <= by_us)
        return sorted(rows, key=lambda row: (row.due_us, row.id))[:limit]

    def add(self, new: NewServiceCall) -> ServiceCallRow:
        self._counters.service_call += 1
        row = ServiceCallRow(
            id=self._counters.service_call,
            instance=new.instance,
            call=new.call,
            operation=new.operation,
            state=str(new.state),
            attempts=0,
            round_attempts=0,
            due_us=new.due_us,
            fencing=0,
            idempotency_key=new.idempotency_key,
            requested_position=new.requested_position,
            last_error=None,
        )
        self._rows.add(row.id, row)
        return row

    def change(self, service_call: int, **changes: Unpack[ServiceCallChanges]) -> ServiceCallRow:
        if "state" in changes:
            changes["state"] = str(changes["state"])
        return self._rows.change(service_call, self.get(service_call), changes)

    def remove(self, service_call: int) -> None:
        """The call has ended."""
        self._rows.remove(service_call)

    def write(self) -> int:
        return self._rows.write()
