"""Rows of one table as one batch sees them: what was read, and what it has changed and not yet written."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import Table

from procession.store.connections import Connection
from procession.store.statements import columns_of, delete_by_key, insert_into, select_where, update_by_key

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RowMap:
    """How a table's rows become records and back; statements come from the schema."""

    table: Table
    row: Callable[..., Any]
    key: tuple[str, ...]
    fixed: tuple[str, ...] = ()  # columns that never change once written

    def statements(self) -> RowStatements:
        return RowStatements(self)


class RowStatements:
    """The prepared statements of one table, and the getters that lay a record out for them."""

    def __init__(self, rows: RowMap) -> None:
        columns = columns_of(rows.row)  # type: ignore[arg-type]
        changing = [name for name in columns if name not in rows.key and name not in rows.fixed]
        self.find = select_where(rows.table, *rows.key)
        self.insert = insert_into(rows.table)
        self.update = update_by_key(rows.table, changing)
        self.delete = delete_by_key(rows.table)
        self.all_values = attrgetter(*columns)
        self.update_values = attrgetter(*changing, *rows.key) if changing else None


class Identity(Generic[K, R]):
    """The rows of one table in one batch: one record per key, new ones and changes kept until `write`."""

    __slots__ = ("_changed", "_connection", "_make", "_new", "_removed", "_rows", "_statements")

    def __init__(self, connection: Connection, make: Callable[..., R], statements: RowStatements) -> None:
        self._connection = connection
        self._make = make
        self._statements = statements
        self._rows: dict[K, R] = {}
        self._new: dict[K, None] = {}
        self._changed: dict[K, None] = {}
        self._removed: dict[K, None] = {}

    @property
    def unwritten_count(self) -> int:
        return len(self._new) + len(self._changed) + len(self._removed)

    def know(self, key: K, row: R) -> None:
        """Takes a record that the caller knows to be the committed one, so that it need not be read."""
        self._rows.setdefault(key, row)

    def find(self, key: K) -> R | None:
        row = self._rows.get(key)
        if row is not None or key in self._removed:
            return row
        values = key if isinstance(key, tuple) else (key,)
        found = self._statements.find.run(self._connection, *values).fetchone()
        return None if found is None else self.seen(key, found)

    def seen(self, key: K, values: Iterable[Any]) -> R | None:
        """The record for a row just read: the batch's own version of it goes first; None if the batch removed it."""
        row = self._rows.get(key)
        if row is not None or key in self._removed:
            return row
        row = self._rows[key] = self._make(*values)
        return row

    def add(self, key: K, row: R) -> None:
        self._rows[key] = row
        if key in self._removed:
            del self._removed[key]  # removed and asked anew in one batch: the row stays, with other values
            self._changed[key] = None
        else:
            self._new[key] = None

    def change(self, key: K, row: R) -> None:
        self._rows[key] = row
        if key not in self._new:
            self._changed[key] = None

    def remove(self, key: K) -> None:
        self._rows.pop(key, None)
        if key in self._new:
            del self._new[key]
            return
        self._changed.pop(key, None)
        self._removed[key] = None

    def touched(self) -> list[tuple[K, R]]:
        """Records that are new or changed and not yet written."""
        rows = self._rows
        return [(key, rows[key]) for key in (*self._new, *self._changed)]

    def overlay(self, found: Iterable[tuple[K, Any]], wanted: Callable[[R], bool]) -> list[R]:
        """Rows that a query found, as the batch has them now, and its own that fit as well."""
        result: dict[K, R] = {}
        for key, values in found:
            row = self.seen(key, values)
            if row is not None and wanted(row):
                result[key] = row
        for key, row in self.touched():
            if wanted(row):
                result[key] = row
        return list(result.values())

    def write(self) -> int:
        """Writes what is new, changed and removed; says how many rows."""
        statements, rows, connection = self._statements, self._rows, self._connection
        if self._removed:
            keys = [key if isinstance(key, tuple) else (key,) for key in self._removed]
            statements.delete.run_many(connection, keys)
        # Changes go before new rows: an ended instance frees the business key that a new one takes.
        if self._changed and statements.update_values is not None:
            statements.update.run_many(connection, [statements.update_values(rows[key]) for key in self._changed])
        if self._new:
            statements.insert.run_many(connection, [statements.all_values(rows[key]) for key in self._new])
        written = len(self._removed) + len(self._new) + len(self._changed)
        # What was removed stays known as absent: reading it again gives nothing, as it should.
        self._new.clear()
        self._changed.clear()
        self._removed.clear()
        return written
